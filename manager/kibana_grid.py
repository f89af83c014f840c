"""Each dashboard as a text: its question, and its panels as they stand on the screen."""

from __future__ import annotations

from collections.abc import Iterator

from manager import kibana
from manager.lens import Source

ACROSS = 2  # characters for one of the 48 columns of a dashboard
DOWN = 2  # rows of a dashboard in a line


def drawn() -> Iterator[str]:
    """All dashboards, as a section of the README."""
    for source in kibana.dashboards():
        yield f"### {source['short']}\n{source['question']} {source['how']}\n"
        if "controls" in source:
            yield f"\nTo choose from: {', '.join(control['title'] for control in source['controls'])}.\n"
        yield "```text\n"
        yield from (f"{line}\n" for line in picture(source["panels"]))
        yield "```\n\n"


def picture(panels: list[Source]) -> list[str]:
    """The panels as boxes, each with its title and its type."""
    top = kibana.HEADING["h"] // DOWN
    bottom = max(y + h for _, y, _, h in (panel["grid"] for panel in panels)) // DOWN
    canvas = [[" "] * (kibana.WIDTH * ACROSS + 1) for _ in range(bottom - top + 1)]
    for panel in panels:
        x, y, w, h = panel["grid"]
        _box(canvas, x * ACROSS, y // DOWN - top, w * ACROSS, h // DOWN)
    for panel in panels:
        x, y, w, _ = panel["grid"]
        _write(canvas, x * ACROSS + 2, y // DOWN - top + 1, panel["title"], w * ACROSS - 3)
        _write(canvas, x * ACROSS + 2, y // DOWN - top + 2, f"({panel.get('type', 'list')})", w * ACROSS - 3)
    return ["".join(line).rstrip() for line in canvas]


def _box(canvas: list[list[str]], x: int, y: int, w: int, h: int) -> None:
    for line in (y, y + h):
        for column in range(x, x + w + 1):
            canvas[line][column] = "+" if column in (x, x + w) or canvas[line][column] == "+" else "-"
    for line in range(y + 1, y + h):
        canvas[line][x] = canvas[line][x + w] = "|"


def _write(canvas: list[list[str]], x: int, y: int, text: str, most: int) -> None:
    shown = text if len(text) <= most else text[: most - 2] + ".."
    canvas[y][x : x + len(shown)] = shown

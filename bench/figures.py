"""A figure and the tables of figures: text, JSON, Markdown."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
HEADER = ("figure", "measured", "goal", "must", "", "how")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. Smaller is better, or larger with `rising`; `value` is None when it could not be measured,
    `how` then says why.
    """

    name: str
    value: float | None
    unit: str = "x"  # a ratio
    goal: float | None = None
    must: float | None = None
    how: str = ""  # the absolute times behind a ratio, what was not installed
    rising: bool = False
    group: str = ""  # what it was measured with

    @property
    def state(self) -> str:
        """What the table says about the figure's limits."""
        if self.value is None:
            return "not measured"
        if self.must is None:
            return ""
        if self._reaches(self.goal):
            return "goal"
        return "ok" if self._reaches(self.must) else "MISSED"

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        numbers = (self._text(self.value), self._text(self.goal), self._text(self.must))
        return self.name, *numbers, self.state, self.how

    def _reaches(self, limit: float | None) -> bool:
        if self.value is None or limit is None:
            return False
        return self.value >= limit if self.rising else self.value <= limit

    def _text(self, value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,.0f} {self.unit}".rstrip() if self.unit in ("MB", "/s", "") else f"{value:.3g} {self.unit}"


def text(figures: Sequence[Figure]) -> str:
    """A table for terminals."""
    rows = [HEADER, *(figure.cells for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def markdown(figures: Sequence[Figure]) -> str:
    """The same for a README."""
    rows = [HEADER, ("---",) * len(HEADER), *(figure.cells for figure in figures)]
    lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
    return f"Measured on {machine()}.\n\n" + "\n".join(lines) + "\n"


def machine() -> str:
    """What the figures were measured on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].split(":", 1)[1].strip() if models else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores ({model}), Python {platform.python_version()}"


def together(path: Path, figures: Sequence[Figure], groups: Sequence[str]) -> list[Figure]:
    """These, and those of an earlier run whose groups have not run now, in the order of all groups."""
    before = json.loads(path.read_text())["figures"] if path.exists() else []
    ran = {figure.group for figure in figures}
    kept = [Figure(**{key: row[key] for key in row if key != "state"}) for row in before if row["group"] not in ran]
    return sorted([*kept, *figures], key=lambda figure: groups.index(figure.group))


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """For scripts: the figures and the machine."""
    rows = [asdict(figure) | {"state": figure.state} for figure in figures]
    path.write_text(json.dumps({"machine": machine(), "figures": rows}, indent=1) + "\n")


def write_markdown(figures: Sequence[Figure], path: Path) -> None:
    """Puts the table between the two marks of a README. Raises ValueError when they are not there."""
    before, mark, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{path} has no {BEGIN} and {END}")
    path.write_text(f"{before}{BEGIN}\n{markdown(figures)}{END}{after}")

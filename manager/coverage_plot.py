"""The coverage ledger as a picture: bars over time, what was scanned below and each reason why something wasn't above.

The only file that imports matplotlib, which is an extra (`pip install tapscan[plot]`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from manager.coverage_view import Bar, kinds, words
from manager.options import Stop
from manager.visible import visible

COLOURS = ("#2e8b57", "#c0392b", "#e69f00", "#8e6bbf", "#56b4e9", "#0b4f8a", "#999999", "#8c564b", "#d6a5c9", "#444444")


def save(shown: Sequence[Bar], path: str) -> None:
    """Writes a PNG. Raises Stop."""
    try:
        dates: Any = import_module("matplotlib.dates")  # without types
        figures: Any = import_module("matplotlib.figure")
    except ImportError:
        raise Stop("--plot needs matplotlib: pip install matplotlib") from None
    figure = figures.Figure(figsize=(11, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    times = [datetime.fromtimestamp(bar.begin * 60, UTC) for bar in shown]
    wide = (shown[1].begin - shown[0].begin if len(shown) > 1 else 1) / 1440
    below = [0.0] * len(shown)
    for number, why in enumerate(kinds(shown)):
        heights = [bar.parts[why] / 1e6 for bar in shown]
        axes.bar(times, heights, wide, below, align="edge", color=COLOURS[number % len(COLOURS)], label=words(why))
        below = [low + height for low, height in zip(below, heights, strict=True)]
    locator = dates.AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    axes.set(title="What this tap protects", ylabel="MB of flows", xlabel="UTC")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, reverse=True)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise Stop(f"--plot {visible(path)}: {error.strerror}") from None

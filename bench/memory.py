"""Largest resident memory of `tapscan extract`: many open flows, one large object."""

from __future__ import annotations

from pathlib import Path

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure

LIMITS = {"flows": (500, 800), "large": (300, 400)}  # MB: goal, must
NAMES = {"flows": "memory, 100,000 open flows", "large": "memory, one object of 1 GB"}


def figures(places: Captures, _home: Path) -> list[Figure]:
    """One run each: memory does not vary as time does."""
    return [_figure(name, places) for name in LIMITS]


def _figure(name: str, places: Captures) -> Figure:
    goal, must = LIMITS[name]
    capture = places.synthetic(name)
    try:
        cost = peers.tapscan("extract", capture)
    except measure.Failed as failed:
        return Figure(NAMES[name], None, "MB", goal, must, str(failed))
    how = f"{cost.cpu:.1f} s CPU, capture of {capture.stat().st_size / 1e6:.0f} MB"
    return Figure(NAMES[name], cost.memory / 1e6, "MB", goal, must, how)

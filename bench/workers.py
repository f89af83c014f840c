"""Two processes that share the flows against one: wall time on two cores."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure

RUNS = 5
LIMITS = (0.55, 0.65)  # goal, must


def figures(places: Captures, _home: Path) -> list[Figure]:
    """Both captures; the limits are for the large one."""
    return [_figure("A", places, *LIMITS), _figure("small", places)]


def _figure(name: str, places: Captures, goal: float | None = None, must: float | None = None) -> Figure:
    label, unit, capture = f"extract --workers 2, wall, {name}", "x one", places.traffic(name)
    if capture is None:
        return Figure(label, None, unit, goal, must, places.why)
    if len(os.sched_getaffinity(0)) < 2:
        return Figure(label, None, unit, goal, must, "one core only")
    steps = {count: partial(peers.tapscan, "extract", capture, "--workers", count) for count in ("2", "1")}
    costs = measure.turns(RUNS, steps)
    if len(costs) < 2:
        return Figure(label, None, unit, goal, must, "failed")
    two, one = costs["2"], costs["1"]
    how = (
        f"{measure.median(two, 'wall'):.2f} s against {measure.median(one, 'wall'):.2f} s; "
        f"CPU {measure.median(two):.2f} s against {measure.median(one):.2f} s"
    )
    return Figure(label, measure.ratio(two, one, "wall"), unit, goal, must, how)

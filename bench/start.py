"""What a person waits for at least: the help, and a capture of 5 kB."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure

RUNS = 9
LIMITS = {"--help": (0.2, 0.3), "extract": (0.4, 0.6), "scan": (0.4, 0.6)}  # seconds, wall: goal, must


def figures(places: Captures, _home: Path) -> list[Figure]:
    """As a person calls it: no settings, whatever engines are found."""
    page = places.synthetic("page")
    steps = {"--help": partial(measure.run, [peers.TAPSCAN, "--help"])}
    steps |= {verb: partial(measure.run, [peers.TAPSCAN, verb, str(page)], (0, 1)) for verb in ("extract", "scan")}
    costs = measure.turns(RUNS, steps)
    return [_figure(name, costs.get(name)) for name in LIMITS]


def _figure(name: str, costs: list[measure.Cost] | None) -> Figure:
    label = "tapscan --help" if name == "--help" else f"{name} of a 5 kB capture"
    if costs is None:
        return Figure(label, None, "s", *LIMITS[name], "failed")
    return Figure(label, measure.median(costs, "wall"), "s", *LIMITS[name], f"{measure.median(costs):.2f} s CPU")

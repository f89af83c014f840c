"""`tapscan extract` against Suricata, tcpflow and tshark: CPU of the whole, start-up included."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench import measure, peers
from bench.collection import Captures
from bench.figures import Figure

RUNS = 5
LIMITS = {"A": (0.5, 1.0), "small": (0.8, 1.2)}  # goal, must; against Suricata
PEERS = {"suricata": peers.suricata, "tcpflow": peers.tcpflow, "tshark": peers.tshark}


def figures(places: Captures, home: Path) -> list[Figure]:
    """Two captures, each against what is installed of the peers."""
    return [figure for name in LIMITS for figure in _capture(name, places, home)]


def _capture(name: str, places: Captures, home: Path) -> list[Figure]:
    capture = places.traffic(name)
    if capture is None:
        goal, must = LIMITS[name]
        return [Figure(f"extract, CPU, {name}", None, "x Suricata", goal, must, places.why)]
    steps = {"tapscan": partial(peers.tapscan, "extract", capture)}
    steps |= {peer: partial(run, capture, home) for peer, run in PEERS.items() if not peers.missing(peer)}
    costs = measure.turns(RUNS, steps)
    return [_against(name, peer, costs) for peer in PEERS]


def _against(name: str, peer: str, costs: dict[str, list[measure.Cost]]) -> Figure:
    goal, must = LIMITS[name] if peer == "suricata" else (None, None)
    label, unit = f"extract, CPU, {name}", f"x {peer}"
    if peer not in costs or "tapscan" not in costs:
        return Figure(label, None, unit, goal, must, peers.missing(peer) or "failed")
    ours, theirs = costs["tapscan"], costs[peer]
    how = (
        f"{measure.median(ours):.2f} s against {measure.median(theirs):.2f} s; "
        f"wall {measure.median(ours, 'wall'):.2f} s against {measure.median(theirs, 'wall'):.2f} s"
    )
    return Figure(label, measure.ratio(ours, theirs), unit, goal, must, how)

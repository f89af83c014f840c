"""Downloads that hold a marker, past a SPAN port: how many the sensor stops, as their receiver sees it.

"claimed": frames were sent for it, and whether the sensor says that it was stopped; "real": the receiver has not got
all of it.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure
from bench.watching import ROOTLESS, Span, actions, claims, shaped, watched

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from downloads import MARKER_AT, SIZE, download, fetched

RUNS = 24
RATES = {"100mbit": (1.0, 0.95), "500mbit": (1.0, 0.9), "unshaped": (1.0, 0.9)}  # goal and must: share that is stopped


def figures(_: Captures, home: Path) -> Iterator[Figure]:
    """At each rate the share that is stopped; bytes past the marker; milliseconds from the last needed byte."""
    if os.geteuid() != 0:
        yield Figure("downloads stopped", None, "", 1.0, 0.9, ROOTLESS)
        return
    for rate, (goal, must) in RATES.items():
        got, documents = _run(home / rate, rate)
        past = [count - MARKER_AT for count in got]
        real = sum(count < SIZE for count in got)
        how = f"real {real} of {len(got)}, {claims(documents)}; "
        how += f"past the marker {statistics.median(past) / 1000:.0f} kB"
        yield Figure(f"downloads stopped, {rate}", real / len(got), "of all", goal, must, how, rising=True)
        waits = [one["latency"] / 1e6 for one in actions(documents) if "latency" in one]
        if waits and rate == "100mbit":
            how = f"{len(waits)} actions, slowest {max(waits):.1f} ms"
            yield Figure("last needed byte to frame, median", statistics.median(waits), "ms", 2, 10, how)


def _run(folder: Path, rate: str) -> tuple[list[int], list[dict[str, Any]]]:
    """Bytes that each download got, and what the sensor says."""
    with Span() as span, watched(folder, span.port) as documents, download(span, rate=0):
        shaped(span, span.server, rate)
        got = [fetched(span) for _ in range(RUNS)]
    return got, documents

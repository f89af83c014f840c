"""What the pool adds: `total / slowest` beside engines of 400 ms, milliseconds beside instant ones."""

from __future__ import annotations

import hashlib
import statistics
import time
from pathlib import Path

from bench.collection import Captures
from bench.figures import Figure
from engines.outcome import Scanned
from engines.pool import Pool
from engines.verdicts import Verdict
from reassembly.events import Flow
from reassembly.objects import Content, Object

FLOW = Flow("bench", bytes(4), 1, bytes(4), 2, "tcp", (), b"", b"", 0, "bench", False)


class Waiting:
    """An engine that takes its time, as a licensed scanner in another process does."""

    version: str | None = None
    database_version: str | None = None
    timeout = 10.0

    def __init__(self, name: str, seconds: float, slots: int) -> None:
        self.name, self.seconds, self.slots = name, seconds, slots

    def scan(self, target: Object) -> Verdict:
        if self.seconds:
            time.sleep(self.seconds)
        return Verdict(self.name, "clean")

    def check(self) -> str | None:
        return None

    def close(self) -> None:
        pass


def sample(number: int, size: int) -> Object:
    """An object of random-looking bytes."""
    payload = hashlib.shake_128(b"%d" % number).digest(size)
    digest = hashlib.sha256(payload).hexdigest()
    return Object(
        str(number), FLOW, 1, "file", "http", Content(size, payload), digest, "application/octet-stream", 0, 0
    )


def run(seconds: float, objects: int, pause: float) -> list[Scanned]:
    """Objects handed over one every `pause` seconds to three engines."""
    pool = Pool([Waiting(f"engine{number}", seconds, slots=16) for number in range(3)])
    scanned: list[Scanned] = []
    for number in range(objects):
        one = sample(number, 10_000)
        pool.submit(one, time.monotonic_ns())
        scanned += pool.results()
        time.sleep(pause)
    scanned += pool.drain()
    pool.close()
    return scanned


def figures(_places: Captures, _home: Path) -> list[Figure]:
    """Three engines of 400 ms and 100 objects that overlap; three instant ones and 500 objects."""
    slow = sorted(one.latency.total / one.latency.slowest for one in run(0.4, 100, 0.05))
    instant = sorted(one.latency.overhead / 1e6 for one in run(0.0, 500, 0.002))
    name = "latency, total / slowest engine, "
    return [
        Figure(name + "median", statistics.median(slow), "x", 1.02, 1.05, "three engines of 400 ms"),
        Figure(name + "p99", slow[int(len(slow) * 0.99)], "x", 1.10, 1.10, "the same"),
        Figure("latency, overhead, median", statistics.median(instant), "ms", 1.0, 3.0, "three instant engines"),
    ]

"""What the way to other hosts costs: hosts are network namespaces, engines wait or answer at once."""

from __future__ import annotations

import os
import secrets
import shutil
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure
from bench.latency import sample

SUPPORT = Path(__file__).parent.parent / "tests/support"
NAMES = ("one", "two", "three")
APART = {"a": ["one"], "b": ["two"], "c": ["three"]}
SIZES = (("1 kB", 1_000, 1.02, 1.05), ("100 kB", 100_000, 1.02, 1.05), ("1 MB", 1_000_000, 1.03, 1.10))
LONE = 40  # objects, one at a time


def figures(_places: Captures, home: Path) -> list[Figure]:
    """Lone objects of several sizes; many small ones; the same work on one and on four hosts."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return [Figure("cluster", None, how="root and iproute2 are needed for hosts in namespaces")]
    token = home / "token"
    token.write_text(secrets.token_hex(32))
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": str(SUPPORT)}
    sys.path.insert(0, str(SUPPORT))
    from fakes import Kitchen
    from hosts import Hosts

    with Hosts(home) as hosts:
        hosts.add("a", "b", "c", "d")
        slow = dict.fromkeys(NAMES, ("wait_400_ms", 10.0, 16))
        instant = dict.fromkeys(NAMES, ("clean", 10.0, 4))
        short = dict.fromkeys(NAMES, ("wait_20_ms", 10.0, 8))
        found = [*_lone(_pool(Kitchen(slow, APART), hosts, 3))]
        found += _instant(_pool(Kitchen(instant, APART), hosts, 3))
        one = _rate(_pool(Kitchen(short, {"a": NAMES}), hosts, 3), 1000, 10_000)
        four = _rate(_pool(Kitchen(short, dict.fromkeys("abcd", NAMES)), hosts, 12), 4000, 10_000)
    words = f"three engines of 20 ms, 10 kB: {one:.0f} and {four:.0f} objects/s, of 400 and 1,600"
    return [*found, Figure("cluster, 4 x one host / four hosts, objects/s", 4 * one / four, "x", 1.05, 1.11, words)]


def _pool(kitchen: Any, hosts: Any, engines: int) -> Any:
    from engines.cluster import Cluster

    pool = Cluster(kitchen, hosts.address)
    until = time.monotonic() + 60
    while sum(place.seat is not None for place in pool.places.copy().values()) < engines:
        if time.monotonic() > until:
            raise RuntimeError("not all hosts have come up")
        time.sleep(0.1)
    return pool


def _lone(pool: Any) -> list[Figure]:
    made = []
    for words, size, goal, must in SIZES:
        ratios = sorted(one.latency.total / one.latency.slowest for one in _one_by_one(pool, size))
        name = f"cluster, total / slowest engine, {words}, "
        made.append(Figure(name + "median", statistics.median(ratios), "x", goal, must, "three engines, three hosts"))
        made.append(Figure(name + "p99", ratios[int(len(ratios) * 0.99)], "x", 1.10, 1.10, "the same"))
    pool.close()
    return made


def _instant(pool: Any) -> list[Figure]:
    spent = statistics.median(one.latency.overhead / 1e6 for one in _one_by_one(pool, 10_000, 300))
    rate = _rate(pool, 20_000, 1_000)
    words = f"{rate:.0f} objects/s of 1 kB, three instant engines on other hosts, in batches"
    return [
        Figure("cluster, overhead, 10 kB, median", spent, "ms", 7.0, 12.0, "three instant engines on other hosts"),
        Figure("cluster, time an object", 1e6 / rate, "us", 100.0, 200.0, words),
    ]


def _one_by_one(pool: Any, size: int, objects: int = LONE) -> Sequence[Any]:
    results: list[Any] = []
    for number in range(objects + 3):
        target = sample(number, size)
        pool.submit(target, time.monotonic_ns())
        results += pool.drain()
    return results[3:]  # the first ones open connections


def _rate(pool: Any, objects: int, size: int) -> float:
    targets = [sample(number, size) for number in range(objects)]
    begun = time.monotonic()
    for target in targets:
        pool.submit(target, time.monotonic_ns())
        list(pool.results())
    list(pool.drain())
    seconds = time.monotonic() - begun
    pool.close()
    return objects / seconds

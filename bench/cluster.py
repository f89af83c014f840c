"""What the way to other hosts costs: hosts are network namespaces, engines wait or answer at once.

The pool is the one that `[pool] kind = "ray"` makes: `engines.failover`, with the cluster in a process of its own.
"""

from __future__ import annotations

import os
import secrets
import shutil
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure
from bench.latency import sample
from engines.pool import Pool

SUPPORT = Path(__file__).parent.parent / "tests/support"
NAMES = ("one", "two", "three")
APART = {"a": ["one"], "b": ["two"], "c": ["three"]}
SMALL = (("1 kB", 1_000), ("100 kB", 100_000))
AHEAD = 10_000_000  # bytes of an object whose parts are sent as they arrive
PART = 256 << 10  # bytes of these
WIRE = 100e6 / 8  # bytes a second
FIRST = 3  # objects that open connections and aren't measured
LONE = 40  # objects, one at a time
SUSTAINED = 10  # seconds of work for one host, and for four


def figures(_places: Captures, home: Path) -> list[Figure]:
    """Lone objects of several sizes; many small ones; the same work on one and on four hosts."""
    if lacking := lacks():
        return [Figure("cluster", None, how=lacking)]
    with hosts_of(home) as (hosts, kitchen):
        hosts.add("a", "b", "c", "d")
        hosts.wait()
        slow = dict.fromkeys(NAMES, ("wait_400_ms", 10.0, 16))
        instant = dict.fromkeys(NAMES, ("clean", 10.0, 4))
        short = dict.fromkeys(NAMES, ("wait_20_ms", 10.0, 8))
        found = [*_lone(pool_of(kitchen(slow, APART), hosts))]
        found += _instant(pool_of(kitchen(instant, APART), hosts))
        one = _rate(pool_of(kitchen(short, {"a": NAMES}), hosts), 400 * SUSTAINED, 10_000)
        four = _rate(pool_of(kitchen(short, dict.fromkeys("abcd", NAMES)), hosts), 1600 * SUSTAINED, 10_000)
    words = f"three engines of 20 ms that wait, 10 kB: {one:.0f} and {four:.0f} objects/s, of 400 and 1,600"
    name = "cluster, objects/s of four hosts / 4 x one host"
    return [*found, Figure(name, four / (4 * one), "x", 0.95, 0.9, words, rising=True)]


def lacks() -> str | None:
    """Why there can't be hosts here."""
    return None if os.geteuid() == 0 and shutil.which("ip") else "root and iproute2 are needed for hosts in namespaces"


@contextmanager
def hosts_of(home: Path) -> Iterator[tuple[Any, Any]]:
    """A head, to which hosts can be added; and the recipe of engines that do as they are told."""
    token = home / "token"
    token.write_text(secrets.token_hex(32))
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "PYTHONPATH": str(SUPPORT)}
    sys.path.insert(0, str(SUPPORT))
    from fakes import Kitchen
    from hosts import Hosts

    with Hosts(home) as hosts:
        yield hosts, Kitchen


def pool_of(kitchen: Any, hosts: Any) -> Any:
    """Comes back when all engines of all hosts are up."""
    from engines.failover import Failover

    return Failover(kitchen, hosts.address, lambda outcome: Pool([], outcome=outcome))


def _lone(pool: Any) -> Iterator[Figure]:
    for words, size in SMALL:
        median, p99 = _ratio(words, _one_by_one(pool, size), 1.02, 1.05)
        yield from (median, Figure(f"cluster, total / slowest engine, {words}, p99", p99, "x", 1.10, 1.10, "the same"))
    yield _ratio("1 MB", _one_by_one(pool, 1_000_000), 1.03, 1.10)[0]
    yield _ratio("10 MB sent ahead at 100 Mbit/s", _sent_ahead(pool), 1.05, 1.10)[0]
    pool.close()


def _ratio(words: str, scanned: Sequence[Any], goal: float, must: float) -> tuple[Figure, float]:
    """The median, and the 99th percentile."""
    ratios = sorted(one.latency.total / one.latency.slowest for one in scanned)
    p99 = ratios[int(len(ratios) * 0.99)]
    how = f"three engines of 400 ms on three hosts, {len(ratios)} objects; p99 {p99:.2f}"
    name = f"cluster, total / slowest engine, {words}, median"
    return Figure(name, statistics.median(ratios), "x", goal, must, how), p99


def _instant(pool: Any) -> list[Figure]:
    spent = statistics.median(one.latency.overhead / 1e6 for one in _one_by_one(pool, 10_000, 300))
    rate = _rate(pool, 40_000, 1_000)
    how = "three instant engines on other hosts"
    return [
        Figure("cluster, overhead, 10 kB, median", spent, "ms", 7.0, 12.0, how),
        Figure("cluster, objects/s of 1 kB, in batches", rate, "/s", 10_000, 5_000, how, rising=True),
    ]


def _one_by_one(pool: Any, size: int, objects: int = LONE) -> Sequence[Any]:
    results: list[Any] = []
    for number in range(objects + FIRST):
        target = sample(number, size)
        pool.submit(target, time.monotonic_ns())
        results += pool.drain()
    return results[FIRST:]


def _sent_ahead(pool: Any) -> Sequence[Any]:
    results: list[Any] = []
    for number in range(LONE // 2 + FIRST):
        target = sample(AHEAD + number, AHEAD)
        with target.content.view() as view:
            _arrive(pool, target.id, bytes(view), time.monotonic())
        pool.submit(target, time.monotonic_ns())
        results += pool.drain()
    return results[FIRST:]


def _arrive(pool: Any, key: str, payload: bytes, begun: float) -> None:
    """Hands parts over as they would come over the wire, and ends with the last byte."""
    for begin in range(0, len(payload), PART):
        part = payload[begin : begin + PART]
        time.sleep(max(begun + (begin + len(part)) / WIRE - time.monotonic(), 0))
        if len(part) == PART:  # what is less goes with the object
            pool.ahead.part(key, begin, part)


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

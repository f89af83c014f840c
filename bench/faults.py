"""What is lost while processes, hosts and cables of a cluster fail under load: nothing.

Every five seconds something happens to the next of four hosts, in turn: an engine's process is killed, the process
that makes it a host is killed (its service manager starts it again), its cable is pulled and put in again.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.cluster import hosts_of, lacks, pool_of
from bench.collection import Captures
from bench.figures import Figure
from bench.latency import sample

NAMES = "abcd"
LASTING = 120  # seconds
EVERY = 5  # seconds between two faults
CABLE = 2.5  # seconds without it
PAUSE = 0.01  # seconds between two objects
LARGE = 20  # one of so many is
SIZES = (2_000, 600_000)  # bytes of small and of large objects
PART = 256 << 10  # bytes of what goes ahead of these


def figures(_places: Captures, home: Path) -> list[Figure]:
    """Objects that were handed over and came back without a word of each engine, or not at all."""
    if lacking := lacks():
        return [Figure("faults", None, how=lacking)]
    with hosts_of(home) as (hosts, kitchen):
        hosts.add(*NAMES)
        hosts.wait()
        pool = pool_of(kitchen({"one": ("wait_20_ms", 10.0, 8), "two": ("digest", 10.0, 4)}), hosts)
        faults = itertools.cycle([_engine, _host, _cable])
        told, sent, failures = _under_load(pool, hosts, zip(itertools.cycle(NAMES), faults, strict=False))
        pool.close()
    words = ", ".join(f"{number:,} {status}" for status, number in told.most_common())
    how = f"{failures} faults in {LASTING} s under load, {sent:,} objects, two engines: {words}"
    missing = 2 * sent - sum(told.values())
    return [Figure("faults, verdicts that are missing", missing, "", 0, 0, how)]


def _under_load(pool: Any, hosts: Any, faults: Any) -> tuple[Counter[str], int, int]:
    """Verdicts by status; how many objects were handed over, how many faults there were."""
    told: Counter[str] = Counter()
    begun, sent, failures = time.monotonic(), 0, 0
    undo: Callable[[], None] | None = None
    while (now := time.monotonic() - begun) < LASTING:
        if undo is not None and now > failures * EVERY + CABLE:
            undo = undo()
        if now > (failures + 1) * EVERY:
            name, fault = next(faults)
            undo, failures = fault(hosts, name), failures + 1
        _submit(pool, sent)
        sent += 1
        told.update(verdict.status for one in pool.results() for verdict in one.verdicts)
        time.sleep(PAUSE)
    told.update(verdict.status for one in pool.drain() for verdict in one.verdicts)
    return told, sent, failures


def _submit(pool: Any, number: int) -> None:
    target = sample(number, SIZES[number % LARGE == 0])
    if target.size > PART:
        with target.content.view() as view:
            pool.ahead.part(target.id, 0, bytes(view[:PART]))
    pool.submit(target, time.monotonic_ns())


def _engine(hosts: Any, name: str) -> None:
    _kill(hosts.actors(name)[:1])


def _host(hosts: Any, name: str) -> Callable[[], None]:
    _kill(hosts.raylets(name))
    return lambda: hosts.restart(name)


def _cable(hosts: Any, name: str) -> Callable[[], None]:
    hosts.link(name, up=False)
    return lambda: hosts.link(name, up=True)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

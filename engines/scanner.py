"""One engine on one host of a cluster, as its actor runs it; nothing here knows Ray."""

from __future__ import annotations

import os
import platform
import socket
from collections import Counter, deque
from collections.abc import Sequence
from importlib.metadata import version
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from time import monotonic, monotonic_ns, sleep
from typing import Any, Protocol, TypeAlias

from engines.ahead import Held
from engines.lane import Job, Lane
from engines.parcel import unpacked
from engines.verdicts import Engine, Verdict
from reassembly.objects import Object
from sensor.noun import noun

TICK = 0.05  # seconds between two looks at the deadlines
LATELY = 10.0  # seconds of which `done` tells
KEPT = 100_000  # scans, at most, that it tells of


# An object without its bytes; how many of the parts are its own; the rest of its bytes. Without parts, and with less
# than all of its bytes, what is missing is held here.
Row: TypeAlias = tuple[Object, int, bytes]


class Recipe(Protocol):
    """The engines of a host, asked on that host: it travels by pickle, and names code that is installed there."""

    def names(self) -> Sequence[str]:
        """What the host is to run."""
        ...

    def make(self, name: str) -> Engine:
        """One of them; raises ValueError or OSError when it can't be made."""
        ...


@noun
class Facts:
    """What a host says of itself."""

    name: str
    versions: tuple[str, str, str]  # tapscan, Python, Ray
    engines: tuple[str, ...]


class _Errand(Job):
    """A scan asked for from elsewhere."""

    __slots__ = ("at", "replies")

    def __init__(self, target: Object, at: int, replies: SimpleQueue[tuple[int, Verdict]]) -> None:
        super().__init__(target, 0, monotonic_ns(), 1)
        self.at = at
        self.replies = replies


class Scanner:
    """The actor: one engine on one host."""

    def __init__(self, recipe: Recipe, name: str, host: str) -> None:
        self._engine = recipe.make(name)
        self._lane = Lane(0, self._engine, host, self._finished, Counter())
        self.held = Held()
        self.queue = 0  # objects that wait at its sensor for such an engine
        self._scanned = self._errors = 0
        self._lately: deque[tuple[float, int, float]] = deque(maxlen=KEPT)  # when, bytes, seconds
        Thread(target=self._watch, name="engine-deadlines", daemon=True).start()

    def describe(self) -> tuple[int, float, str | None, str | None]:
        """Slots, timeout, version and database of the engine."""
        one = self._engine
        return one.slots, one.timeout, one.version, one.database_version

    def scan(self, rows: list[Row], *parts: bytes) -> tuple[list[Verdict | None], int]:
        """A verdict for each object, None where parts that went ahead are missing; and how many scans hang."""
        replies: SimpleQueue[tuple[int, Verdict]] = SimpleQueue()
        apart = iter(parts)
        open_ = len(rows)
        for at, (about, count, rest) in enumerate(rows):
            if (given := self._given(about, [*islice(apart, count)], rest)) is None:
                open_ -= 1
            else:
                self._lane.put(_Errand(unpacked(about, given), at, replies))
        verdicts: dict[int, Verdict] = {}
        while len(verdicts) < open_:
            at, verdict = replies.get()
            if verdicts.setdefault(at, verdict) is verdict:
                self._note(rows[at][0].size, verdict)
        return [verdicts.get(at) for at in range(len(rows))], self._lane.stuck

    def _given(self, about: Object, parts: list[bytes], rest: bytes) -> list[bytes] | None:
        if parts or len(rest) == about.size:
            return [*parts, rest]
        held = self.held.take(about.id, about.size - len(rest))
        return None if held is None else [*held, rest]

    def done(self) -> dict[str, Any]:
        """What it has done: all objects and errors, and the rates, per second, and milliseconds of the latest ones."""
        lately = [one for one in self._lately if one[0] > monotonic() - LATELY]
        spent = sorted(1000 * seconds for _, _, seconds in lately)
        return {
            "version": self._engine.version,
            "database": self._engine.database_version,
            "scanned": self._scanned,
            "errors": self._errors,
            "waiting": self._lane.waiting(),
            "queue": self.queue,
            "seconds": LATELY,
            "objects_s": len(lately) / LATELY,
            "mb_s": sum(size for _, size, _ in lately) / LATELY / 1e6,
            "median_ms": spent[len(spent) // 2] if spent else None,
            "p99_ms": spent[len(spent) * 99 // 100] if spent else None,
        }

    def _note(self, size: int, verdict: Verdict) -> None:
        self._scanned += 1
        self._errors += verdict.status in ("error", "timeout")
        self._lately.append((monotonic(), size, verdict.seconds))

    def _watch(self) -> None:
        while True:
            sleep(TICK)
            self._lane.watch(monotonic())

    @staticmethod
    def _finished(job: Job, number: int, verdict: Verdict) -> None:
        assert isinstance(job, _Errand)
        job.replies.put((job.at, verdict))


def versions() -> tuple[str, str, str]:
    """Of tapscan, Python and Ray: hosts whose are others can't work together."""
    return version("tapscan"), platform.python_version(), version("ray")


def describe(recipe: Recipe) -> Facts:
    """Runs on a host that has just been seen."""
    return Facts(os.environ.get("TAPSCAN_HOST") or socket.gethostname(), versions(), tuple(recipe.names()))


def refusal(address: str, facts: Facts) -> str | None:
    """Why nothing may be sent to a host, or None."""
    if facts.versions == versions():
        return None
    theirs, ours = (" / ".join(one) for one in (facts.versions, versions()))
    return f"{address}: tapscan / Python / Ray {theirs} there, {ours} here: make them the same"

"""One engine on one host of a cluster, as its actor runs it; nothing here knows Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from time import monotonic, monotonic_ns, sleep
from typing import Protocol

from engines.lane import Job, Lane
from engines.parcel import unpacked
from engines.verdicts import Engine, Verdict
from reassembly.objects import Object
from sensor.noun import noun

TICK = 0.05  # seconds between two looks at the deadlines


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
        self._lane = Lane(0, self._engine, host, self._done, Counter())
        Thread(target=self._watch, name="engine-deadlines", daemon=True).start()

    def describe(self) -> tuple[int, float, str | None, str | None]:
        """Slots, timeout, version and database of the engine."""
        one = self._engine
        return one.slots, one.timeout, one.version, one.database_version

    def scan(self, rows: list[tuple[Object, bytes | int]], *parts: bytes) -> tuple[list[Verdict], int]:
        """A verdict for each object, and how many scans hang. A row has the bytes, or how many parts are its own."""
        replies: SimpleQueue[tuple[int, Verdict]] = SimpleQueue()
        apart = iter(parts)
        for at, (about, body) in enumerate(rows):
            given = [body] if isinstance(body, bytes) else islice(apart, body)
            self._lane.put(_Errand(unpacked(about, given), at, replies))
        verdicts: dict[int, Verdict] = {}
        while len(verdicts) < len(rows):
            at, verdict = replies.get()
            verdicts.setdefault(at, verdict)
        return [verdicts[at] for at in range(len(rows))], self._lane.stuck

    def _watch(self) -> None:
        while True:
            sleep(TICK)
            self._lane.watch(monotonic())

    @staticmethod
    def _done(job: Job, number: int, verdict: Verdict) -> None:
        assert isinstance(job, _Errand)
        job.replies.put((job.at, verdict))

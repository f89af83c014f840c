"""What is with the engines and what has come back, the same for the pool of this host and for a cluster."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from time import monotonic_ns
from typing import Protocol

from engines.lane import Job
from engines.verdicts import Verdict
from reassembly.growing import Ahead
from reassembly.objects import Object
from sensor.noun import noun

MAX_BYTES = 256 << 20  # of objects with the engines; over it, `submit` waits
MAX_OBJECTS = 20_000  # the same by number: tiny objects cost more than their bytes


@noun
class Latency:
    """Where the time of one object went, in nanoseconds.

    `transfer`: on the wire; `reassembly`: from its last byte's arrival to its handing over; `queue`: the longest wait
    before an engine; `slowest`: in the slowest engine; `total`: from arrival to the last verdict; `overhead`: the rest.
    """

    transfer: int
    reassembly: int
    queue: int
    slowest: int
    total: int
    overhead: int
    slowest_engine: str | None


@noun
class Scanned:
    """An object with one verdict of each engine, in the order of the engines."""

    target: Object
    verdicts: tuple[Verdict, ...]
    latency: Latency


class AnyPool(Protocol):
    """What `engines.pool`, `engines.cluster` and `engines.failover` offer: made, used and closed by one thread."""

    counters: Counter[str]

    @property
    def ahead(self) -> Ahead | None:
        """Takes parts of large objects while they arrive; None where nothing is gained by it."""
        ...

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        ...

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, in the order in which it was; with `wait`, at least one if any is open."""
        ...

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        ...

    def close(self) -> None:
        """Lets go of the engines."""
        ...


class Outcome:
    """Bounded: entered and read by one thread, filled by any. `told` is called when there is something to read."""

    def __init__(self, max_bytes: int, max_objects: int, told: Callable[[], None] | None = None) -> None:
        self._told = told
        self._max_bytes = max_bytes
        self._max_objects = max_objects
        self._finished: SimpleQueue[Scanned] = SimpleQueue()
        self._ready: deque[Scanned] = deque()  # taken from there
        self._open = 0  # entered and not taken
        self._bytes = 0  # of these

    def enter(self, target: Object) -> None:
        """Notes one more object; waits while too much is open."""
        while self._open and (self._bytes + target.size > self._max_bytes or self._open >= self._max_objects):
            self._take(self._finished.get())
        self._open += 1
        self._bytes += target.size

    def finish(self, job: Job) -> None:
        """The last engine has spoken; called by any thread."""
        verdicts = tuple(job.verdicts[number] for number in range(len(job.verdicts)))
        self._finished.put(Scanned(job.target, verdicts, latency(job, verdicts, monotonic_ns())))
        if self._told is not None:
            self._told()

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, in the order in which it was; with `wait`, at least one if any is open."""
        if wait and self._open and not self._ready:
            self._take(self._finished.get())
        while not self._finished.empty():
            self._take(self._finished.get())
        while self._ready:
            yield self._ready.popleft()

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        while self._open or self._ready:
            yield from self.results(wait=True)

    def _take(self, scanned: Scanned) -> None:
        self._open -= 1
        self._bytes -= scanned.target.size
        self._ready.append(scanned)


def latency(job: Job, verdicts: tuple[Verdict, ...], now: int) -> Latency:
    """Takes the time of one object apart; `now` is `monotonic_ns()`."""
    slowest = max(verdicts, key=lambda verdict: verdict.seconds, default=None)
    spent = int(slowest.seconds * 1e9) if slowest else 0
    total = now - job.arrived
    return Latency(
        transfer=max(job.target.time - job.target.began, 0),
        reassembly=job.submitted - job.arrived,
        queue=int(max((verdict.queued for verdict in verdicts), default=0.0) * 1e9),
        slowest=spent,
        total=total,
        overhead=total - spent,
        slowest_engine=slowest.engine if slowest else None,
    )

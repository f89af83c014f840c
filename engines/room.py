"""Where objects wait while the engines have enough to do, when their sender can't: on a live interface.

What the engines are given at a time is little, so that what could still be stopped (its flow goes on) is scanned
before the rest. The others wait in memory, over a bound on disk; over that bound they come back at once, unscanned, and
say so: `skipped`, with the reason `overload`.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import monotonic, monotonic_ns, sleep

from engines.lane import Job
from engines.outcome import AnyPool, Latency, Scanned, latency
from engines.spill import Spill, Ticket
from engines.verdicts import ENDED, OVERLOAD, Verdict
from reassembly.events import Flow
from reassembly.growing import Ahead
from reassembly.objects import Content, Object
from sensor.noun import noun, state

log = logging.getLogger(__name__)

GLANCE = 0.01  # seconds between two looks at what has finished
TELL = 60.0  # seconds between two words on the same overload


@noun
class Bounds:
    """How much may be where, in bytes and objects."""

    engines: int = 64 << 20
    engine_objects: int = 1000
    memory: int = 256 << 20
    disk: int = 4 << 30
    objects: int = 200_000  # that wait: what is known of an object stays in memory, some 2 kB


BOUNDS = Bounds()


@state
class _Waiting:
    target: Object
    arrived: int  # monotonic ns
    since: int  # monotonic ns
    ticket: Ticket | None = None  # of its bytes, where they are on disk


class Room:
    """Offers what the pool behind it offers, but `submit` never waits. Made, used and closed by one thread.

    `engines`: their names; `goes_on`: whether a flow does.
    """

    def __init__(
        self,
        pool: AnyPool,
        engines: Sequence[str],
        goes_on: Callable[[Flow], bool],
        bounds: Bounds = BOUNDS,
        directory: str | None = None,
    ) -> None:
        self.counters: Counter[str] = pool.counters
        self._pool = pool
        self._engines = engines
        self._goes_on = goes_on
        self._bounds = bounds
        self._spill = Spill(bounds.disk, directory)
        self._first: deque[_Waiting] = deque()  # their flows went on when they came
        self._rest: deque[_Waiting] = deque()
        self._memory = 0  # bytes of those that wait there
        self._open = 0  # objects with the engines
        self._bytes = 0  # of these
        self._waited: dict[Object, int] = {}  # ns, of those with the engines that have waited
        self._with: dict[Object, int] = {}  # those with the engines, and when they arrived
        self._refused: deque[Scanned] = deque()
        self._told = 0.0

    def change(self, engines: Sequence[str]) -> None:
        """The pool behind has others now, of these names."""
        self._engines = engines

    @property
    def ahead(self) -> Ahead | None:
        """Takes parts of large objects while they arrive; None where nothing is gained by it."""
        return self._pool.ahead

    @property
    def fullness(self) -> float:
        """Which share of the places to wait in is taken, 0 to 1."""
        bounds = self._bounds
        taken = (self._memory + self._spill.held) / max(bounds.memory + bounds.disk, 1)
        return max(taken, (len(self._first) + len(self._rest)) / bounds.objects)

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines, now or later. `arrived`: monotonic ns of its last byte."""
        if not self._first and not self._rest and self._fits(target.size):
            self._pass(target, arrived)
            return
        waiting = _Waiting(target, arrived, monotonic_ns())
        if len(self._first) + len(self._rest) < self._bounds.objects and self._keep(waiting):
            self._first.append(waiting)
            self._feed()
        else:
            self._refuse(waiting)

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished or refused; with `wait`, at least one if any is open."""
        while self._refused:
            wait = False
            yield self._refused.popleft()
        for one in self._pool.results(wait and self._open > 0):
            self._open -= 1
            self._bytes -= one.target.size
            self._with.pop(one.target, None)
            waited = self._waited.pop(one.target, 0)
            yield replace(one, latency=_later(one.latency, waited)) if waited else one
        self._feed()

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        while self._open or self._refused or self._first or self._rest:
            yield from self.results(wait=True)

    def finish(self, over: Callable[[], bool]) -> Iterator[Scanned]:
        """All that is open, as it finishes, or unscanned when the time is over."""
        while self._open or self._refused or self._first or self._rest:
            yield from self.results()
            if over():
                yield from self._unfinished()
                return
            sleep(GLANCE)

    def _unfinished(self) -> Iterator[Scanned]:
        yield from self._refused
        arrived = [*self._with.items(), *((one.target, one.arrived) for one in (*self._first, *self._rest))]
        log.error("the engines have not finished in time: %d objects have not been scanned", len(arrived))
        for target, when in arrived:
            yield self._unscanned(Job(target, when, monotonic_ns(), 0), ENDED)

    def close(self) -> None:
        """Lets go of the engines and of the disk."""
        self._pool.close()
        self._spill.close()

    def _fits(self, size: int) -> bool:
        bounds = self._bounds
        return not self._open or (self._open < bounds.engine_objects and self._bytes + size <= bounds.engines)

    def _pass(self, target: Object, arrived: int) -> None:
        self._open += 1
        self._bytes += target.size
        self._with[target] = arrived
        self._pool.submit(target, arrived)

    def _keep(self, waiting: _Waiting) -> bool:
        """Finds a place for its bytes, if they need one."""
        content = waiting.target.content
        if content.file is not None:
            return True
        if self._memory + content.size <= self._bounds.memory:
            self._memory += content.size
            return True
        with content.view() as view:
            waiting.ticket = self._spill.put(view)
        if waiting.ticket is None:
            return False
        waiting.target = replace(waiting.target, content=Content(content.size))
        return True

    def _feed(self) -> None:
        while (queue := self._next()) and self._fits(queue[0].target.size):
            waiting = queue.popleft()
            if (target := self._back(waiting)) is not None:
                self._waited[target] = monotonic_ns() - waiting.since
                self._pass(target, waiting.arrived)

    def _next(self) -> deque[_Waiting]:
        """The queue whose first is to be scanned next."""
        while self._first and not self._goes_on(self._first[0].target.flow):
            self._rest.append(self._first.popleft())
        return self._first or self._rest

    def _back(self, waiting: _Waiting) -> Object | None:
        """The object with its bytes; None when the disk doesn't give them back."""
        target = waiting.target
        if waiting.ticket is None:
            self._memory -= target.size if target.content.file is None else 0
            return target
        try:
            return replace(target, content=Content(target.size, self._spill.take(waiting.ticket)))
        except OSError as error:
            log.error("object %s can't be read back: %s", target.id, error)
            self._refuse(waiting)
            return None

    def _refuse(self, waiting: _Waiting) -> None:
        target = waiting.target
        if self._pool.ahead is not None:
            self._pool.ahead.forget(target.id)
        self.counters["overload.objects"] += 1
        self.counters["overload.bytes"] += target.size
        if monotonic() - self._told > TELL or not self._told:
            self._told = monotonic()
            told = self.counters["overload.objects"], self.counters["overload.bytes"] / 1e6
            log.error("overload: the engines can't keep up, %d objects (%.1f MB) have not been scanned", *told)
        self._refused.append(self._unscanned(Job(target, waiting.arrived, waiting.since, 0), OVERLOAD))

    def _unscanned(self, job: Job, why: str) -> Scanned:
        skipped = tuple(Verdict(name, "skipped", reason=why) for name in self._engines)
        return Scanned(job.target, skipped, latency(job, skipped, monotonic_ns()))


def _later(one: Latency, waited: int) -> Latency:
    """What was spent here is time in the queue, not in reassembly."""
    return replace(one, reassembly=one.reassembly - waited, queue=one.queue + waited)

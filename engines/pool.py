"""All engines on each object at once, in threads of this host.

The third arrow of the walk, `Object -> Verdict`: an object is queued for every engine in the same moment, and comes
back when the last one has answered or run out of time. YARA, sockets and child processes release the interpreter lock,
so threads are enough. `engines.cluster` offers the same on many hosts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic, monotonic_ns

from engines.lane import Job, Lane
from engines.verdicts import Engine, Verdict
from reassembly.objects import Object
from sensor.noun import noun

MAX_BYTES = 256 << 20  # of objects with the engines; over it, `submit` waits
MAX_OBJECTS = 20_000  # the same by number: tiny objects cost more than their bytes
TICK = 0.05  # seconds between two looks at the deadlines


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


class Pool:
    """Runs `engines` side by side. Made, used and closed by one thread."""

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        host: str | None = None,
        max_bytes: int = MAX_BYTES,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._max_bytes = max_bytes
        self._max_objects = max_objects
        self._lanes = [Lane(at, one, host or "local", self._done, self.counters) for at, one in enumerate(engines)]
        self._finished: SimpleQueue[Scanned] = SimpleQueue()  # by the engines' threads
        self._ready: deque[Scanned] = deque()  # taken from there
        self._open = 0  # submitted and not taken
        self._bytes = 0  # of these
        self._stop = Event()
        if self._lanes:
            Thread(target=self._watch, name="engine-deadlines", daemon=True).start()

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        while self._open and (self._bytes + target.size > self._max_bytes or self._open >= self._max_objects):
            self._take(self._finished.get())
        self._open += 1
        self._bytes += target.size
        job = Job(target, arrived, monotonic_ns(), len(self._lanes))
        for lane in self._lanes:
            lane.put(job)
        if not self._lanes:
            self._finish(job)

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

    def close(self) -> None:
        """Ends all threads and lets go of the engines."""
        self._stop.set()
        for lane in self._lanes:
            lane.close()

    def _take(self, scanned: Scanned) -> None:
        self._open -= 1
        self._bytes -= scanned.target.size
        self._ready.append(scanned)

    def _done(self, job: Job, number: int, verdict: Verdict) -> None:
        if job.say(number, verdict):
            self._finish(job)

    def _finish(self, job: Job) -> None:
        verdicts = tuple(job.verdicts[number] for number in range(len(self._lanes)))
        self._finished.put(Scanned(job.target, verdicts, _latency(job, verdicts, monotonic_ns())))

    def _watch(self) -> None:
        while not self._stop.wait(TICK):
            now = monotonic()
            for lane in self._lanes:
                lane.watch(now)


def _latency(job: Job, verdicts: tuple[Verdict, ...], now: int) -> Latency:
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

"""All engines on each object at once, in threads of this host.

The third arrow of the walk, `Object -> Verdict`: an object is queued for every engine in the same moment, and comes
back when the last one has answered or run out of time. YARA, sockets and child processes release the interpreter lock,
so threads are enough. `engines.cluster` offers the same on many hosts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Event, Thread
from time import monotonic, monotonic_ns

from engines.lane import Job, Lane
from engines.outcome import MAX_BYTES, MAX_OBJECTS, Outcome, Scanned
from engines.verdicts import Engine, Verdict
from reassembly.objects import Object

TICK = 0.05  # seconds between two looks at the deadlines


class Pool:
    """Runs `engines` side by side. Made, used and closed by one thread."""

    ahead = None  # an object in this host's memory is where its engines are

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        host: str | None = None,
        max_bytes: int = MAX_BYTES,
        max_objects: int = MAX_OBJECTS,
        outcome: Outcome | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._outcome = outcome or Outcome(max_bytes, max_objects)
        self._lanes = [Lane(at, one, host or "local", self._done, self.counters) for at, one in enumerate(engines)]
        self._stop = Event()
        if self._lanes:
            Thread(target=self._watch, name="engine-deadlines", daemon=True).start()

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        self._outcome.enter(target)
        job = Job(target, arrived, monotonic_ns(), len(self._lanes))
        for lane in self._lanes:
            lane.put(job)
        if not self._lanes:
            self._outcome.finish(job)

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, in the order in which it was; with `wait`, at least one if any is open."""
        return self._outcome.results(wait)

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        return self._outcome.drain()

    def close(self) -> None:
        """Ends all threads and lets go of the engines."""
        self._stop.set()
        for lane in self._lanes:
            lane.close()

    def _done(self, job: Job, number: int, verdict: Verdict) -> None:
        if job.say(number, verdict):
            self._outcome.finish(job)

    def _watch(self) -> None:
        while not self._stop.wait(TICK):
            now = monotonic()
            for lane in self._lanes:
                lane.watch(now)

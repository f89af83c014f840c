"""One engine's place in the pool: its queue, its threads, its deadline and its health.

An engine that is slow, hangs, crashes or is away costs only its own verdicts: a scan over its deadline becomes
`timeout` and its thread is replaced; an engine that can't be reached is asked again after a growing pause, and until
then says `error` at once.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from time import monotonic

from engines.verdicts import Engine, Verdict
from reassembly.objects import Object

log = logging.getLogger(__name__)

GRACE = 0.5  # seconds over an engine's own timeout before the pool stops waiting for it
FAILURES = 3  # errors in a row before the engine is asked whether it is there
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries of an engine that is away
STUCK_PER_SLOT = 4  # threads given up on, for each slot, before the engine is left alone until one comes back


class Job:
    """One object on its way through all engines. Its fields change by single steps that no lock needs to guard."""

    __slots__ = ("arrived", "submitted", "target", "verdicts", "waiting")

    def __init__(self, target: Object, arrived: int, submitted: int, engines: int) -> None:
        self.target = target
        self.arrived = arrived  # monotonic ns
        self.submitted = submitted  # monotonic ns
        self.verdicts: dict[int, Verdict] = {}  # by the number of the lane
        self.waiting = list(range(engines))  # a token a verdict; who takes the last one is the last

    def say(self, number: int, verdict: Verdict) -> bool:
        """Notes what an engine says, the first time it does; True when that was the last word."""
        return self.verdicts.setdefault(number, verdict) is verdict and self.waiting.pop() == 0


Done = Callable[[Job, int, Verdict], None]  # the job, the number of the lane, what its engine says


class _Worker:
    __slots__ = ("given_up", "now")

    def __init__(self) -> None:
        self.now: tuple[Job, float] | None = None  # what it scans, and since when (monotonic seconds)
        self.given_up = False


class Lane:
    """A queue before one engine. `done` is called for each job, from any thread; after a timeout it may be twice."""

    def __init__(self, number: int, engine: Engine, host: str, done: Done, counters: Counter[str]) -> None:
        self.engine = engine
        self._number = number
        self._host = host
        self._done = done
        self._counters = counters
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()  # None ends a thread
        self._changing = Lock()  # of the two below
        self._workers: set[_Worker] = set()
        self.stuck = 0  # threads given up on
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._away_until = 0.0
        self._away: str | None = None

    def put(self, job: Job) -> None:
        """Queues a job; starts another thread while there are fewer than slots."""
        self._jobs.put(job)
        if len(self._workers) < self.engine.slots:
            self._start()

    def waiting(self) -> int:
        """Jobs in the queue."""
        return self._jobs.qsize()

    def watch(self, now: float) -> None:
        """Gives up on scans over their deadline; `now` is `monotonic()`."""
        for worker in tuple(self._workers):
            if (at_work := worker.now) is not None and now - at_work[1] > self.engine.timeout + GRACE:
                self._give_up(worker)
                self._counters[f"{self.engine.name}.timeout"] += 1
                verdict = self._verdict("timeout", f"no answer within {self.engine.timeout:g} s")
                self._say(at_work[0], verdict, 0.0, now - at_work[1])
        if not self._workers:
            self._refuse_all()

    def close(self) -> None:
        """Lets idle threads end; what hangs is left behind (threads are daemons)."""
        for _ in range(self.engine.slots):
            self._jobs.put(None)
        self.engine.close()

    def _give_up(self, worker: _Worker) -> None:
        with self._changing:
            worker.given_up = True
            self._workers.discard(worker)
            self.stuck += 1
        if not self._jobs.empty():
            self._start()

    def _refuse_all(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                return
            if job is not None:
                self._say(job, self._verdict("error", f"{self.stuck} earlier scans still hang"), 0.0, 0.0)

    def _start(self) -> None:
        with self._changing:
            if len(self._workers) >= self.engine.slots or self.stuck >= self.engine.slots * STUCK_PER_SLOT:
                return
            worker = _Worker()
            self._workers.add(worker)
        Thread(target=self._work, args=(worker,), name=f"engine-{self.engine.name}", daemon=True).start()

    def _work(self, worker: _Worker) -> None:
        while (job := self._jobs.get()) is not None:
            begun = monotonic()
            worker.now = job, begun
            verdict = self._scan(job.target)
            seconds = monotonic() - begun
            worker.now = None
            self._say(job, verdict, max(begun - job.submitted / 1e9, 0.0), seconds)
            if worker.given_up:
                break
        with self._changing:
            self._workers.discard(worker)
            self.stuck -= worker.given_up

    def _scan(self, target: Object) -> Verdict:
        if self._away is not None and (left := self._away_until - monotonic()) > 0:
            return self._verdict("error", f"{self._away}; next try in {left:.0f} s")
        try:
            verdict = self.engine.scan(target)
            self._note(verdict.status in ("error", "timeout"))
        except Exception as error:  # the edge of one scan: it costs this verdict only, counted and logged
            log.exception("engine %s failed on object %s of flow %s", self.engine.name, target.id, target.flow.id)
            self._counters[f"{self.engine.name}.exception"] += 1
            verdict = self._verdict("error", f"{type(error).__name__}: {error}")
        return verdict

    def _note(self, failed: bool) -> None:
        """Keeps the engine's health: after some failures in a row it is asked whether it is there at all."""
        if not failed:
            self._failures, self._away, self._pause = 0, None, FIRST_PAUSE
            return
        self._failures += 1
        if self._failures < FAILURES and self._away is None:
            return
        self._away = self.engine.check()
        if self._away is None:
            self._failures, self._pause = 0, FIRST_PAUSE
        else:
            self._away_until = monotonic() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _verdict(self, status: str, reason: str) -> Verdict:
        return Verdict(self.engine.name, status, reason=reason)  # type: ignore[arg-type]

    def _say(self, job: Job, verdict: Verdict, queued: float, seconds: float) -> None:
        full = verdict.given_by(self.engine.version, self.engine.database_version, self._host, seconds, queued)
        self._done(job, self._number, full)

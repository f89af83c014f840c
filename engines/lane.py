"""One engine's place in the pool: its queue, its threads, its deadline and its health.

An engine that is slow, hangs, crashes or is away costs only its own verdicts: a scan over its deadline becomes
`timeout` and its thread is replaced; an engine that can't be reached is asked again after a growing pause, and until
then says `error` at once.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from threading import Condition, Thread
from time import monotonic

from engines.verdicts import Engine, Verdict
from reassembly.objects import Object

log = logging.getLogger(__name__)

GRACE = 0.5  # seconds over an engine's own timeout before the pool stops waiting for it
FAILURES = 3  # errors in a row before the engine is asked whether it is there
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds between two tries of an engine that is away
STUCK_PER_SLOT = 4  # threads given up on, for each slot, before the engine is left alone until one comes back


class Job:
    """One object on its way through all engines."""

    __slots__ = ("arrived", "submitted", "target", "verdicts", "waiting")

    def __init__(self, target: Object, arrived: int, submitted: int, engines: int) -> None:
        self.target = target
        self.arrived = arrived  # monotonic ns
        self.submitted = submitted  # monotonic ns
        self.verdicts: list[Verdict | None] = [None] * engines
        self.waiting = engines


Done = Callable[[Job, int, Verdict], None]  # the job, the number of the lane, what its engine says


class _Worker:
    __slots__ = ("begun", "given_up", "job")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.begun = 0.0
        self.given_up = False


class Lane:
    """A queue before one engine. `done` is called once for each job, from any thread."""

    def __init__(self, number: int, engine: Engine, host: str, done: Done, counters: Counter[str]) -> None:
        self.engine = engine
        self._number = number
        self._host = host
        self._done = done
        self._counters = counters
        self._queue: deque[Job] = deque()
        self._changed = Condition()
        self._workers: set[_Worker] = set()
        self._idle = 0
        self._stuck = 0
        self._failures = 0
        self._pause = FIRST_PAUSE
        self._away_until = 0.0
        self._away: str | None = None
        self._closed = False

    def put(self, job: Job) -> None:
        """Queues a job; starts another thread when all are busy and a slot is free."""
        with self._changed:
            self._queue.append(job)
            if self._idle >= len(self._queue):
                self._changed.notify()
            elif len(self._workers) < self.engine.slots and self._stuck < self.engine.slots * STUCK_PER_SLOT:
                self._start()
            elif self._idle:
                self._changed.notify()

    def watch(self, now: float) -> None:
        """Gives up on scans over their deadline; `now` is `monotonic()`."""
        late = []
        with self._changed:
            for worker in tuple(self._workers):
                if worker.job is not None and now - worker.begun > self.engine.timeout + GRACE:
                    worker.given_up = True
                    self._workers.discard(worker)
                    self._stuck += 1
                    late.append((worker.job, now - worker.begun))
                    if self._queue and self._stuck < self.engine.slots * STUCK_PER_SLOT:
                        self._start()
            refused = self._refuse_all() if not self._workers and self._queue else []
        for job, seconds in late:
            self._counters[f"{self.engine.name}.timeout"] += 1
            self._say(job, self._verdict("timeout", f"no answer within {self.engine.timeout:g} s"), 0.0, seconds)
        for job in refused:
            self._say(job, self._verdict("error", f"{self._stuck} earlier scans still hang"), 0.0, 0.0)

    def close(self) -> None:
        """Lets idle threads end; what hangs is left behind (threads are daemons)."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.engine.close()

    def _refuse_all(self) -> list[Job]:
        refused = list(self._queue)
        self._queue.clear()
        return refused

    def _start(self) -> None:
        worker = _Worker()
        self._workers.add(worker)
        Thread(target=self._work, args=(worker,), name=f"engine-{self.engine.name}", daemon=True).start()

    def _next(self, worker: _Worker) -> Job | None:
        with self._changed:
            worker.job = None
            while not self._queue:
                if self._closed:
                    self._workers.discard(worker)
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            worker.job = self._queue.popleft()
            worker.begun = monotonic()
            return worker.job

    def _work(self, worker: _Worker) -> None:
        while (job := self._next(worker)) is not None:
            queued = worker.begun - job.submitted / 1e9
            verdict = self._scan(job.target)
            seconds = monotonic() - worker.begun
            with self._changed:
                if worker.given_up:
                    self._stuck -= 1
                    return
                worker.job = None
            self._say(job, verdict, max(queued, 0.0), seconds)

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
        engine = self.engine
        version = verdict.engine_version or engine.version
        database = verdict.database_version or engine.database_version
        full = replace(
            verdict, engine_version=version, database_version=database, seconds=seconds, queued=queued, host=self._host
        )
        self._done(job, self._number, full)

"""The capture workers as the manager has them: started, heard, started again when they die, and ended.

A worker's sockets stay open here. When it dies, the kernel goes on filling their rings, and its successor reads on from
there: what is lost is what it had in its own memory.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from typing import Any

from manager.bell import Bell
from manager.capture_worker import Task
from manager.channel import REFUSED, Receiver, Said
from manager.children import Kills, Process, Start, how
from manager.pipeline import Arrived
from manager.settings import Settings
from reassembly.acting import Order
from reassembly.events import Flow, FlowEnd
from reassembly.growing import Ahead
from reassembly.known import Known, Met
from reassembly.objects import Object
from sensor.noun import state

log = logging.getLogger(__name__)

TICK = 0.1  # seconds
START = 60.0  # seconds for a worker's first word
STUCK = 30.0  # seconds without a word after which a worker is ended
FAREWELL = 20.0  # seconds for workers to read what they have, once they are told to stop
PAUSE = 0.2  # seconds before a worker that died is started again
BUFFER = 4 << 20  # bytes that may be on their way from a worker, where the system lets us


@state
class _Worker:
    task: Task
    process: Process | None = None
    receiver: Receiver | None = None  # None: it is not there
    said: Said = Said()
    up: bool = False  # it captures
    heard: float = 0.0
    flows: dict[str, Flow] = field(default_factory=dict)  # that have given objects and go on
    retry_at: float = 0.0
    renewed: bool = False  # it ends because it has another task


class Workers:
    """All of them together. Made, used and closed by one thread.

    `ahead`: who wants parts of large objects. `start`: who starts them. `bell`: wakes us.
    """

    def __init__(self, tasks: Sequence[Task], ahead: Ahead | None, start: Start, bell: Bell | None = None) -> None:
        self.died = 0
        self.windows: list[Object] = []  # of objects that are still arriving, for who takes them
        self.met: list[tuple[str, Met]] = []  # what was known to be bad, with the action on it, for the same
        self.bell = bell or Bell()
        self._begin = start
        self._kills = Kills()
        self._ahead = ahead
        self._past = Said()  # what those that died had counted
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.bell, selectors.EVENT_READ)
        self._workers = [_Worker(replace(task, ahead=ahead is not None)) for task in tasks]
        self._deadline: float | None = None  # once they are told to stop
        self._level = 0
        self._known = Known()
        self._first: list[Arrived] = []  # what came before all captured
        for worker in self._workers:
            self._start(worker)

    @property
    def said(self) -> Said:
        """What all of them have counted."""
        return sum((worker.said for worker in self._workers), self._past)

    def ended_for(self) -> float:
        """Seconds since they had to be ready, once they were told to stop; less than 0 before."""
        return -1.0 if self._deadline is None else time.monotonic() - self._deadline

    def answer(self) -> bool:
        """Whether each of them has said something lately, or is being started."""
        now = time.monotonic()
        return all(worker.receiver is None or now - worker.heard <= STUCK for worker in self._workers)

    def now(self) -> int:
        """Ns since 1970: of the system, or of the capture that is played."""
        return max(worker.said.now for worker in self._workers)

    def wait(self) -> None:
        """Until all of them capture, or have died."""
        while any(worker.receiver is not None and not worker.up for worker in self._workers):
            for key, _ in self._selector.select(TICK):
                self._first += self._hear(key.data)
            for worker in self._workers:
                self._look_after(worker)

    def stop(self) -> None:
        """They read what they have, then end. May be called by a signal's handler."""
        self._deadline = self._deadline or time.monotonic() + FAREWELL
        for worker in self._workers:
            if worker.process is not None:
                worker.process.terminate()

    def products(self, after: Callable[[], None]) -> Iterator[Arrived]:
        """What they find, until all have ended; `after` is called again and again, whether something comes or not."""
        yield from self._first
        while any(worker.receiver is not None or worker.retry_at for worker in self._workers):
            for key, _ in self._selector.select(TICK):
                yield from self._hear(key.data)
            for worker in self._workers:
                self._look_after(worker)
            yield time.monotonic_ns(), None
            after()

    def order(self, level: int) -> None:
        """Tells all of them which new flows to take (`manager.overload`), at least."""
        if level != self._level:
            self._level = level
            for worker in self._workers:
                if worker.receiver is not None:
                    worker.receiver.order(level)

    def end(self, order: Order) -> None:
        """Has the worker that follows a flow end it."""
        for worker in self._workers:
            if worker.receiver is not None:
                worker.receiver.hand(order)

    def know(self, known: Known) -> None:
        """Tells all of them, and those that are started from now on, what is to be acted on as soon as it is met."""
        self._known = known
        for worker in self._workers:
            if worker.receiver is not None:
                worker.receiver.hand(known)

    def change(self, settings: Settings) -> None:
        """Gives all of them other settings, and those that are started from now on."""
        for worker in self._workers:
            worker.task = replace(worker.task, settings=settings)
            if worker.receiver is not None:
                worker.receiver.hand(settings)

    def renew(self, tasks: Sequence[Task]) -> None:
        """Each ends in order, and is started again with another task."""
        for worker, task in zip(self._workers, tasks, strict=True):
            worker.task, worker.renewed = replace(task, ahead=self._ahead is not None), True
            if worker.process is not None:
                worker.process.terminate()

    def close(self) -> None:
        """Ends those that are left."""
        for worker in self._workers:
            if worker.process is not None:
                worker.process.kill()
                worker.process.wait()
        self._selector.close()
        self.bell.close()

    def _start(self, worker: _Worker) -> None:
        with _held_back(signal.SIGTERM):
            numbers = [number for _, number in worker.task.interfaces]
            if worker.task.countering is not None:
                numbers.append(worker.task.countering.requests)
            process, ours = self._begin("manager.capture_worker", worker.task, numbers, BUFFER)
        worker.process = process
        worker.receiver, worker.said, worker.up, worker.retry_at = Receiver(ours), Said(), False, 0.0
        worker.receiver.order(self._level)
        if self._known:
            worker.receiver.hand(self._known)
        worker.heard = time.monotonic() + START - STUCK
        self._selector.register(ours, selectors.EVENT_READ, worker)

    def _hear(self, worker: _Worker | None) -> Iterator[Arrived]:
        if worker is None:
            self.bell.silence()
        if worker is None or worker.receiver is None:
            return
        try:
            heard = worker.receiver.heard()
        except REFUSED as error:
            log.error("a capture worker says what none would: %s", error)
            self._kill(worker)
            heard = None
        if heard is None:
            yield from self._ended(worker)
            return
        worker.heard = time.monotonic()
        for one in heard:
            if (arrived := self._take(worker, one)) is not None:
                yield arrived

    def _take(self, worker: _Worker, one: Any) -> Arrived | None:
        match one:
            case Said():
                worker.said, worker.up = one, True
            case (int() as arrived, Object() as target):
                worker.flows[target.flow.id] = target.flow
                return arrived, target
            case (int() as arrived, FlowEnd() as end):
                worker.flows.pop(end.flow.id, None)
                return arrived, end
            case ("part", key, begin, piece) if self._ahead is not None:
                self._ahead.part(key, begin, piece)
            case ("window", Object() as target):
                self.windows.append(target)
            case ("met", str() as action, Met() as met):
                self.met.append((action, met))
            case ("forget", key) if self._ahead is not None:
                self._ahead.forget(key)
        return None

    @staticmethod
    def _kill(worker: _Worker) -> None:
        if worker.process is not None:
            worker.process.kill()

    def _look_after(self, worker: _Worker) -> None:
        now = time.monotonic()
        late = now - worker.heard > STUCK or (self._deadline is not None and now > self._deadline)
        if worker.receiver is not None and late:
            log.error("a capture worker doesn't answer: it is ended")
            self._kill(worker)
            worker.heard = now
        if worker.retry_at and now > worker.retry_at:
            self._start(worker)

    def _ended(self, worker: _Worker) -> Iterator[Arrived]:
        assert worker.receiver is not None
        assert worker.process is not None
        self._selector.unregister(worker.receiver.socket)
        worker.receiver.socket.close()
        worker.receiver = None
        code = worker.process.wait()
        said, ordered = worker.said, worker.said.last
        if ordered and not worker.renewed:
            return
        self._past, worker.said, worker.renewed = self._past + replace(said, flows=0, last=False), Said(), False
        if ordered:
            worker.retry_at = time.monotonic()
            return
        self.died += 1
        log.error(
            "a capture worker died (%s): %d flows that were open are lost", how(code, self._kills.more()), said.flows
        )
        flows, worker.flows = worker.flows, {}
        if self._deadline is None:
            worker.retry_at = time.monotonic() + PAUSE
        for flow in flows.values():
            end = FlowEnd(flow, "unknown", "eviction", flow.time, (0, 0), (0, 0), (0, 0), 1, (), {}, "crash")
            yield time.monotonic_ns(), end


@contextlib.contextmanager
def _held_back(number: signal.Signals) -> Iterator[None]:
    """A process that is started meanwhile gets the signal when it says that it is ready for it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

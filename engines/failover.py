"""A cluster behind a wall: Ray runs in a process of its own, and when it is lost the engines of this host go on.

Offers what `engines.pool` and `engines.cluster` offer. Ray ends a process that can't reach the head for long; here that
is a process which may end. What it had open is scanned again by the local engines, so an object comes back once, and
while the cluster is away nothing waits for it. Every `RETRY` seconds it is tried again.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Self, TypeVar

from engines.ahead import Sent
from engines.lane import Job
from engines.outcome import MAX_BYTES, MAX_OBJECTS, AnyPool, Outcome, Scanned
from engines.parcel import label, pieces, unpacked
from engines.scanner import Recipe
from reassembly.objects import Object

T = TypeVar("T")

log = logging.getLogger(__name__)

LOST = 6.0  # seconds without a word of the head after which the cluster is lost
PAUSE = 1.0  # seconds between two looks whether it is
COME = 30.0  # the same when it is begun with: Ray looks around first
RETRY = 5.0  # seconds between two tries to get back to a cluster that was lost
FAREWELL = 10.0  # seconds for the process to leave the cluster in order
TOGETHER = 64  # objects or verdicts in one message, at most; nothing waits for company
MESSAGE = 256 << 10  # bytes of them, but for the last: a large object is on its way while it is read
CHILD = "import engines.failover as f, sys; f.child(int(sys.argv[1]))"


class NoCluster(Exception):
    """The cluster can't be used; the text says why."""


class Failover:
    """`local` makes the pool that scans while the cluster is away, given where its results go.

    Raises NoCluster when there is no cluster at the start. Made, used and closed by one thread.
    """

    def __init__(
        self,
        recipe: Recipe,
        address: str,
        local: Callable[[Outcome], AnyPool],
        *,
        max_bytes: int = MAX_BYTES,
        max_objects: int = MAX_OBJECTS,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._outcome = Outcome(max_bytes, max_objects)
        self._arguments = recipe, address
        self._make_local = local
        self._local: AnyPool | None = None
        self._changing = Lock()  # of the three below
        self._link: _Link | None = None  # while the cluster is there
        self._open: dict[int, tuple[Object, int]] = {}  # what it has: the object, and when it arrived
        self._number = 0
        self._stop = Event()
        first = _Link(*self._arguments)
        if (why := first.wait()) is not None:
            raise NoCluster(why)
        self._link = first
        self._thread = Thread(target=self._watch, name="cluster-link", daemon=True)
        self._thread.start()

    @property
    def ahead(self) -> Self:
        """Takes parts of large objects."""
        return self

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """Bytes from `begin` on of the object with the id `key`, which is still arriving."""
        with self._changing:
            if self._link is not None:
                self._link.sent.part(key, begin, piece)

    def forget(self, key: str) -> None:
        """An object of which parts are there won't come."""
        with self._changing:
            if self._link is not None:
                self._link.sent.forget(key)

    def submit(self, target: Object, arrived: int) -> None:
        """Hands an object to all engines. `arrived`: monotonic ns of its last byte. Waits while too much is open."""
        self._outcome.enter(target)
        with self._changing:
            if self._link is not None:
                self._number += 1
                self._open[self._number] = target, arrived
                self._link.send(self._number, target, arrived)
                return
        self._alone().submit(target, arrived)

    def results(self, wait: bool = False) -> Iterator[Scanned]:
        """What is finished, in the order in which it was; with `wait`, at least one if any is open."""
        return self._outcome.results(wait)

    def drain(self) -> Iterator[Scanned]:
        """All that is open, as it finishes."""
        return self._outcome.drain()

    def close(self) -> None:
        """Leaves the cluster; ends the local engines."""
        self._stop.set()
        with self._changing:
            link = self._link
        if link is not None:
            link.leave()
        self._thread.join(FAREWELL)
        if self._local is not None:
            self._local.close()

    def _alone(self) -> AnyPool:
        if self._local is None:
            self._local = self._make_local(_Into(self._outcome))
        return self._local

    def _watch(self) -> None:
        """Takes what the cluster says; when it is lost, goes on without, and looks whether it comes back."""
        while self._link is not None:
            why = self._listen(self._link)
            if self._stop.is_set():
                return
            self._lose(why)
            self._return()

    def _listen(self, link: _Link) -> str:
        heard = monotonic()
        for said in link.heard():
            if said[0] == "heard":
                heard = monotonic()
            elif said[0] == "scanned":
                for number, submitted, verdicts in said[1]:
                    self._scanned(number, submitted, verdicts)
            elif said[0] == "counters":
                self.counters.update(said[1])
            elif said[0] == "log":
                log.log(said[1], "%s", said[2])
            if monotonic() - heard > LOST:
                return "its head doesn't answer"
        return "its process ended"

    def _scanned(self, number: int, submitted: int, verdicts: dict[int, Any]) -> None:
        with self._changing:
            known = self._open.pop(number, None)
        if known is not None:
            job = Job(known[0], known[1], submitted, 0)
            job.verdicts = verdicts
            self._outcome.finish(job)

    def _lose(self, why: str) -> None:
        log.error("the cluster is lost (%s): scanning with the engines of this host", why)
        self.counters["cluster.lost"] += 1
        with self._changing:
            link, self._link = self._link, None
            left, self._open = self._open, {}
            alone = self._alone()
        if link is not None:
            link.end()
        for target, arrived in left.values():
            alone.submit(target, arrived)

    def _return(self) -> None:
        while not self._stop.wait(RETRY):
            link = _Link(*self._arguments)
            if link.wait() is None:
                log.warning("the cluster is back")
                with self._changing:
                    self._link = link
                return


class _Into(Outcome):
    """Where the local pool puts its results while the one that counts what is open is another."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(0, 0)
        self._outcome = outcome

    def enter(self, target: Object) -> None:
        """Counted already."""

    def finish(self, job: Job) -> None:
        """Passed on."""
        self._outcome.finish(job)


class _Link:
    """The other process, and the pipe to it."""

    def __init__(self, recipe: Recipe, address: str) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for us: it ends when we leave
            )
        self._connection = Connection(ours.detach())
        self._queue: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        self.sent = Sent(lambda *part: self._queue.put(("part", *part)), lambda key: self._queue.put(("forget", key)))
        with contextlib.suppress(OSError):  # it has died already: `wait` says so
            self._connection.send((recipe, address))
        Thread(target=self._write, name="cluster-pipe", daemon=True).start()

    def wait(self) -> str | None:
        """Until the cluster is there: None; or why not."""
        why, heard = "its process ended at once", monotonic()
        for said in self.heard():
            if said[0] == "up":
                return None
            if said[0] == "none":
                why = str(said[1])
                break
            if said[0] == "heard":
                heard = monotonic()
            elif monotonic() - heard > COME:
                why = f"its head doesn't answer in {COME:.0f} s"
                break
        self.end()
        return why

    def send(self, number: int, target: Object, arrived: int) -> None:
        """Never waits."""
        self._queue.put(("object", number, target, arrived, self.sent.claim(target.id)))

    def heard(self) -> Iterator[tuple[Any, ...]]:
        """What it says, until its end; `("",)` when that is nothing for a while."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                said = self._connection.poll(PAUSE)
                yield pickle.loads(self._connection.recv_bytes()) if said else ("",)  # from our own child

    def leave(self) -> None:
        """Lets it leave the cluster in order."""
        self._queue.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(FAREWELL)
        self.end()

    def end(self) -> None:
        """Ends it."""
        self._queue.put(None)
        self._process.kill()
        self._process.wait()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while items := _together(self._queue):
                message, size = [], 0
                for row in (row for item in items for row in _rows(*item)):
                    message.append(row)
                    if (size := size + len(row[-1])) >= MESSAGE:
                        self._connection.send(message)
                        message, size = [], 0
                self._connection.send(message)
            self._connection.send(None)


def _rows(kind: str, *given: Any) -> Iterator[tuple[Any, ...]]:
    """What the other process is told; a large object goes in parts."""
    if kind != "object":
        yield kind, *given
        return
    number, target, arrived, begin = given
    last = b""
    for piece in pieces(target, begin):
        if last:
            yield "part", target.id, begin, last
            begin += len(last)
        last = piece
    yield kind, number, label(target), arrived, last


def _together(queue: SimpleQueue[T | None]) -> list[T]:
    """What a queue holds, at least one and at most `TOGETHER`; nothing when it ends with None."""
    items: list[T] = []
    while len(items) < TOGETHER and not (items and queue.empty()):
        if (item := queue.get()) is None:
            queue.put(None)
            break
        items.append(item)
    return items


def child(descriptor: int) -> None:
    """The life of the other process: a cluster whose objects come from, and whose verdicts go to, the pipe."""
    from engines.cluster import Cluster, ClusterError

    pipe = Connection(descriptor)
    recipe, address = pipe.recv()
    told = _Told(pipe)
    logging.getLogger().addHandler(told.handler())
    try:
        cluster = Cluster(recipe, address, outcome=told, heard=lambda: told.say("heard"))
    except ClusterError as error:
        told.say("none", str(error))
        return
    told.say("up")

    def take(number: int, about: Object, arrived: int, last: bytes) -> None:
        target = unpacked(about, [last]) if len(last) == about.size else about
        if target is about:
            cluster.part(about.id, about.size - len(last), last)
        told.numbers[target] = number
        cluster.submit(target, arrived)

    obey: dict[str, Callable[..., None]] = {"part": cluster.part, "forget": cluster.forget, "object": take}
    with contextlib.suppress(EOFError, OSError):
        while (items := pipe.recv()) is not None:
            for kind, *given in items:
                obey[kind](*given)
    cluster.close()
    told.say("counters", cluster.counters)


class _Told(Outcome):
    """Verdicts on their way back."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__(0, 0)
        self.numbers: dict[Object, int] = {}
        self._pipe = pipe
        self._one = Lock()  # speaks at a time
        self._done: SimpleQueue[tuple[int, int, dict[int, Any]] | None] = SimpleQueue()
        self._thread = Thread(target=self._write, name="verdicts", daemon=True)
        self._thread.start()

    def say(self, *words: Any) -> None:
        """One message; a parent that is gone needs none."""
        with self._one, contextlib.suppress(OSError):
            self._pipe.send(words)

    def enter(self, target: Object) -> None:
        """The parent counts."""

    def finish(self, job: Job) -> None:
        """Back to the parent."""
        self._done.put((self.numbers.pop(job.target), job.submitted, job.verdicts))

    def handler(self) -> logging.Handler:
        """Sends log lines there as well."""
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self.say("log", record.levelno, record.getMessage())  # type: ignore[method-assign]
        return handler

    def _write(self) -> None:
        while items := _together(self._done):
            self.say("scanned", items)

"""Where items of the pipeline go: lines on standard output, files in a folder. The counts have `summary`."""

from __future__ import annotations

import errno
import logging
import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol, TypeAlias

from engines.verdicts import CRASHED
from manager.alarms import Alarm
from manager.ecs import Document, line
from manager.events import Documents
from reassembly.events import FlowEnd
from reassembly.objects import Object
from sensor.files import write_all

if TYPE_CHECKING:
    from manager.pipeline import Item

Write: TypeAlias = Callable[[bytes], None]
Receiver: TypeAlias = Callable[[Document], None]

log = logging.getLogger(__name__)

CRASHED_KEPT = 1000  # objects that crashed an engine, at most
KEPT = 32 << 20  # bytes of documents that wait for room
FULL = 1 << 16  # bytes gathered before they are written
PATIENCE = 0.5  # seconds after which they are written anyhow: somebody may be watching


class Sink(Protocol):
    """Takes what comes out of the pipeline."""

    def take(self, item: Item) -> None:
        """One item; what isn't for this sink is passed over."""
        ...


class Lines:
    """Whole lines, gathered and handed on together: to a file descriptor, or to who collects from workers."""

    __slots__ = ("_gathered", "_hand_on", "_size", "_when")

    def __init__(self, hand_on: Write) -> None:
        self._hand_on = hand_on
        self._gathered: list[bytes] = []
        self._size = 0
        self._when = time.monotonic()

    def write(self, text: bytes) -> None:
        """Takes one or more whole lines."""
        self._gathered.append(text)
        self._size += len(text)
        if self._size >= FULL or time.monotonic() - self._when > PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Hands on what was gathered."""
        whole, self._gathered, self._size = b"".join(self._gathered), [], 0
        self._when = time.monotonic()
        if whole:
            self._hand_on(whole)


def to_descriptor(descriptor: int) -> Write:
    """Writes all of it. Raises BrokenPipeError when nobody reads any more."""
    return partial(write_all, descriptor)


class Patient:
    """Writes to where room may be missing for a while: keeps what found none, and loses the oldest over a bound.

    `waiting`: it waits for room instead, as long as that takes. Else it never does, though the descriptor may: that is
    others' as well, so it isn't made to refuse. Lines stay whole. Raises BrokenPipeError when nobody reads any more:
    that doesn't get better.
    """

    def __init__(self, descriptor: int, bound: int = KEPT, waiting: bool = False) -> None:
        self.lost = 0  # lines
        self._descriptor = descriptor
        self._bound = bound
        self._waiting = waiting
        self._kept: deque[memoryview] = deque()
        self._size = 0
        self._told = False
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self._step = bound if stat.S_ISREG(os.fstat(descriptor).st_mode) else select.PIPE_BUF

    @property
    def waits(self) -> int:
        """Bytes that have found no room yet."""
        return self._size

    def __call__(self, text: bytes) -> None:
        """Takes whole lines, or none: then it tries again what waits."""
        if text:
            self._kept.append(memoryview(text))
            self._size += len(text)
        try:
            self._write()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._wait(error)

    def end(self, seconds: float) -> None:
        """Waits so long for what has found no room yet."""
        until = time.monotonic() + seconds
        while self._size and (left := until - time.monotonic()) > 0 and self._room.poll(1000 * left):
            self(b"")

    def _write(self) -> None:
        while self._kept:
            if not self._room.poll(None if self._waiting else 0):
                raise BlockingIOError(errno.EAGAIN, "nobody reads them")
            count = os.write(self._descriptor, self._kept[0][: self._step])  # pipe(7): so much of it doesn't wait
            self._size -= count
            if count == len(self._kept[0]):
                self._kept.popleft()
            else:
                self._kept[0] = self._kept[0][count:]
        if self._told:
            self._told = False
            log.error("documents can be written again; %d of them are lost", self.lost)

    def _wait(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            log.error("documents can't be written: %s; they are kept for now", error.strerror)
        while self._size > self._bound and len(self._kept) > 1:
            oldest = self._kept[1]  # the first may be half written
            del self._kept[1]
            self._size -= len(oldest)
            self.lost += bytes(oldest).count(b"\n")


class Documented:
    """Objects and alarms as documents, each made once for all who want it."""

    def __init__(self, documents: Documents, receivers: Sequence[Receiver]) -> None:
        self._documents = documents
        self._receivers = receivers

    def take(self, item: Item) -> None:
        if isinstance(item, FlowEnd):
            return
        if isinstance(item, Object):
            document = self._documents.object(item)
        elif isinstance(item, Alarm):
            document = self._documents.alarm(item)
        else:
            document = self._documents.object(item.target, item)
        for receive in self._receivers:
            receive(document)


def printed(write: Write) -> Receiver:
    """Documents as JSON, a line each."""
    return lambda document: write(line(document))


class Folder:
    """Each object as a file named by its SHA-256. No name from the wire is ever part of a path."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._path.mkdir(parents=True, exist_ok=True)

    def take(self, item: Item) -> None:
        if isinstance(item, Object):
            write_object(item, self._path)


class Crashed:
    """Keeps objects that crash an engine, for its maker and for the operator: the engine will meet them again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self, item: Item) -> None:
        if isinstance(item, Object | FlowEnd | Alarm):
            return
        for verdict in item.verdicts:
            if verdict.reason == CRASHED:
                self._keep(item.target, f"object {item.target.id} crashed engine {verdict.engine}")

    def _keep(self, target: Object, what: str) -> None:
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sum(1 for _ in self._path.iterdir()) < CRASHED_KEPT:
                log.error("%s; kept in %s", what, write_object(target, self._path))
            else:
                log.error("%s; not kept, there are %d in %s", what, CRASHED_KEPT, self._path)
        except OSError as error:
            log.error("%s; it can't be kept in %s: %s", what, self._path, error.strerror)


def write_object(target: Object, folder: Path) -> Path:
    """Writes its bytes to a file named by its SHA-256, readable by us alone; one that is there is the same."""
    path = folder / target.sha256
    if path.exists():
        return path
    with NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        written = Path(file.name)
    try:
        with written.open("wb") as file:
            for chunk in target.content.chunks() if target.size else ():
                file.write(chunk)
        written.replace(path)
    finally:
        written.unlink(missing_ok=True)
    return path

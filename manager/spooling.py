"""What the manager hands its documents to: a thread brings them to the spool, and nobody waits for the disk.

Documents are gathered: what takes time is to have the disk say that they are there, not how many they are.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence

from manager.segment import LARGEST
from manager.spool import Position, Record, Spool

KEPT = 32 << 20  # bytes of documents that wait
COUNT, SIZE = 500, 512 << 10  # records, and their bytes, that are appended at once
PATIENCE = 0.2  # seconds after which fewer are
AGAIN = 1.0  # seconds after which it is tried again
END = 10.0  # seconds that the end may take

log = logging.getLogger(__name__)


class Spooler:
    """Takes documents for a spool, which it closes in the end. What the disk doesn't take waits, up to `bound` bytes;
    over that the oldest are lost.

    Its thread begins with the first document: until then the process may fork.
    """

    def __init__(self, spool: Spool, bound: int = KEPT) -> None:
        self.lost = 0  # records
        self.position = Position(0, 0)  # behind the last record that it has brought to the disk
        self._spool = spool
        self._bound = bound
        self._kept: deque[Record] = deque()
        self._size = 0  # bytes, with those that are being written
        self._taken = 0  # records, ever
        self._written: int | None = None  # of them, when an append began that goes on; None: none does
        self._flushing = 0  # callers
        self._failing = self._told = self._closing = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def waits(self) -> int:
        """Bytes that aren't on the disk yet."""
        return self._size

    def take(self, action: bytes, document: bytes) -> None:
        """One record. Never waits for the disk."""
        record = Record(action, document)
        with self._change:
            if self._closing or len(record) > LARGEST:
                self._refuse(record)
                return
            self._kept.append(record)
            self._taken += 1
            self._size += len(record)
            if self._size > self._bound:
                self._tell("the disk is too slow")
                self._lose(self._bound)
            if len(self._kept) == 1 or self._enough():
                self._change.notify_all()
            self._begin()

    def flush(self, timeout: float) -> bool:
        """Waits until all that was taken and isn't lost is on the disk; False when it isn't after so many seconds."""
        with self._change:
            taken = self._taken
            self._flushing += 1
            self._change.notify_all()
            done = self._change.wait_for(lambda: self._done() >= taken, timeout)
            self._flushing -= 1
            return done

    def close(self, timeout: float = END) -> None:
        """Writes what waits, once; what the disk doesn't take now is lost."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.error("the disk doesn't answer: %d bytes of documents are not in the spool", self._size)
                return
        self._spool.close()

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while batch := self._gathered():
            try:
                position = self._spool.append(batch)
            except OSError as error:
                self._failed(batch, error)
            else:
                self._succeeded(batch, position)

    def _gathered(self) -> list[Record]:
        """What is appended next; nothing: that was all."""
        with self._change:
            self._change.wait_for(lambda: self._kept or self._closing)
            self._change.wait_for(self._enough, AGAIN if self._failing else PATIENCE)
            self._written = self._taken - len(self._kept)
            batch: list[Record] = []
            size = 0
            while self._kept and len(batch) < COUNT and (not batch or size + len(self._kept[0]) <= SIZE):
                batch.append(self._kept.popleft())
                size += len(batch[-1])
            return batch

    def _enough(self) -> bool:
        """Nothing more is waited for."""
        if self._failing or self._closing:
            return self._closing
        return self._flushing > 0 or len(self._kept) >= COUNT or self._size >= SIZE

    def _done(self) -> int:
        """How many of all that were taken don't wait any more."""
        return self._taken - len(self._kept) if self._written is None else self._written

    def _succeeded(self, batch: Sequence[Record], position: Position) -> None:
        with self._change:
            self.position = position
            self._size -= sum(map(len, batch))
            self._written = None
            self._failing = False
            if self._told and not self._kept:
                self._told = False
                log.error("documents are in the spool again; %d of them are lost", self.lost)
            self._change.notify_all()

    def _failed(self, batch: Sequence[Record], error: OSError) -> None:
        why = f"{error.strerror}: {error.filename}"
        with self._change:
            self._kept.extendleft(reversed(batch))
            self._written = None
            self._failing = True
            if self._closing:
                log.error("%d documents are lost, they can't be brought to the spool: %s", len(self._kept), why)
                self._lose(0)
            else:
                self._tell(why)
            self._change.notify_all()

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            log.error("documents can't be brought to the spool: %s; they are kept for now", why)

    def _lose(self, bound: int) -> None:
        """The oldest ones over the bound."""
        while self._kept and self._size > bound:
            self._size -= len(self._kept.popleft())
            self.lost += 1

    def _refuse(self, record: Record) -> None:
        self.lost += 1
        why = "the spool is closed" if self._closing else f"it has {len(record)} bytes, {LARGEST} are allowed"
        log.error("a document is lost: %s", why)

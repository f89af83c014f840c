"""The spool: documents on disk, in order, before anything is done with them. All sinks read it (`cursor`).

A folder of segments (`segment`). Segments stay after they were read, for who wants to read them once more, until all of
them together are too large; then the oldest go. Nothing is promised before it is on the disk (fdatasync(2)).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from manager.cursor import reached
from manager.segment import BEGIN, LARGEST, Mark, Position, Record, found, marked, named, packed, path_of, segments
from sensor.files import keep_names, write_all

__all__ = ["LARGEST", "Position", "Record", "Spool"]

PARTS = 8  # segments that a full spool has at least: the oldest goes as a whole
SEGMENT = 64 << 20  # bytes of a segment

log = logging.getLogger(__name__)


class Spool:
    """Appends to the spool in a folder, of at most `most` bytes. Raises OSError where that can't be.

    Several processes and threads may append at once, each with a Spool of its own.
    """

    def __init__(self, folder: Path, most: int, segment: int = SEGMENT) -> None:
        self._folder = folder
        self._most = most
        self._each = max(min(segment, most // PARTS), 1)
        self._segment = 0
        self._descriptor: int | None = None
        self._following = 0  # number of the record that is next, as far as we know
        self._full = 0  # bytes of the segments before ours, as far as we know
        with self._alone():
            self._last()

    def append(self, records: Sequence[Record]) -> Position:
        """All of them or none; they are on the disk when it returns, and the position is behind the last.

        Raises OSError when the disk doesn't take them, ValueError when one of them is over LARGEST.
        """
        with self._alone():
            mark = self._last()
            if data := packed(records, mark.following):
                mark = self._write(data, self._room(mark, len(data)), len(records))
            self._following = mark.following
            return Position(self._segment, mark.end)

    def close(self) -> None:
        """It may be used again all the same."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process or thread appends meanwhile."""
        with named(self._folder):
            descriptor = self._lock()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process that was forked meanwhile has it open as well
                os.close(descriptor)

    def _lock(self) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _last(self) -> Mark:
        """Has the segment open that is appended to, as other processes left it, and says how far it is written."""
        if self._descriptor is None or _over(self._descriptor):
            self._open()
        assert self._descriptor is not None
        mark = marked(self._descriptor)
        size = os.fstat(self._descriptor).st_size
        if mark is None or size < mark.end:
            return self._damaged(mark, size)
        if mark.full:
            return self._begin(mark.following)
        return mark if size == mark.end else self._torn(mark, size)

    def _open(self) -> None:
        """The newest segment there is."""
        self.close()
        there = segments(self._folder)
        if not there:
            self._begin(max(reached(self._folder), self._following))  # no number comes twice
            return
        self._descriptor = os.open(path_of(self._folder, there[-1]), os.O_RDWR | os.O_CLOEXEC)
        self._segment = there[-1]
        self._full = self._size(there[:-1])

    def _begin(self, first: int) -> Mark:
        """A segment that is whole when it appears, and whose name is on the disk."""
        mark = Mark(BEGIN, first)
        path = self._folder / "new"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, mark.packed())
            os.fsync(descriptor)
            path.rename(path_of(self._folder, first))
            keep_names(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self.close()
        self._descriptor, self._segment = descriptor, first
        self._full = self._size(segments(self._folder)[:-1])
        return mark

    def _torn(self, mark: Mark, size: int) -> Mark:
        """A process died while it appended: its whole records stay."""
        assert self._descriptor is not None
        for one in found(self._descriptor, mark.end, size):
            if one.number != mark.following:
                break
            mark = Mark(one.end, one.number + 1)
        os.ftruncate(self._descriptor, mark.end)
        os.fdatasync(self._descriptor)
        os.pwrite(self._descriptor, mark.packed(), 0)
        return mark

    def _damaged(self, mark: Mark | None, size: int) -> Mark:
        """Something that was on the disk isn't any more: nothing is appended there, no number comes twice."""
        log.error("%s is damaged; a new segment is begun", path_of(self._folder, self._segment))
        following = mark.following if mark else self._counted(size)
        self._seal(Mark(max(size, BEGIN), following))
        return self._begin(following)

    def _counted(self, size: int) -> int:
        """A number that comes after all that are in the segment, or were."""
        assert self._descriptor is not None
        there = max((one.number for one in found(self._descriptor, BEGIN, size)), default=self._segment)
        return max(there + 1, reached(self._folder), self._following)

    def _seal(self, mark: Mark) -> None:
        assert self._descriptor is not None
        os.pwrite(self._descriptor, Mark(mark.end, mark.following, full=True).packed(), 0)
        os.fdatasync(self._descriptor)

    def _room(self, mark: Mark, size: int) -> Mark:
        """A segment to which so many bytes are appended; the oldest ones go for it."""
        if mark.end > BEGIN and mark.end + size > self._each:
            self._seal(mark)
            mark = self._begin(mark.following)
        if self._full + mark.end + size > self._most:
            self._forget(mark.end + size)
        return mark

    def _forget(self, ours: int) -> None:
        older = segments(self._folder)[:-1]
        while older and self._size(older) + ours > self._most:
            path_of(self._folder, older.pop(0)).unlink(missing_ok=True)
        self._full = self._size(older)

    def _size(self, some: Sequence[int]) -> int:
        return sum(path_of(self._folder, one).stat().st_size for one in some)

    def _write(self, data: bytes, mark: Mark, count: int) -> Mark:
        """The mark moves on when the records are on the disk: no reader sees them before."""
        assert self._descriptor is not None
        written = Mark(mark.end + len(data), mark.following + count)
        try:
            os.lseek(self._descriptor, mark.end, os.SEEK_SET)
            write_all(self._descriptor, data)
            os.fdatasync(self._descriptor)
            os.pwrite(self._descriptor, written.packed(), 0)
        except OSError:
            os.ftruncate(self._descriptor, mark.end)
            raise
        return written


def _over(descriptor: int) -> bool:
    """Nothing more comes to this segment, or it was deleted."""
    mark = marked(descriptor)
    return (mark is not None and mark.full) or os.fstat(descriptor).st_nlink == 0

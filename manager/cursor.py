"""How far one reader of the spool has come, on disk: what was read and not committed is read once more.

A cursor is a file beside the segments, written in place, so that a full disk doesn't stop it: two slots in turns, each
with a checksum, of which the newer intact one counts. Who has the file locked (flock(2)) is the one who moves it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import struct
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import field
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from manager.segment import BEGIN, OVERHEAD, Found, Position, Record, found, marked, named, path_of, segments
from sensor.noun import noun, state

SUFFIX = ".cursor"
_SLOT = struct.Struct("<4sQQQQ")  # magic, which commit, segment, offset, number of the next record
_SUM = struct.Struct("<I")
_MAGIC = b"TSC1"
_APART = 64  # bytes from one slot to the other

log = logging.getLogger(__name__)


@noun
class Batch:
    """What was read: `end` is to be committed, also when no record is in it. `lost`: records that were due since the
    last commit and don't come any more, since they were deleted or damaged.
    """

    records: tuple[Record, ...]
    end: Position
    lost: int


class Behind(NamedTuple):
    """What a cursor has before it: records, bytes on disk, seconds since the oldest of them came."""

    records: int
    bytes: int
    seconds: float


@noun
class _Place:
    """A position, the number of the record that is next, and how often the cursor was committed before."""

    position: Position
    number: int
    commits: int = 0

    def packed(self) -> bytes:
        slot = _SLOT.pack(_MAGIC, self.commits, *self.position, self.number)
        return slot + _SUM.pack(crc32(slot))


@state
class _Reading:
    """How far a batch is."""

    segment: int
    offset: int
    number: int
    lost: int = 0
    size: int = 0
    oldest: int = 0  # ns since 1970, when the first record came
    records: list[Record] = field(default_factory=list)

    def take(self, some: Iterator[Found], most_records: int, most_bytes: int) -> bool:
        """False when the batch is full."""
        for one in some:
            if self.records and self.size + len(one.record) > most_bytes:
                return False
            self.offset = one.end
            if one.number >= self.number:  # no record comes twice
                self._add(one)
            if len(self.records) >= most_records:
                return False
        return True

    def _add(self, one: Found) -> None:
        self.go_on_with(one.number)
        self.number += 1
        self.oldest = self.oldest or one.time
        self.size += len(one.record)
        self.records.append(one.record)

    def go_on_with(self, number: int) -> None:
        """The next record that there can be: those between are lost."""
        self.lost += max(number - self.number, 0)
        self.number = max(number, self.number)

    def enter(self, segment: int) -> None:
        self.go_on_with(segment)
        self.segment, self.offset = segment, BEGIN


class Cursor:
    """Reads the spool in a folder, from the oldest segment on when it is new. Raises OSError where that can't be.

    One process at a time moves the cursor of a name: the one that acquired it. A cursor is for one thread.
    """

    def __init__(self, folder: Path, name: str) -> None:
        """Raises ValueError for what is no name of a file."""
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"a cursor can't be named {name!r}")
        self._folder = folder
        self._path = folder / f"{name}{SUFFIX}"
        self._held: int | None = None
        self._open: tuple[int, int] | None = None  # a segment and its descriptor
        self._ends: dict[Position, int] = {}  # that may be committed, each with the number of the record that is next
        self._at = self._stored() or self._beginning()

    @property
    def position(self) -> Position:
        """Behind the last record that was committed."""
        return self._at.position

    def acquire(self) -> bool:
        """Whether this process may move it now: until it closes it or ends, however that is. Never waits."""
        known = self._path.exists()
        if self._held is None and (descriptor := self._locked()) is not None:
            self._held = descriptor
            os.register_at_fork(after_in_child=_left(weakref.ref(self)))
            stored = self._stored() if known or os.fstat(descriptor).st_size else None
            self._at = stored or self._beginning()
            if stored is None:
                self._save(self._at)
        return self._held is not None

    def read(self, most_records: int, most_bytes: int) -> Batch:
        """What comes after the position; at least one record if there is one, however large."""
        reading = self._read(self._at, most_records, most_bytes)
        end = Position(reading.segment, reading.offset)
        self._ends[end] = reading.number
        return Batch(tuple(reading.records), end, reading.lost)

    def commit(self, position: Position) -> None:
        """Moves to the end of a batch that was read since the last commit; on the disk when it returns."""
        if self._held is None:
            raise RuntimeError(f"{self._path} isn't acquired")
        if position != self.position:
            place = _Place(position, self._ends[position], self._at.commits + 1)
            self._save(place)
            self._at = place
        self._ends = {end: number for end, number in self._ends.items() if end > position}

    def behind(self) -> Behind:
        """What there is to read, for any process: who hasn't acquired the cursor looks where it is now."""
        if self._held is None:
            self._at = self._stored() or self._beginning()
        reading = self._read(self._at, 1, 0)
        if not reading.records:
            return Behind(0, 0, 0.0)
        there = [one for one in segments(self._folder) if one >= reading.segment]
        size = sum(map(self._size, there)) - reading.offset + BEGIN + OVERHEAD + reading.size
        return Behind(self._following(there[-1]) - reading.number + 1, size, _since(reading.oldest))

    def close(self) -> None:
        """Another process may acquire it."""
        self._shut()
        if self._held is not None:
            fcntl.flock(self._held, fcntl.LOCK_UN)
            os.close(self._held)
            self._held = None

    def leave(self) -> None:
        """What a process that was forked does: the lock stays with the one that acquired it."""
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _read(self, place: _Place, most_records: int, most_bytes: int) -> _Reading:
        reading = _Reading(*place.position, place.number)
        while self._goes_on(reading, most_records, most_bytes):
            pass
        return reading

    def _goes_on(self, reading: _Reading, most_records: int, most_bytes: int) -> bool:
        """Reads what a segment has; False when the batch is full, or nothing more is there now."""
        descriptor = self._opened(reading.segment)
        if descriptor is None:
            return self._passed(reading)
        # A segment is full before there is a later one: in this order nothing comes between.
        later = next((one for one in segments(self._folder) if one > reading.segment), None)
        mark, size = marked(descriptor), os.fstat(descriptor).st_size
        over = later is not None or (mark is not None and mark.full)
        end = min(mark.end, size) if mark else size if over else 0
        if not reading.take(found(descriptor, reading.offset, end), most_records, most_bytes):
            return False
        reading.offset = max(reading.offset, end)
        if mark and (over or mark.end <= size):
            reading.go_on_with(mark.following)
        if over:
            self._shut()
        if later is not None:
            reading.enter(later)
        return later is not None

    def _passed(self, reading: _Reading) -> bool:
        """The segment isn't there any more."""
        there = segments(self._folder)
        later = [one for one in there if one >= reading.segment]
        if later:
            reading.enter(later[0])
        elif there:
            log.error("%s is beyond the spool, which is read from its oldest record on", self._path)
            reading.segment, reading.offset, reading.number = there[0], BEGIN, there[0]
        return bool(there)

    def _opened(self, segment: int) -> int | None:
        """None when it isn't there. One that is open is read to its end, also when it was deleted."""
        if self._open is None or self._open[0] != segment:
            self._shut()
            with contextlib.suppress(FileNotFoundError):
                self._open = segment, os.open(path_of(self._folder, segment), os.O_RDONLY | os.O_CLOEXEC)
        return self._open[1] if self._open else None

    def _shut(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _size(self, segment: int) -> int:
        with contextlib.suppress(FileNotFoundError):
            return path_of(self._folder, segment).stat().st_size - BEGIN
        return 0

    def _following(self, segment: int) -> int:
        """The number of the record that comes next, by the newest segment."""
        with path_of(self._folder, segment).open("rb") as file:
            mark = marked(file.fileno())
        return mark.following if mark else segment

    def _beginning(self) -> _Place:
        oldest = next(iter(segments(self._folder)), 0)
        return _Place(Position(oldest, BEGIN), oldest)

    def _locked(self) -> int | None:
        """The file of the cursor, locked; None when another has it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def _stored(self) -> _Place | None:
        """Where the file says that it is; None when there is none, or a damaged one."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        places = [place for at in (0, _APART) if (place := _unpacked(data[at:])) is not None]
        if not places:
            log.error("%s is damaged: the spool is read from its oldest record on", self._path)
        return max(places, key=lambda place: place.commits, default=None)

    def _save(self, place: _Place) -> None:
        assert self._held is not None
        with named(self._path):
            os.pwrite(self._held, place.packed(), place.commits % 2 * _APART)
            os.fdatasync(self._held)


def _unpacked(data: bytes) -> _Place | None:
    if len(data) < _SLOT.size + _SUM.size or crc32(data[: _SLOT.size]) != _SUM.unpack_from(data, _SLOT.size)[0]:
        return None
    magic, commits, segment, offset, number = _SLOT.unpack_from(data)
    return _Place(Position(segment, offset), number, commits) if magic == _MAGIC else None


def _since(time_ns: int) -> float:
    return max(time.time_ns() - time_ns, 0) / 1e9


def _left(cursor: weakref.ref[Cursor]) -> Callable[[], None]:
    """In a process that was forked: it must not keep the lock when the one that acquired it is gone."""

    def leave() -> None:
        if (one := cursor()) is not None:
            one.leave()

    return leave

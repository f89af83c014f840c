"""How far one reader of the spool has come, on disk: what was read and not committed is read once more.

A cursor is a file beside the segments, written in place, so that a full disk doesn't stop it: two slots in turns, each
with a checksum, of which the newer intact one counts. Who has the file locked (flock(2)) is the one who moves it.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from manager.reading import Reader, Reading
from manager.segment import BEGIN, Position, Record, named, segments
from sensor.noun import noun

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
class Place:
    """A position, the number of the record that is next, and how many commits there were before."""

    position: Position
    number: int
    commits: int = 0

    def packed(self) -> bytes:
        slot = _SLOT.pack(_MAGIC, self.commits, *self.position, self.number)
        return slot + _SUM.pack(crc32(slot))


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
        self._reader = Reader(folder)
        self._held: int | None = None
        self._ends: dict[Position, int] = {}  # that may be committed, each with the number of the record that is next
        self._at = stored(self._path) or self._beginning()

    @property
    def position(self) -> Position:
        """Behind the last record that was committed."""
        return self._at.position

    def acquire(self) -> bool:
        """Whether this process may move it now: until it closes it or ends, however that is. Never waits."""
        if self._held is None and (descriptor := self._locked()) is not None:
            self._held = descriptor
            os.register_at_fork(after_in_child=_left(weakref.ref(self)))
            place = stored(self._path)
            self._at = place or self._beginning()
            if place is None:
                self._move(self._at)
        return self._held is not None

    def read(self, most_records: int, most_bytes: int) -> Batch:
        """What comes after the position; at least one record if there is one, however large."""
        reading = self._reader.read(self._reading(), most_records, most_bytes)
        self._ends[reading.position] = reading.number
        return Batch(tuple(reading.records), reading.position, reading.lost)

    def commit(self, position: Position) -> None:
        """Moves to the end of a batch that was read since the last commit; on the disk when it returns."""
        if self._held is None:
            raise RuntimeError(f"{self._path} isn't acquired")
        number = self._ends.get(position, self._at.number)
        if position not in self._ends and position != self.position:
            raise ValueError(f"{position} isn't the end of a batch of {self._path}")
        if (position, number) != (self.position, self._at.number):
            self._move(Place(position, number, self._at.commits + 1))
        self._ends = {end: number for end, number in self._ends.items() if end > position}

    def behind(self) -> Behind:
        """What there is to read, for any process: who hasn't acquired the cursor looks where it is now."""
        if self._held is None:
            self._at = stored(self._path) or self._beginning()
        reading = self._reader.read(self._reading(), 1, 0)
        if not reading.records:
            return Behind(0, 0, 0.0)
        return Behind(*self._reader.rest(reading), max(time.time_ns() - reading.oldest, 0) / 1e9)

    def close(self) -> None:
        """Another process may acquire it, as far as this one had."""
        self._reader.close()
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def _reading(self) -> Reading:
        return Reading(*self._at.position, self._at.number)

    def _beginning(self) -> Place:
        oldest = next(iter(segments(self._folder)), 0)
        return Place(Position(oldest, BEGIN), oldest)

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

    def _move(self, place: Place) -> None:
        assert self._held is not None
        with named(self._path):
            os.pwrite(self._held, place.packed(), place.commits % 2 * _APART)
            os.fdatasync(self._held)
        self._at = place


def stored(path: Path) -> Place | None:
    """Where the file of a cursor says that it is; None when there is none, or a damaged one."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    places = [place for at in (0, _APART) if (place := _unpacked(data[at:])) is not None]
    if data and not places:  # without any it is being made, and was never moved
        log.error("%s is damaged: the spool is read from its oldest record on", path)
    return max(places, key=lambda place: place.commits, default=None)


def reached(folder: Path) -> int:
    """The highest number that any cursor waits for: where there are no segments, the first has it."""
    places = [stored(path) for path in folder.iterdir() if path.suffix == SUFFIX]
    return max((place.number for place in places if place), default=0)


def _unpacked(data: bytes) -> Place | None:
    if len(data) < _SLOT.size + _SUM.size or crc32(data[: _SLOT.size]) != _SUM.unpack_from(data, _SLOT.size)[0]:
        return None
    magic, commits, segment, offset, number = _SLOT.unpack_from(data)
    return Place(Position(segment, offset), number, commits) if magic == _MAGIC else None


def _left(cursor: weakref.ref[Cursor]) -> Callable[[], None]:
    """In a process that was forked: the lock stays with the one that acquired it, and must go with that one."""

    def leave() -> None:
        if (one := cursor()) is not None:
            one.close()

    return leave

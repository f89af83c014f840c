"""Reading on in the spool, from any record on: from one segment to the next, past what is damaged or gone."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from manager.segment import BEGIN, OVERHEAD, Found, Position, Record, found, marked, path_of, segments
from sensor.noun import state

log = logging.getLogger(__name__)


@state
class Reading:
    """How far one has come: where, and the number of the record that is next. `lost`: records that were passed over."""

    segment: int
    offset: int
    number: int
    lost: int = 0
    size: int = 0
    oldest: int = 0  # ns since 1970, when the first record came
    records: list[Record] = field(default_factory=list)

    @property
    def position(self) -> Position:
        return Position(self.segment, self.offset)

    def take(self, some: Iterator[Found], most_records: int, most_bytes: int) -> bool:
        """False when that is enough; one record is taken however large it is."""
        for one in some:
            if self.records and self.size + len(one.record) > most_bytes:
                return False
            self._add(one)
            if len(self.records) >= most_records:
                return False
        return True

    def _add(self, one: Found) -> None:
        self.go_on_with(one.number)
        self.offset, self.number = one.end, one.number + 1
        self.oldest = self.oldest or one.time
        self.size += len(one.record)
        self.records.append(one.record)

    def go_on_with(self, number: int) -> None:
        """The next record that there can be: those between are lost."""
        self.lost += max(number - self.number, 0)
        self.number = max(number, self.number)

    def enter(self, segment: int) -> None:
        """From its beginning on."""
        self.go_on_with(segment)
        self.segment, self.offset = segment, BEGIN


class Reader:
    """Reads the segments of a folder. One that it has open it reads to the end, also when it is deleted meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: tuple[int, int] | None = None  # a segment and its descriptor

    def read(self, reading: Reading, most_records: int, most_bytes: int) -> Reading:
        """Reads on until that is enough, or no more is there now. Raises OSError."""
        while self._goes_on(reading, most_records, most_bytes):
            pass
        return reading

    def rest(self, reading: Reading) -> tuple[int, int]:
        """Records, and bytes on the disk, from the only record that was read on. Raises OSError."""
        assert self._open is not None
        size, mark = os.fstat(self._open[1]).st_size, marked(self._open[1])
        for later in self._later(reading.segment):
            with contextlib.suppress(FileNotFoundError), path_of(self._folder, later).open("rb") as file:
                size, mark = size + os.fstat(file.fileno()).st_size - BEGIN, marked(file.fileno()) or mark
        begin = reading.offset - OVERHEAD - reading.size
        return mark.following - reading.number + 1 if mark else 1, size - begin

    def close(self) -> None:
        """It may be used again all the same."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _goes_on(self, reading: Reading, most_records: int, most_bytes: int) -> bool:
        descriptor = self._opened(reading.segment)
        if descriptor is None:
            return self._passed(reading)
        later = self._later(reading.segment)  # it is written to its end before there is a later one: so look first
        mark, status = marked(descriptor), os.fstat(descriptor)
        over = bool(later) or (mark is not None and mark.full)
        end = min(mark.end, status.st_size) if mark else status.st_size if over else 0
        if not reading.take(found(descriptor, reading.offset, end), most_records, most_bytes):
            return False
        reading.offset = max(reading.offset, end)
        if mark and (over or mark.end == end):
            reading.go_on_with(mark.following)
        if later:
            reading.enter(later[0])
        return bool(later) or (status.st_nlink == 0 and self._deleted(reading))

    def _passed(self, reading: Reading) -> bool:
        """The segment isn't there any more, or not yet."""
        there = segments(self._folder)
        if there and reading.segment not in there:
            self._on(reading, there)
        return bool(there)

    def _deleted(self, reading: Reading) -> bool:
        """The segment was deleted, and there was no later one: that is done by hand, and others may begin anew."""
        there = segments(self._folder)
        if there and there[-1] <= reading.segment:
            self._on(reading, there)
        return bool(there)

    def _on(self, reading: Reading, there: list[int]) -> None:
        """With what is there instead."""
        if later := [one for one in there if one > reading.segment]:
            reading.enter(later[0])
            return
        log.error("segment %d is beyond the spool in %s: it is read anew", reading.segment, self._folder)
        self.close()
        reading.segment, reading.offset, reading.number = there[0], BEGIN, there[0]

    def _later(self, segment: int) -> list[int]:
        return [one for one in segments(self._folder) if one > segment]

    def _opened(self, segment: int) -> int | None:
        """None when it isn't there."""
        if self._open is None or self._open[0] != segment:
            self.close()
            with contextlib.suppress(FileNotFoundError):
                self._open = segment, os.open(path_of(self._folder, segment), os.O_RDONLY | os.O_CLOEXEC)
        return self._open[1] if self._open else None

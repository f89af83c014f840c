"""Bytes that have to wait on disk: written one after the other, read in about the same order, bounded.

Not a file an object: many small objects would need more descriptors than a process has. A file is gone when the last of
its bytes has been read.
"""

from __future__ import annotations

import os
from tempfile import TemporaryFile
from typing import IO

from sensor.noun import noun

SEGMENT = 64 << 20  # bytes of one file


class _Segment:
    __slots__ = ("file", "left", "size")

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.size = 0
        self.left = 0  # pieces that will still be read


@noun
class Ticket:
    """Where the bytes of one object are; good for one `take`."""

    segment: _Segment
    begin: int
    size: int


class Spill:
    """`directory`: None for the system's. `held`: bytes on disk, those of files that can't go yet among them."""

    def __init__(self, max_bytes: int, directory: str | None = None) -> None:
        self.held = 0
        self._max_bytes = max_bytes
        self._directory = directory
        self._segments: set[_Segment] = set()
        self._last: _Segment | None = None  # the one that is written

    def put(self, data: bytes | memoryview) -> Ticket | None:
        """None when there is no room: over the bound, or the disk is full."""
        if self.held + len(data) > self._max_bytes:
            return None
        try:
            segment = self._open()
            _write(segment.file, data, segment.size)
        except OSError:
            return None
        ticket = Ticket(segment, segment.size, len(data))
        segment.size += len(data)
        segment.left += 1
        self.held += len(data)
        return ticket

    def take(self, ticket: Ticket) -> bytes:
        """The bytes, for the one time they are needed. Raises OSError when the disk doesn't give them back."""
        segment = ticket.segment
        try:
            data = os.pread(segment.file.fileno(), ticket.size, ticket.begin)
            if len(data) < ticket.size:
                raise OSError(f"{ticket.size - len(data)} bytes are missing on disk")
            return data
        finally:
            segment.left -= 1
            self._tidy(segment)

    def close(self) -> None:
        """Lets go of the disk."""
        for segment in self._segments:
            segment.file.close()

    def _open(self) -> _Segment:
        if self._last is None or self._last.size >= SEGMENT:
            file = TemporaryFile(dir=self._directory, prefix="tapscan-", buffering=0)  # noqa: SIM115 - closed when read
            self._last = _Segment(file)
            self._segments.add(self._last)
        return self._last

    def _tidy(self, segment: _Segment) -> None:
        if segment.left:
            return
        self.held -= segment.size
        segment.size = 0
        if segment is self._last:
            segment.file.truncate(0)
        else:
            self._segments.discard(segment)
            segment.file.close()


def _write(file: IO[bytes], data: bytes | memoryview, begin: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file.fileno(), view, begin)
        view, begin = view[written:], begin + written

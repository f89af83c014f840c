"""The packets of the last minutes on disk: whole blocks as they came from the kernel, in files of bounded size.

A segment is a row of chunks, each a header, the columns of its records, and its bytes. Segments are named by the time
at which they were begun, so those of an earlier run belong to the ring as well. All is in the current directory: a
process that has given up all other files can still be in it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sensor.files import write_all
from sensor.noun import noun, state
from sensor.records import Records

FOLDER = Path("ring")
PARTS = 8  # segments that the ring has at least: the oldest goes as a whole
LARGEST = 64 << 20  # bytes of a segment

_MAGIC = b"TSR1"
_HEAD = struct.Struct("<4sHHIIqq16s")  # magic, link, unused, records, bytes, first and last time, interface
_COLUMNS = np.dtype([
    ("frame", "<i8"), ("captured", "<i8"), ("wire", "<i8"), ("time", "<i8"), ("tag", "<u4"),
])  # fmt: skip


@noun
class Chunk:
    """Frames that came together on one interface."""

    interface: str
    buffer: bytes
    records: Records


@state
class _Segment:
    path: Path
    size: int = 0
    first: int | None = None  # ns since 1970
    last: int = 0

    def holds(self, first: int, last: int) -> None:
        self.first = first if self.first is None else min(self.first, first)
        self.last = max(self.last, last)


class Segments:
    """The ring in `FOLDER`, of at most `most` bytes. Raises OSError where it can't be read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._each = min(max(most // PARTS, 1), LARGEST)
        self._open: int | None = None
        self._segments = [_known(path) for path in sorted(FOLDER.glob("*.packets"))]

    @property
    def oldest(self) -> int | None:
        """Ns since 1970 of the first packet that is there."""
        return min((one.first for one in self._segments if one.first is not None), default=None)

    def write(self, chunk: Chunk) -> None:
        """Raises OSError when there is no room on the disk; then nothing of the chunk is there."""
        packed, first, last = _packed(chunk)
        if self._open is None or self._segments[-1].size + len(packed) > self._each:
            self._begin(first)
        assert self._open is not None
        segment = self._segments[-1]
        try:
            write_all(self._open, packed)
        except OSError:
            os.ftruncate(self._open, segment.size)
            os.lseek(self._open, segment.size, os.SEEK_SET)
            raise
        segment.size += len(packed)
        segment.holds(first, last)
        self._forget()

    def between(self, begin: int, end: int) -> Iterator[Chunk]:
        """What has packets of that time, ns since 1970."""
        for segment in self._segments:
            if segment.first is not None and segment.first <= end and segment.last >= begin:
                yield from _chunks(segment.path, begin, end)

    def _begin(self, first: int) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None
        path = FOLDER / f"{first:020d}-{len(self._segments)}.packets"
        self._open = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._segments.append(_Segment(path))

    def _forget(self) -> None:
        """The oldest ones, until the rest is small enough."""
        while len(self._segments) > 1 and sum(one.size for one in self._segments) > self._most:
            self._segments.pop(0).path.unlink(missing_ok=True)


def _packed(chunk: Chunk) -> tuple[bytes, int, int]:
    records = chunk.records
    columns = np.zeros(len(records), _COLUMNS)
    for column in ("frame", "captured", "wire", "time"):
        columns[column] = getattr(records, column)
    if records.tag is not None:
        columns["tag"] = records.tag
    first, last = int(records.time.min()), int(records.time.max())
    name = chunk.interface.encode()[:16]
    head = _HEAD.pack(_MAGIC, records.link, 0, len(records), len(chunk.buffer), first, last, name)
    return head + columns.tobytes() + chunk.buffer, first, last


def _known(path: Path) -> _Segment:
    """A segment of an earlier run; what was not written to its end doesn't count."""
    segment = _Segment(path, path.stat().st_size)
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size and head[:4] == _MAGIC:
            _, _, _, count, size, first, last, _ = _HEAD.unpack(head)
            if file.seek(count * _COLUMNS.itemsize + size, os.SEEK_CUR) > segment.size:
                break
            segment.holds(first, last)
    return segment


def _chunks(path: Path, begin: int, end: int) -> Iterator[Chunk]:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # forgotten meanwhile
        return
    with file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size and head[:4] == _MAGIC:
            _, link, _, count, size, first, last, interface = _HEAD.unpack(head)
            if last < begin or first > end:
                file.seek(count * _COLUMNS.itemsize + size, os.SEEK_CUR)
                continue
            columns = file.read(count * _COLUMNS.itemsize)
            buffer = file.read(size)
            if len(buffer) < size:
                return
            yield Chunk(interface.rstrip(b"\0").decode(), buffer, _records(link, columns))


def _records(link: int, packed: bytes) -> Records:
    found = np.frombuffer(packed, _COLUMNS)
    columns = {name: np.ascontiguousarray(found[name]) for name in ("frame", "captured", "wire", "time")}
    return Records(link, **columns, tag=found["tag"].copy() if found["tag"].any() else None)

"""A segment of the spool: one file of records. Writers are in `spool`, readers in `cursor`.

A segment is named by the number of its first record; records are counted from 0 on and no number comes twice. It begins
with a mark that says how far it is written: only what stands before the mark's end is there, the rest is an append
that goes on or whose process died. Each record has its number and a checksum, so that damage costs what was damaged,
and it is known how many records that are. Numbers are little-endian.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from sensor.noun import noun

LARGEST = 16 << 20  # bytes of a record: a document holds what was said of an object, not the object
SUFFIX = ".records"

_MAGIC = b"\xffTS\x01"  # no JSON holds 0xFF: no document can look like a record
_RECORD = struct.Struct("<4sIIIQQ")  # magic, checksum of the rest, bytes of action and document, number, ns since 1970
_SUMMED = 8  # the checksum is of what follows it
_MARK = struct.Struct("<8sQQI")  # magic, end, number of the record that will be next, whether the segment is full
_MARK_MAGIC = b"tapspool"
_SUM = struct.Struct("<I")
_READ = 1 << 20  # bytes that are read at once, where a record isn't larger

BEGIN = _MARK.size + _SUM.size  # where the first record stands
OVERHEAD = _RECORD.size  # bytes of a record beside action and document


@noun
class Record:
    """What a bulk request needs of one document (Elasticsearch, Bulk API): two lines of JSON, without the line ends."""

    action: bytes
    document: bytes

    def __len__(self) -> int:
        return len(self.action) + len(self.document)


class Position(NamedTuple):
    """Between two records: the number of the first record of a segment, and bytes from the segment's beginning on."""

    segment: int
    offset: int


@noun
class Mark:
    """How far a segment is written: bytes, and the number of the record that will be next. When `full`, to the end."""

    end: int
    following: int
    full: bool = False

    def packed(self) -> bytes:
        head = _MARK.pack(_MARK_MAGIC, self.end, self.following, self.full)
        return head + _SUM.pack(crc32(head))


@noun
class Found:
    """A record in a segment: where it ends, its number, when it was appended (ns since 1970)."""

    record: Record
    end: int
    number: int
    time: int


def path_of(folder: Path, segment: int) -> Path:
    """The file of a segment."""
    return folder / f"{segment:020d}{SUFFIX}"


def segments(folder: Path) -> list[int]:
    """The segments there are, the oldest first; none where there is no folder. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        stems = (path.stem for path in folder.iterdir() if path.suffix == SUFFIX)
        return sorted(int(stem) for stem in stems if stem.isdecimal())
    return []


def packed(records: Sequence[Record], number: int) -> bytes:
    """Records as they stand in a segment; the first has this number. Raises ValueError when one is over LARGEST."""
    now = time.time_ns()
    parts: list[bytes] = []
    for one, record in enumerate(records, number):
        if len(record) > LARGEST:
            raise ValueError(f"a record of {len(record)} bytes: more than {LARGEST}")
        head = _RECORD.pack(_MAGIC, 0, len(record.action), len(record.document), one, now)[_SUMMED:]
        total = crc32(record.document, crc32(record.action, crc32(head)))
        parts += (_MAGIC, _SUM.pack(total), head, record.action, record.document)
    return b"".join(parts)


def marked(descriptor: int) -> Mark | None:
    """The mark of a segment; None when it is damaged."""
    for _ in range(3):  # one may be set just now
        data = os.pread(descriptor, BEGIN, 0)
        if len(data) == BEGIN and crc32(data[: _MARK.size]) == _SUM.unpack_from(data, _MARK.size)[0]:
            magic, end, following, full = _MARK.unpack_from(data)
            return Mark(end, following, bool(full)) if magic == _MARK_MAGIC else None
    return None


def found(descriptor: int, begin: int, end: int) -> Iterator[Found]:
    """The intact records between two offsets; what is damaged, or not there to its end, is passed over."""
    size = _READ
    while begin + OVERHEAD <= end:
        data = os.pread(descriptor, min(size, end - begin), begin)
        read, size = size, _READ
        used = 0
        while (one := _intact(data, used, begin)) is not None:
            yield one
            used = one.end - begin
        if used:
            begin += used
        elif read < (needed := _needed(data)) <= end - begin:
            size = needed
        else:
            begin += _next(data)


def _intact(data: bytes, at: int, begin: int) -> Found | None:
    """The record that stands in `data` at an offset, whole; `data` begins at `begin`."""
    if len(data) - at < OVERHEAD:
        return None
    magic, total, action, document, number, when = _RECORD.unpack_from(data, at)
    middle = at + OVERHEAD + action
    end = middle + document
    if magic != _MAGIC or end > len(data) or crc32(memoryview(data)[at + _SUMMED : end]) != total:
        return None
    return Found(Record(data[at + OVERHEAD : middle], data[middle:end]), begin + end, number, when)


def _needed(data: bytes) -> int:
    """Bytes of the record that begins here, by its head; 0 where none does."""
    if len(data) < OVERHEAD or not data.startswith(_MAGIC):
        return 0
    _, _, action, document, _, _ = _RECORD.unpack_from(data)
    return OVERHEAD + action + document if action + document <= LARGEST else 0


def _next(data: bytes) -> int:
    """Where after the first byte a record may begin."""
    at = data.find(_MAGIC, 1)
    return at if at > 0 else max(len(data) - len(_MAGIC) + 1, 1)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Errors of system calls that know no name get one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise

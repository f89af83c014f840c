"""Where the entries of a zip file lie (PKWARE's APPNOTE.TXT 6.3.10), for `zip` to read.

Readers differ: most trust the central directory, streaming ones the local headers. Both are followed here, so that a
file which shows each another content is read both ways.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from struct import Struct
from typing import TypeAlias

from sensor.noun import noun

Buffer: TypeAlias = bytes | mmap.mmap  # what has `find`

LOCAL, CENTRAL, END, END64, LOCATOR, DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\7\x08"
END_SIZE, COMMENT = 22, 0xFFFF  # the end record stands at most that far from the end of the file (section 4.3.16)
ENCRYPTED, STREAMED, UTF8 = 1, 8, 0x800  # general purpose flags (section 4.4.4)
METHODS = frozenset((*range(11), 12, 14, 16, 18, 19, *range(93, 100)))  # section 4.4.5
LARGEST_VERSION = 100  # "version needed to extract" is 63 at most today (section 4.4.3)

_LOCAL = Struct("<4sHHHHHIIIHH")
_CENTRAL = Struct("<4sHHHHHHIIIHHHHHII")
_END = Struct("<4sHHHHIIH")


@noun
class Header:
    """What one header says of an entry. `size` is None where a local header leaves it to a data descriptor."""

    name: bytes
    flags: int
    method: int
    crc: int | None
    packed: int | None
    local: int  # offset of the local header
    data: int = 0  # offset of the data; 0 in a central header


def local_header(whole: Buffer, at: int) -> Header | None:
    """The local file header at `at` (section 4.3.7), if there is a plausible one."""
    if at < 0 or whole[at : at + 4] != LOCAL or at + _LOCAL.size > len(whole):
        return None
    _, version, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack_from(whole, at)
    start = at + _LOCAL.size
    data = start + name_length + extra_length
    if data > len(whole) or version & 0xFF > LARGEST_VERSION:
        return None
    name, extra = whole[start : start + name_length], whole[start + name_length : data]
    if packed == 0xFFFFFFFF:
        packed = _extended(extra, (size, packed))[1]
    if flags & STREAMED and not packed:
        return Header(name, flags, method, None, None, at, data)
    return Header(name, flags, method, crc, packed, at, data)


def central_headers(whole: Buffer) -> Iterator[Header]:
    """The entries of the central directory (section 4.3.12), as far as it goes."""
    found = _directory(whole)
    if found is None:
        return
    at, shift = found
    while whole[at : at + 4] == CENTRAL and at + _CENTRAL.size <= len(whole):
        fields = _CENTRAL.unpack_from(whole, at)
        flags, method, crc, packed, size = fields[3], fields[4], fields[7], fields[8], fields[9]
        name_length, extra_length, comment_length, local = fields[10], fields[11], fields[12], fields[16]
        start = at + _CENTRAL.size
        name = whole[start : start + name_length]
        extra = whole[start + name_length : start + name_length + extra_length]
        size, packed, local = _extended(extra, (size, packed, local))
        yield Header(name, flags, method, crc, packed, local + shift)
        at = start + name_length + extra_length + comment_length


def _extended(extra: bytes, values: tuple[int, ...]) -> tuple[int, ...]:
    """The Zip64 extra field (section 4.5.3): 8 bytes for each of `values` that is all ones, in this order."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = int.from_bytes(extra[at : at + 2], "little"), int.from_bytes(extra[at + 2 : at + 4], "little")
        if kind == 1:
            wide = extra[at + 4 : at + 4 + size]
            return tuple(_widened(values, wide))
        at += 4 + size
    return values


def _widened(values: tuple[int, ...], wide: bytes) -> Iterator[int]:
    for value in values:
        if value == 0xFFFFFFFF and len(wide) >= 8:
            value, wide = int.from_bytes(wide[:8], "little"), wide[8:]
        yield value


def _directory(whole: Buffer) -> tuple[int, int] | None:
    """Where the central directory begins, and how far all offsets are off because of bytes before the zip file."""
    lowest = max(0, len(whole) - END_SIZE - COMMENT)
    end = whole.rfind(END, lowest)
    while end >= 0:
        if end + END_SIZE <= len(whole):
            *_, size, offset, _ = _END.unpack_from(whole, end)
            size, offset, end_of_directory = _end64(whole, end, size, offset)
            for start in (end_of_directory - size, offset):
                if start >= 0 and whole[start : start + 4] == CENTRAL:
                    return start, start - offset
        end = whole.rfind(END, lowest, end)
    return None


def _end64(whole: Buffer, end: int, size: int, offset: int) -> tuple[int, int, int]:
    """The sizes of the Zip64 end record (section 4.3.14), if a locator before the end record leads to one."""
    if whole[max(0, end - 20) : end][:4] != LOCATOR:
        return size, offset, end
    at = whole.rfind(END64, max(0, end - 20 - 56 - COMMENT), end)
    if at < 0 or at + 56 > len(whole):
        return size, offset, end
    return int.from_bytes(whole[at + 40 : at + 48], "little"), int.from_bytes(whole[at + 48 : at + 56], "little"), at

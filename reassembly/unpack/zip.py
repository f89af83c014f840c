"""zip files (PKWARE's APPNOTE.TXT) to their members: also those of documents, programs and apps that are zip files.

First what the central directory lists, then what local headers show beside it. Where a member's two headers disagree,
both readings are given, if their bytes differ.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

from isal import isal_zlib

from reassembly.filetype import ZIP_TYPES
from reassembly.objects import Object
from reassembly.unpack.container import Container
from reassembly.unpack.decoders import Decode, Ending, bunzip2, inflate, stored, unxz, unzstd, zip_lzma
from reassembly.unpack.ziplayout import (
    CENTRAL,
    DESCRIPTOR,
    ENCRYPTED,
    LOCAL,
    METHODS,
    UTF8,
    Buffer,
    Header,
    central_headers,
    local_header,
)
from sensor.noun import noun, state

TYPES = tuple(sorted(ZIP_TYPES))
HIDING_PLACES = (  # a zip file may follow: programs that unpack themselves, and what nobody knows
    "application/octet-stream",
    "application/vnd.microsoft.portable-executable",
    "application/x-dosexec",
    "application/x-executable",
    "application/x-sharedlib",
)

_METHODS: dict[int, Decode] = {
    0: stored,
    8: inflate,
    12: bunzip2,
    14: zip_lzma,
    20: unzstd,  # its number before version 6.3.8
    93: unzstd,
    95: unxz,
}


@state
class _Walk:
    """One zip file while it is read. `taken` are the ranges that its members have used so far, sorted."""

    container: Container
    whole: Buffer
    view: memoryview
    taken: list[tuple[int, int]]


@noun
class _Way:
    """One way to take the bytes of a member."""

    method: int
    start: int
    packed: int | None
    crc: int | None
    encrypted: bool


def members(container: Container) -> Iterator[Object]:
    """The members, as far as any header leads to them."""
    with container.target.content.view() as view:
        walk = _Walk(container, cast(Buffer, view.obj), view, [])
        for central, local, findings in _entries(walk):
            header = central or local
            assert header is not None
            limit = container.full()
            if limit:
                yield container.unread(_text(header), f"limit:{limit}")
                return
            yield from _member(walk, header, local, findings)


def _entries(walk: _Walk) -> Iterator[tuple[Header | None, Header | None, list[str]]]:
    """Each member's central and local header, and what is odd about them."""
    lowest = len(walk.whole)
    listed = 0
    for central in central_headers(walk.whole):
        listed += 1
        local = local_header(walk.whole, central.local)
        lowest = min(lowest, max(central.local, 0))
        yield central, local, _differences(central, local)
    if walk.container.target.mime_type in ZIP_TYPES:
        lowest = 0
    for local in _unlisted(walk, lowest):
        yield None, local, ["zip.unlisted_member" if listed else "zip.no_directory"]


def _unlisted(walk: _Walk, start: int) -> Iterator[Header]:
    """Local headers outside of what was taken so far; after too many marks without a header it is something else."""
    false = 0
    for low, high in _untaken(walk.taken, start, len(walk.whole)):
        at = walk.whole.find(LOCAL, low, high)
        while at >= 0 and false <= walk.container.memory.limits.unpack_members:
            local = local_header(walk.whole, at)
            if local and local.name and local.method in METHODS:
                yield local
                at = max(at + 4, _end_of(walk.taken, at))
            else:
                false, at = false + 1, at + 4
            at = walk.whole.find(LOCAL, at, high)


def _untaken(taken: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    free = []
    for low, high in taken:
        if low > start:
            free.append((start, low))
        start = max(start, high)
    return [*free, (start, end)] if start < end else free


def _end_of(taken: list[tuple[int, int]], start: int) -> int:
    """Where the range that was taken at `start` is over."""
    place = bisect_left(taken, (start, 0))
    return taken[place][1] if place < len(taken) and taken[place][0] == start else start


def _touches(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    """Whether another member used some of this range: what overlapping bombs (and nobody else) do."""
    place = bisect_left(taken, (start, end))
    return (place > 0 and taken[place - 1][1] > start) or (place < len(taken) and taken[place][0] < end)


def _differences(central: Header, local: Header | None) -> list[str]:
    if local is None:
        return ["zip.no_local_header"]
    same = local.name == central.name and local.method == central.method
    known = local.packed is None or (local.packed, local.crc) == (central.packed, central.crc)
    return [] if same and known else ["zip.header_mismatch"]


def _member(walk: _Walk, header: Header, local: Header | None, findings: list[str]) -> Iterator[Object]:
    """One member, read by each of its headers; most give one object, a directory none."""
    container = walk.container
    if local is None:
        yield container.unread(_text(header), container.target.cut or "damaged", *findings)
        return
    ways = _ways(walk, header, local)
    if _touches(walk.taken, local.local, local.data + (ways[0].packed or 1)):
        findings.append("zip.overlap")
    readings = [_read(walk, way, _text(header), findings) for way in ways]
    insort(walk.taken, (local.local, max(end for _, end in readings)))
    found = [reading for reading, _ in readings]
    if not (header.name.endswith(b"/") and found[0].complete and not found[0].size):
        yield from _different(found)


def _different(readings: list[Object]) -> Iterator[Object]:
    """Those with bytes of their own; one without bytes only when none has any."""
    if len(readings) > 1 and readings[0].sha256 == readings[1].sha256:
        return iter(readings[:1])
    return iter([reading for reading in readings if reading.size] or readings[:1])


def _ways(walk: _Walk, header: Header, local: Header) -> list[_Way]:
    """By the header that leads here; and by the local one, if its data would be others."""
    packed = header.packed
    if packed is None and header.method != 8:  # deflate knows its own end
        packed = _streamed_end(walk.whole, local.data) - local.data
    encrypted = bool(header.flags & local.flags & ENCRYPTED)
    first = _Way(header.method, local.data, packed, header.crc, encrypted)
    if local.packed is None:
        second = replace(first, method=local.method)
    else:
        second = _Way(local.method, local.data, local.packed, local.crc, encrypted)
    return [first] if (second.method, second.packed) == (first.method, first.packed) else [first, second]


def _streamed_end(whole: Buffer, start: int) -> int:
    """Where data of unknown size ends: at the next mark of a descriptor, an entry or the directory."""
    end = len(whole)
    for mark in (LOCAL, DESCRIPTOR, CENTRAL):  # each looks only as far as the one before found something
        at = whole.find(mark, start, end)
        end = at if at >= 0 else end
    return end


def _read(walk: _Walk, way: _Way, name: str, findings: list[str]) -> tuple[Object, int]:
    """The member taken this way, and where its data is over."""
    container = walk.container
    decode = _METHODS.get(way.method)
    if decode is None:
        why = "encrypted" if way.encrypted else "unsupported"
        return container.unread(name, why, *findings, "zip." + why), way.start + (way.packed or 0)
    source = walk.view[way.start :] if way.packed is None else walk.view[way.start : way.start + way.packed]
    ending, check = Ending(), _Check()
    builder = container.open(name)
    whole = container.fill(builder, check.over(decode(source, ending)))
    if way.packed is not None and len(source) < way.packed:
        ending.cut = "truncated"
    right = way.crc is None or check.crc == way.crc
    end = way.start + (ending.used if way.packed is None else len(source))
    if way.encrypted and not (right and whole and ending.cut is None):  # some only pretend, to keep scanners out
        builder.drop()
        return container.unread(name, "encrypted", *findings, "zip.encrypted"), end
    for finding in findings if right or not whole or ending.cut else [*findings, "zip.bad_crc"]:
        builder.find(finding)
    return container.finish(builder, ending), end


class _Check:
    """The CRC-32 of what goes through."""

    crc = 0

    def over(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.crc = isal_zlib.crc32(piece, self.crc)
            yield piece


def _text(header: Header) -> str:
    """The name: UTF-8 where it says so or can be, else code page 437 (APPNOTE.TXT, appendix D)."""
    if header.flags & UTF8:
        return header.name.decode("utf-8", "replace")
    try:
        return header.name.decode("utf-8")
    except UnicodeDecodeError:
        return header.name.decode("cp437")

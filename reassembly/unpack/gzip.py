"""gzip files (RFC 1952) to the one file inside: the pattern for all containers.

Several members in a row are one file (section 2.2), as `gunzip` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from isal import isal_zlib

from reassembly.codings import decoded
from reassembly.objects import Object
from reassembly.unpack.container import Container
from reassembly.unpack.decoders import Ending, inflate
from sensor.noun import state

TYPES = ("application/gzip",)

MAGIC = b"\x1f\x8b\x08"
FHCRC, FEXTRA, FNAME, FCOMMENT, RESERVED = 2, 4, 8, 16, 0xE0
NAME_BYTES = 4096  # a longer name or comment is no name: PATH_MAX of Linux


@state
class _Reading:
    """One pass over the members of a gzip file."""

    ending: Ending = field(default_factory=Ending)
    at: int = 0
    name: str | None = None
    findings: dict[str, None] = field(default_factory=dict)


def members(container: Container) -> Iterator[Object]:
    """The one file inside, if as much as a header is there."""
    plain = decoded(("gzip",), container.target.content.kept or b"")
    if plain is not None and container.has_room(len(plain)):
        yield container.whole(_name(container), plain)
        return
    with container.target.content.view() as whole:
        reading = _Reading()
        body = header_end(whole, 0, reading)
        if body is None:
            yield container.unread(None, container.target.cut or "truncated", "gzip.bad_header")
            return
        builder = container.open(reading.name or inner_name(container.target.name))
        container.fill(builder, _pieces(whole, body, reading))
        for finding in reading.findings:
            builder.find(finding)
        yield container.finish(builder, reading.ending)


def _name(container: Container) -> str | None:
    """What a whole file is called inside, or would be."""
    reading = _Reading()
    header_end(container.target.content.view(), 0, reading)
    return reading.name or inner_name(container.target.name)


def inner_name(name: str | None) -> str | None:
    """The name without the suffix that compressing added."""
    if not name or "." not in name:
        return None
    stem, suffix = name.rsplit(".", 1)
    suffix = suffix.lower()
    if suffix in ("tgz", "tbz", "tbz2", "txz", "tzst"):
        return stem + ".tar"
    return stem if suffix in ("gz", "bz2", "xz", "lzma", "zst", "z", "svgz") else None


def _pieces(whole: memoryview, body: int, reading: _Reading) -> Iterator[bytes]:
    """The bytes of all members in a row."""
    start: int | None = body
    while start is not None:
        reading.ending = ending = Ending()
        check = 0
        size = 0
        for piece in inflate(whole[start:], ending):
            check = isal_zlib.crc32(piece, check)
            size += len(piece)
            yield piece
        reading.at = start + ending.used
        if ending.cut:
            return
        start = _next_member(whole, reading, check, size)


def _next_member(whole: memoryview, reading: _Reading, check: int, size: int) -> int | None:
    """Compares the trailer; where the data of a following member begins, if there is one."""
    trailer = whole[reading.at : reading.at + 8]
    reading.at += len(trailer)
    if len(trailer) < 8:
        reading.ending.cut = "truncated"
        return None
    if int.from_bytes(trailer[:4], "little") != check:
        reading.findings["gzip.bad_crc"] = None
    if int.from_bytes(trailer[4:], "little") != size & 0xFFFFFFFF:
        reading.findings["gzip.bad_length"] = None
    if reading.at == len(whole):
        return None
    body = header_end(whole, reading.at, reading)
    if body is None:
        reading.findings["gzip.trailing_data"] = None
    return body


def header_end(whole: memoryview, at: int, reading: _Reading) -> int | None:
    """Where the deflate data begins, behind the header at `at` (section 2.3); None when there is none, or no more."""
    if len(whole) < at + 10 or whole[at : at + 3] != MAGIC:
        return None
    flags = whole[at + 3]
    if flags & RESERVED:
        reading.findings["gzip.reserved_flags"] = None
    at += 10
    if flags & FEXTRA:
        at += 2 + int.from_bytes(whole[at : at + 2], "little")
    if flags & FNAME:
        name, at = _string(whole, at)
        reading.name = reading.name or name
    if flags & FCOMMENT:
        at = _string(whole, at)[1]
    if flags & FHCRC:
        at += 2
    return at if at <= len(whole) else None


def _string(whole: memoryview, at: int) -> tuple[str | None, int]:
    """A zero-terminated ISO 8859-1 string, and where it is over."""
    text, end, _ = bytes(whole[at : at + NAME_BYTES]).partition(b"\0")
    return (text.decode("latin-1") or None) if end else None, at + len(text) + 1

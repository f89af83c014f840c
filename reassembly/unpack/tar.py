"""tar archives (POSIX pax interchange format, and GNU's long names) to their members."""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.objects import Object
from reassembly.unpack.container import Container
from reassembly.unpack.decoders import Ending, stored

TYPES = ("application/x-tar",)

BLOCK = 512
FILES = b"0\x007S"  # regular, regular of old, contiguous, GNU's sparse (its data as it lies there)
NAME_BYTES = 64 << 10  # of a long name or a pax header; more is no name


def members(container: Container) -> Iterator[Object]:
    """The files inside, up to the first block that is no header."""
    with container.target.content.view() as whole:
        at, name = 0, None
        while (size := _size(whole, at)) is not None:
            kind, data = whole[at + 156], whole[at + BLOCK : at + BLOCK + size]
            if kind in b"Lx":
                name = _long_name(kind, bytes(data[:NAME_BYTES])) or name
            elif kind in FILES:
                name = name or _name(whole, at)
                limit = container.full()
                if limit:
                    yield container.unread(name, f"limit:{limit}")
                    return
                yield _member(container, name, data, size)
            name = name if kind in b"Lxg" else None
            at += BLOCK + (size + BLOCK - 1) // BLOCK * BLOCK


def _member(container: Container, name: str | None, data: memoryview, size: int) -> Object:
    ending = Ending()
    builder = container.open(name)
    container.fill(builder, stored(data, ending))
    if len(data) < size:
        ending.cut = "truncated"
    return container.finish(builder, ending)


def _size(whole: memoryview, at: int) -> int | None:
    """The size in the header at `at`; None where no header with a right checksum is."""
    header = bytes(whole[at : at + BLOCK])
    if len(header) < BLOCK:
        return None
    claimed = _number(header[148:156])
    if claimed is None or claimed != sum(header) - sum(header[148:156]) + 8 * 32:  # its own field counts as blanks
        return None
    return _number(header[124:136])


def _number(field: bytes) -> int | None:
    """Octal digits; or, with the first bit set, GNU's binary form."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 62) - 1)
    digits = field.strip(b" \0")
    return int(digits, 8) if digits.isdigit() and not digits.strip(b"01234567") else (None if digits else 0)


def _name(whole: memoryview, at: int) -> str | None:
    name = bytes(whole[at : at + 100]).split(b"\0", 1)[0]
    if bytes(whole[at + 257 : at + 263]) == b"ustar\0":
        prefix = bytes(whole[at + 345 : at + 500]).split(b"\0", 1)[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "replace") or None


def _long_name(kind: int, data: bytes) -> str | None:
    """GNU's `L` block is the name; a pax header has it in the record `path` ("%d %s=%s\\n")."""
    if kind == ord("L"):
        return data.rstrip(b"\0").decode("utf-8", "replace") or None
    for record in data.split(b"\n"):
        key, _, value = record.partition(b" ")[2].partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "replace") or None
    return None

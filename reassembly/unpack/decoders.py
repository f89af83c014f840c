"""Compressed bytes to plain ones, piece by piece, for containers: bounded in memory, never raising.

Each decoder is a generator over a buffer. How it ended stands in the `Ending` it is given: how many bytes of the buffer
it used and, when the stream did not come to its proper end, why.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias, cast

from isal import isal_zlib

from sensor.noun import state

STEP = 64 << 10  # bytes given to a decoder at once
PIECE = 1 << 20  # bytes taken from it at once
ZSTD_WINDOW = 128 << 20  # RFC 8878, section 3.1.1.1.2, lets a decoder refuse; `zstd --long` needs this much
LZMA_MEMORY = 192 << 20  # `xz -9` needs 65 MiB


_BadDeflate = cast(type[Exception], isal_zlib.error)  # its stubs have an instance here


@state
class Ending:
    """How decoding ended. `cut` is None when the stream came to its end, else `truncated`, `damaged`, `unsupported`."""

    used: int = 0
    cut: str | None = "truncated"


Decode: TypeAlias = Callable[[memoryview, Ending], Iterator[bytes]]


class _Decompressor(Protocol):
    """What bz2's and lzma's decompressors share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def stored(source: memoryview, ending: Ending) -> Iterator[bytes]:
    """No compression at all."""
    for start in range(0, len(source), PIECE):
        piece = bytes(source[start : start + PIECE])
        ending.used += len(piece)
        yield piece
    ending.cut = None


def inflate(source: memoryview, ending: Ending) -> Iterator[bytes]:
    """Raw deflate (RFC 1951), without zlib's or gzip's wrapping. `source` may go on behind it."""
    decoder = isal_zlib.decompressobj(-15)
    given = made = 0
    while not decoder.eof:
        tail = decoder.unconsumed_tail
        chunk = tail or bytes(source[given : given + STEP])
        given += 0 if tail else len(chunk)
        try:
            piece = decoder.decompress(chunk, PIECE)
        except _BadDeflate:
            ending.cut = "damaged"
            yield from _up_to_the_damage(source, made)
            return
        made += len(piece)
        ending.used = given - len(decoder.unconsumed_tail) - len(decoder.unused_data)
        if piece:
            yield piece
        elif not chunk:  # nothing to give and nothing inside
            return
    ending.cut = None


def _up_to_the_damage(source: memoryview, made: int) -> Iterator[bytes]:
    """What a damaged deflate stream still holds behind its first `made` bytes: decoded again, by ever smaller steps."""
    decoder = zlib.decompressobj(-15)
    given, left = 0, b""
    for size in (PIECE, 4096, 64):
        while left or given < len(source):
            if not left:
                left = bytes(source[given : given + STEP])
                given += len(left)
            before = decoder.copy()
            try:
                piece = decoder.decompress(left, size)
            except zlib.error:
                decoder = before
                break
            left = decoder.unconsumed_tail
            yield piece[made:]
            made = max(0, made - len(piece))
    if not made:
        yield _byte_by_byte(decoder, left)


def _byte_by_byte(decoder: zlib._Decompress, left: bytes) -> bytes:
    pieces = []
    for at in range(len(left)):
        try:
            pieces.append(decoder.decompress(left[at : at + 1]))
        except zlib.error:
            break
    return b"".join(pieces)


def _streamed(new: Callable[[], _Decompressor], several: bool = True, step: int = STEP) -> Decode:
    """A decoder of one stream, or of `several` in a row (`cat a.bz2 b.bz2` is a valid file, so for xz and zstd)."""

    def decode(source: memoryview, ending: Ending) -> Iterator[bytes]:
        while True:
            start, empty = ending.used, True
            for piece in _one_stream(new(), source[start:], ending, step):
                empty = False
                yield piece
            if start and empty and ending.cut:  # no further stream: what is left is something else
                ending.used, ending.cut = start, None
                return
            if ending.cut or not several or ending.used >= len(source):
                return

    return decode


def _one_stream(decoder: _Decompressor, source: memoryview, ending: Ending, step: int) -> Iterator[bytes]:
    before, given = ending.used, 0
    while not decoder.eof and (given < len(source) or not decoder.needs_input):
        chunk = bytes(source[given : given + step]) if decoder.needs_input else b""
        given += len(chunk)
        try:
            piece = decoder.decompress(chunk, PIECE)
        except (OSError, EOFError, ValueError, lzma.LZMAError, MemoryError):
            ending.cut = "damaged"
            return
        if piece:
            yield piece
    ending.used = before + given - len(decoder.unused_data)
    ending.cut = None if decoder.eof else "truncated"


class _Zstd:
    """One frame. Its decoder can't be told how much to give at once, so it is given little: a block of four bytes may
    stand for 128 KiB (RFC 8878, section 3.1.1.2)."""

    needs_input = True

    def __init__(self) -> None:
        from zstandard import ZstdDecompressor, ZstdError  # as long to load as all else here together

        self._decoder = ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._error = ZstdError

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        try:
            return self._decoder.decompress(data)
        except self._error as error:
            raise ValueError(str(error)) from None

    @property
    def eof(self) -> bool:
        return self._decoder.eof

    @property
    def unused_data(self) -> bytes:
        return self._decoder.unused_data


bunzip2 = _streamed(bz2.BZ2Decompressor)
unxz = _streamed(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY))
unlzma = _streamed(lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY), several=False)
unzstd = _streamed(_Zstd, step=1 << 10)


def zip_lzma(source: memoryview, ending: Ending) -> Iterator[bytes]:
    """LZMA as zip has it (APPNOTE.TXT, section 5.8.8): version, size of the properties, properties, raw stream."""
    size = int.from_bytes(source[2:4], "little")
    properties = bytes(source[4 : 4 + size])
    if size != 5 or len(properties) != 5 or properties[0] >= 9 * 5 * 5:
        ending.cut = "damaged"
        return
    alone = properties + b"\xff" * 8  # of unknown size: ends with its end mark, or with the input
    yield from unlzma(memoryview(alone + bytes(source[4 + size :])), ending)
    ending.used = len(source)

"""The chunked transfer coding as it should be (RFC 9112, section 7.1), while it arrives.

At the first byte that isn't right `odd` is set; `reassembly.http.loose` then reads the same bytes with more patience.
"""

from __future__ import annotations

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n\0]*)?\r\n\Z")
_BEGUN = re.compile(rb"[0-9A-Fa-f]{1,15}[ \t]*(?:;[^\r\n]*)?\r?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\r\n\Z")
_LONGEST_LINE = 16 << 10  # of a chunk's size with its extensions; common servers take 4 to 16 KiB
_LARGEST = 1 << 32  # a chunk of that size is meant to overflow something
_AT_SIZE, _AT_END, _AT_TRAILER = range(3)


_NEXT = re.compile(rb"\r\n([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")


def next_chunk(data: bytes, pos: int) -> tuple[int, int] | None:
    """The first chunk that seems to begin after `pos`: where the data before it ends, and where its size stands."""
    for match in _NEXT.finditer(data, pos):
        after = match.end() + int(match[1], 16)
        if after >= len(data) or data[after : after + 2] == b"\r\n":
            return match.start(), match.start() + 2
    return None


def unchunked(data: bytes, pos: int) -> tuple[bytes, int] | None:
    """A whole chunked body at `pos` without its framing, and where it ends; None unless all of it is here and right."""
    pieces: list[bytes] = []
    while (match := _PLAIN.match(data, pos)) is not None:
        size = int(match[1], 16)
        start, end = match.end(), match.end() + size
        if data[end : end + 2] != b"\r\n":
            return None
        if not size:
            return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), end + 2
        pieces.append(data[start:end])
        pos = end + 2
    return None


_PLAIN = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")


class Chunks:
    """Takes the framing off. `done` after the last line, `odd` when it is not as it should be."""

    __slots__ = ("_at", "_line", "_trailer", "done", "need", "odd")

    def __init__(self) -> None:
        self.need = 0  # bytes of the present chunk still to come
        self.done = False
        self.odd = False
        self._at = _AT_SIZE
        self._line = b""  # the beginning of a line
        self._trailer = 0

    def feed(self, data: bytes, pos: int, out: list[bytes]) -> int:
        """Reads on at `pos`, appends body bytes to `out`; gives the position up to which `data` was used."""
        size = len(data)
        while pos < size and not self.done and not self.odd:
            if self.need:
                end = min(pos + self.need, size)
                out.append(data[pos:end])
                self.need -= end - pos
                pos = end
                continue
            end = data.find(b"\n", pos) + 1
            if not end:
                self._line += data[pos:]
                self.odd = not self._hopeful()
                return size
            line = self._line + data[pos:end] if self._line else data[pos:end]
            self._line = b""
            pos = end
            self._take(line)
        return pos

    @property
    def stuck(self) -> bool:
        """At the end of the stream: whether the last bytes are no beginning of a right line."""
        return bool(self._line) and self._at == _AT_SIZE and _BEGUN.fullmatch(self._line) is None

    def _hopeful(self) -> bool:
        """Whether an unfinished line can still become right."""
        if self._at == _AT_END:
            return self._line == b"\r"
        return len(self._line) <= _LONGEST_LINE

    def _take(self, line: bytes) -> None:
        if self._at == _AT_END:
            self._at = _AT_SIZE
            self.odd = line != b"\r\n"
        elif self._at == _AT_SIZE:
            match = _SIZE.match(line)
            if match is None:
                self.odd = True
                return
            self.need = int(match[1], 16)
            if self.need >= _LARGEST:
                self.odd = True
                return
            self._at = _AT_END if self.need else _AT_TRAILER
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailer += len(line)
            self.odd = _TRAILER.match(line) is None or self._trailer > _LONGEST_LINE

    def skip(self, length: int) -> bool:
        """Whether `length` bytes that are missing lie within the present chunk; passes over them if so."""
        if length > self.need:
            return False
        self.need -= length
        return True

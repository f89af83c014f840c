"""The chunked coding as broken senders write it and patient clients read it: sizes with signs, prefixes and junk, odd
line ends, lengths that are off by a byte. Works on a whole message; `reassembly.http.chunked` is for the right ones.

Each chunk is read in the way that is borne out by what follows its data: a line end.
"""

from __future__ import annotations

import re

from sensor.noun import state

_HEX = re.compile(rb"[0-9A-Fa-f]+")
_TRAILER = re.compile(rb"(?:[!-9;-~]{1,64}:[^\r\n]{0,1024}\r?\n){1,16}\r?\n")
_LAST = re.compile(rb"[\s\0]*[+\-]?0+(?:[xX]0*)?[\s\0]*(?:;.*)?\Z", re.DOTALL)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_BREAKS = b"\r\n"
_FILLING = b" \t\r\n\0\v\f"
_LONGEST_LINE = 1024  # between two chunks
_MOST_ODD = 4096  # chunks: each takes some microseconds, and who breaks so many of them wants our time
_MOST_JUNK = 16  # bytes between a chunk's data and its line end
_WORD, _LONG = 1 << 32, 1 << 64


@state
class Dechunked:
    """A body without its framing. `end`: of the message; `chunks`: those borne out; `whole`: the last one was seen."""

    pieces: list[bytes]
    end: int
    chunks: int
    whole: bool
    strict: bool
    odd: int = 0  # chunks that were not right

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def dechunk(raw: bytes, start: int, by_lines: bool = False) -> Dechunked | None:
    """Reads `raw` from `start`; None if there is no chunk. `by_lines`: data ends at its line end, whatever its size."""
    read = Dechunked([], start, 0, False, True)
    at = start
    while at < len(raw):
        found = _chunk(raw, at, read, by_lines)
        if found is None:
            break
        at = found
        read.end = at
        if read.whole:
            break
    return read if read.chunks or (read.whole and not read.strict) or (read.whole and at > start) else None


def _chunk(raw: bytes, at: int, read: Dechunked, by_lines: bool) -> int | None:
    """One chunk; gives where the next begins."""
    match = _SIZE_LINE.match(raw, at)
    if match is not None and not by_lines:
        size, data = int(match[1], 16), match.end()
        if not size:
            return _last(raw, data, read)
        if raw[data + size : data + size + 2] == b"\r\n":
            read.pieces.append(raw[data : data + size])
            read.chunks += 1
            return data + size + 2
    read.strict = False
    read.odd += 1
    if read.odd > _MOST_ODD:
        return None
    return _odd_chunk(raw, at, read, by_lines)


def _last(raw: bytes, at: int, read: Dechunked) -> int:
    """After the last chunk: trailer fields up to an empty line, if they are there."""
    read.whole = True
    if raw[at : at + 2] == b"\r\n":
        return at + 2
    read.strict = False
    trailer = _TRAILER.match(raw, at)
    if trailer is not None:
        return trailer.end()
    while at < len(raw) and raw[at] in _FILLING:
        at += 1
    return at


def _odd_chunk(raw: bytes, at: int, read: Dechunked, by_lines: bool) -> int | None:
    while at < len(raw):
        while at < len(raw) and raw[at] in _FILLING:
            at += 1
        line_end = _line_end(raw, at)
        match = _HEX.search(raw, at, line_end)
        if match is not None:
            break
        if line_end >= len(raw) or line_end - at > _LONGEST_LINE:
            return None
        at = line_end + 1
    else:
        return None
    sizes = _sizes(raw[at:line_end])
    if 0 in sizes and _LAST.match(raw, at, line_end):
        return _last(raw, _past_break(raw, line_end), read)
    found = _by_lines(raw, sizes, line_end, read) if by_lines else _borne_out(raw, sizes, line_end, read)
    return found if found is not None else _cut_off(raw, sizes, line_end, read)


def _line_end(raw: bytes, at: int) -> int:
    """The first line break of any kind."""
    ends = [end for end in (raw.find(b"\n", at), raw.find(b"\r", at)) if end >= 0]
    return min(ends, default=len(raw))


def _past_break(raw: bytes, at: int) -> int:
    return at + 2 if raw[at : at + 2] in (b"\r\n", b"\n\r") else at + 1


def _sizes(line: bytes) -> list[int]:
    """What clients make of a size line: the first hexadecimal number, wrapped as their integers are."""
    sizes: list[int] = []
    line = line.replace(b"\0", b"")
    for match in list(_HEX.finditer(line))[:3]:
        digits = match[0]
        if digits.strip(b"0") == b"" and line[match.end() : match.end() + 1] in (b"x", b"X"):
            continue  # 0x: the number follows
        size = int(digits[:64], 16)
        if line[match.start() - 1 : match.start()] == b"-" and match.start():
            sizes += [-size % _WORD, -size % _LONG]
        elif size >= _WORD:
            sizes += [size, size % _WORD, size % _LONG]
        else:
            sizes.append(size)
    return sizes or [0]


def _borne_out(raw: bytes, sizes: list[int], line_end: int, read: Dechunked) -> int | None:
    """The first size and line end after which the data is followed by a line end."""
    for junk in (False, True):
        for size in sizes:
            for data in _data_starts(raw, line_end):
                after = data + size
                if not size or after > len(raw):
                    continue
                next_one = _after_data(raw, after, junk)
                if next_one is not None:
                    read.pieces.append(raw[data:after])
                    read.chunks += 1
                    return next_one
    return None


def _data_starts(raw: bytes, line_end: int) -> list[int]:
    """Where the data can begin: after CRLF, LF CR, LF or CR, or after all the breaks that are there."""
    starts = [_past_break(raw, line_end), line_end + 1]
    at = line_end
    while at < len(raw) and raw[at] in _BREAKS:
        at += 1
        starts.append(at)
    feed = raw.find(b"\n", line_end, line_end + _LONGEST_LINE)
    if feed >= 0:
        starts.append(feed + 1)
    # Data seldom begins with a line break: where it seems to, more of the break was meant.
    return sorted(dict.fromkeys(starts[:6]), key=lambda start: raw[start : start + 1] in (b"\r", b"\n"))


def _after_data(raw: bytes, at: int, junk: bool) -> int | None:
    """Past the line end at `at`; with `junk`, one that comes a little later."""
    if at == len(raw):
        return at
    if raw[at] in _BREAKS:
        return _past_break(raw, at)
    if not junk:
        return None
    end = _line_end(raw, at)
    return _past_break(raw, end) if end < len(raw) and end - at <= _MOST_JUNK else None


def _by_lines(raw: bytes, sizes: list[int], line_end: int, read: Dechunked) -> int | None:
    """The data up to the line end that is nearest to where its size points."""
    data = _past_break(raw, line_end)
    for size in sizes:
        after = min(data + size, len(raw))
        end = raw.find(b"\r\n", max(data, after - 2), after + _MOST_JUNK)
        if end >= 0:
            read.pieces.append(raw[data:end])
            read.chunks += 1
            return end + 2
    return None


def _cut_off(raw: bytes, sizes: list[int], line_end: int, read: Dechunked) -> int | None:
    """A chunk whose end isn't there: what came of it, if other chunks went before."""
    data = _past_break(raw, line_end)
    if not read.chunks or data + max(sizes) <= len(raw):
        return None
    read.pieces.append(raw[data:])
    return len(raw)

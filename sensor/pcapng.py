"""The pcapng format: a chunk of a capture file becomes the columns of its packet blocks.

Follows draft-ietf-opsawg-pcapng: section header, interface description, enhanced and simple packet blocks, and the
obsolete packet block (appendix A). Blocks of other kinds are passed over.
"""

from __future__ import annotations

import struct
from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.columns import Offsets, gather
from sensor.link import KNOWN_LINKS
from sensor.records import LONGEST_RECORD, Records

MOST_INTERFACES = 4096  # of one section; hosts with many containers have some hundreds
LONGEST_BLOCK = LONGEST_RECORD + (64 << 10)  # of those that are read: a frame and its options
MOST_SPLITS = 64  # batches that one chunk is cut into where the link type changes to and fro

_SECTION, _INTERFACE, _PACKET, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
_ORDER_MAGIC = 0x1A2B3C4D
_TSRESOL, _TSOFFSET = 9, 14
_MICROSECONDS = 6  # if_tsresol where the option is not given


def is_pcapng(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a pcapng file."""
    return head[:4] == b"\n\r\r\n" and _order(head, 0) is not None


def _order(chunk: bytes, start: int) -> str | None:
    magic = chunk[start + 8 : start + 12]
    return {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(magic)


class Pcapng:
    """Reads blocks. The file begins with a section header, which says the byte order."""

    def __init__(self) -> None:
        self.damaged: str | None = None
        self._time = 0  # of the last packet: simple packet blocks have none of their own
        self._begin_section("<")

    def _begin_section(self, order: str) -> None:
        self._order = order
        self._links: list[int] = []  # these four: one entry an interface
        self._snaps: list[int] = []
        self._resolutions: list[int] = []
        self._offsets: list[int] = []

    def records(self, chunk: bytes, counters: Counter[str]) -> tuple[list[Records], int]:
        """The whole packet blocks at the start of the chunk, and how many bytes they take (more: pass over)."""
        found: list[Records] = []
        used = 0
        while used + 12 <= len(chunk) and self.damaged is None:
            if chunk[used : used + 4] == b"\n\r\r\n":
                behind = self._section(chunk, used)
            else:
                starts, odd, behind = self._blocks(chunk, used, counters)
                found += self._columns(chunk, starts, odd, counters) if len(starts) else []
            if behind == used:
                break
            used = behind
        return found, used

    def _section(self, chunk: bytes, start: int) -> int:
        order = _order(chunk, start)
        if order is None:
            self.damaged = "a section header without its byte-order magic"
            return start
        (length,) = struct.unpack_from(order + "I", chunk, start + 4)
        if length < 12 or length & 3:
            self.damaged = f"a section header claims {length} bytes"
            return start
        self._begin_section(order)
        return start + int(length)

    def _blocks(self, chunk: bytes, start: int, counters: Counter[str]) -> tuple[Offsets, list[int], int]:
        """Walks blocks up to the next section: starts of packet blocks, which of them are not enhanced, the end."""
        found: list[int] = []
        odd: list[int] = []
        append, unpack = found.append, struct.Struct(self._order + "II").unpack_from
        enhanced, kind, length = _ENHANCED, 0, 0
        position, last, size = start, len(chunk) - 12, len(chunk)
        while position <= last:
            kind, length = unpack(chunk, position)
            if length < 12 or length & 3:
                self.damaged = f"a block claims {length} bytes"
                break
            if kind == enhanced:
                append(position)
            elif kind in (_PACKET, _SIMPLE):
                odd.append(len(found))
                append(position)
            elif kind == _SECTION or (kind == _INTERFACE and position + length > size and length <= LONGEST_BLOCK):
                break
            elif kind == _INTERFACE:
                self._interface(chunk[position + 8 : position + length - 4], counters)
            position += length
        if position > size and kind in (_PACKET, _SIMPLE, _ENHANCED):
            begin = found.pop()  # not whole: it comes again with the next chunk, if it is one
            odd = [row for row in odd if row < len(found)]
            if length > LONGEST_BLOCK:
                counters["pcapng.absurd_block"] += 1
            else:
                position = begin
        return np.array(found, np.int64), odd, position

    def _interface(self, body: bytes, counters: Counter[str]) -> None:
        """Keeps an interface description block (section 4.2), given without its frame of type and lengths."""
        if len(self._links) >= MOST_INTERFACES or len(body) < 8:
            counters["pcapng.interface_ignored"] += 1
            return
        link, _, snap = struct.unpack_from(self._order + "HHI", body)
        options = _options(body[8 : 64 << 10], self._order)
        resolution, offset = options.get(_TSRESOL, b""), options.get(_TSOFFSET, b"")
        self._links.append(link)
        self._snaps.append(snap)
        self._resolutions.append(resolution[0] if resolution else _MICROSECONDS)
        self._offsets.append(struct.unpack(self._order + "q", offset)[0] if len(offset) == 8 else 0)

    def _columns(self, chunk: bytes, starts: Offsets, odd: list[int], counters: Counter[str]) -> list[Records]:
        """The columns of the packet blocks that begin at `starts`; `odd` are the rows of simple and old blocks."""
        header = gather(chunk, starts, _layout(self._order))
        frame, interface = starts + 28, header["interface"].astype(np.int64)
        captured, wire = header["captured"].astype(np.int64), header["wire"].astype(np.int64)
        simple = np.zeros(len(starts), np.bool_)
        if odd:
            old, simple = header["type"] == _PACKET, header["type"] == _SIMPLE
            interface[old] = interface[old] & 0xFFFF if self._order == "<" else interface[old] >> 16
            wire[simple] = interface[simple]  # the one field that a simple packet block has
            captured[simple] = np.minimum(wire[simple], (self._snaps and self._snaps[0]) or LONGEST_RECORD)
            frame[simple], interface[simple] = starts[simple] + 12, 0
        room = starts + header["length"].astype(np.int64) - 4 - frame
        known = (interface < len(self._links)) & (room >= 0)
        if not known.all():
            counters["pcapng.bad_block"] += int(np.count_nonzero(~known))
        ticks = header["high"].astype(np.uint64) << np.uint64(32) | header["low"]
        captured = np.minimum(captured, np.maximum(room, 0))
        return self._by_link(
            frame[known], captured[known], wire[known], self._times(ticks[known], interface[known], simple[known]),
            interface[known],
        )  # fmt: skip

    def _times(
        self, ticks: NDArray[np.uint64], interface: NDArray[np.int64], simple: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Nanoseconds since 1970. A simple packet block takes the time of the packet before it."""
        resolution = np.array(self._resolutions, np.int64)[interface]
        time = np.array(self._offsets, np.int64)[interface] * 1_000_000_000
        for value in set(self._resolutions):
            rows = resolution == value
            time[rows] += _nanoseconds(ticks[rows], value)
        if simple.any():
            last = np.maximum.accumulate(np.where(simple, -1, np.arange(len(time))))
            time = np.where(last >= 0, time[last], self._time)
        if len(time):
            self._time = int(time[-1])
        return time

    def _by_link(
        self,
        frame: Offsets,
        captured: NDArray[np.int64],
        wire: NDArray[np.int64],
        time: NDArray[np.int64],
        interface: NDArray[np.int64],
    ) -> list[Records]:
        """One `Records` where all have one link type; else runs of it, or where those are many, one for each type."""
        links = [link if link in KNOWN_LINKS else _UNKNOWN_LINK for link in self._links]
        link = np.array(links, np.int64)[interface]
        wire = np.maximum(wire, captured)
        parts: list[Any] = [slice(None)] if len(link) else []
        borders = np.flatnonzero(np.diff(link)) + 1
        if len(borders) > MOST_SPLITS:
            parts = [link == value for value in np.unique(link)]
        elif len(borders):
            edges = [0, *borders.tolist(), len(link)]
            parts = [slice(*edge) for edge in pairwise(edges)]
        return [Records(int(link[part][0]), frame[part], captured[part], wire[part], time[part]) for part in parts]


_UNKNOWN_LINK = 0xFFFF


@cache
def _layout(order: str) -> np.dtype[Any]:
    names = ("type", "length", "interface", "high", "low", "captured", "wire")
    return np.dtype([(name, order + "u4") for name in names])


def _options(body: bytes, order: str) -> dict[int, bytes]:
    """The first option of each code: code, length, value, padding to 32 bits (section 3.5)."""
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(body):
        code, length = struct.unpack_from(order + "HH", body, position)
        if code == 0:
            break
        found.setdefault(code, body[position + 4 : position + 4 + length])
        position += 4 + (length + 3 & ~3)
    return found


def _nanoseconds(ticks: NDArray[np.uint64], resolution: int) -> NDArray[np.int64]:
    """Ticks of if_tsresol: "If the Most Significant Bit is equal to zero, [...] a negative power of 10", else of 2."""
    exponent = resolution & 0x7F
    if resolution & 0x80:
        return _from_binary(ticks, exponent)
    if exponent <= 9:
        return (ticks * np.uint64(10 ** (9 - exponent))).astype(np.int64)
    if exponent > 9 + 19:
        return np.zeros(len(ticks), np.int64)
    return (ticks // np.uint64(10 ** (exponent - 9))).astype(np.int64)


def _from_binary(ticks: NDArray[np.uint64], exponent: int) -> NDArray[np.int64]:
    """Ticks of 2 ** -exponent seconds. The fraction is brought to 30 bits, so that its product fits."""
    if exponent > 63:
        return np.zeros(len(ticks), np.int64)
    shift = np.uint64(exponent)
    fraction = ticks & np.uint64((1 << exponent) - 1)
    if exponent > 30:
        fraction >>= np.uint64(exponent - 30)
    nanoseconds = fraction * np.uint64(1_000_000_000) >> np.uint64(min(exponent, 30))
    return ((ticks >> shift) * np.uint64(1_000_000_000) + nanoseconds).astype(np.int64)

"""IP fragments put together again: RFC 791, section 3.2, and RFC 8200, section 4.5 (with RFC 5722 and RFC 6946).

Pure: fragments in, whole datagrams out, time is the packet's.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import field
from operator import attrgetter, itemgetter
from typing import TypeAlias

import numpy as np

from sensor.noun import noun, state

DATAGRAMS = 8192  # being put together at once; Snort's max_frags
TIMEOUT = 30.0  # seconds of packet time; Linux: ipfrag_time
HELD_BYTES = 32 << 20  # of all of them; Suricata's defrag.memcap
PIECES = 1024  # of one datagram: 64 KiB in pieces of 64 bytes
SMALLEST = 64  # bytes; a fragment that is not the last and shorter is odd: no link has such an MTU (Zeek's figure)
RECENT = 16  # fragments that completed a datagram, remembered
LONGEST = 65535

Span: TypeAlias = tuple[int, int]
NewWins: TypeAlias = Callable[[Span, Span], bool]  # (old, new) -> whose bytes stand where they overlap

# By host (Novak, "Target-Based Fragmentation Reassembly", 2005). IPv6 has none: an overlap costs the datagram.
POLICIES: Mapping[str, NewWins] = {
    "linux": lambda old, new: new[0] <= old[0],
    "bsd": lambda old, new: new[0] < old[0],
    "bsd-right": lambda old, new: new[0] >= old[0],
    "windows": lambda old, new: new[0] < old[0] and new[1] > old[1],
    "solaris": lambda old, new: new[0] < old[0] and new[1] >= old[1],
    "first": lambda old, new: False,
    "last": lambda old, new: True,
}


@noun
class Fragment:
    """One fragment. `key` tells datagrams apart; `header` is what stands before the payload, used of the first."""

    key: Hashable
    time: int  # nanoseconds
    offset: int  # bytes
    more: bool
    header: bytes
    payload: bytes
    strict: bool  # IPv6: an overlap discards the datagram

    @property
    def span(self) -> Span:
        return self.offset, self.offset + len(self.payload)


@state
class Datagram:
    """What has come of one datagram, in the order of arrival."""

    time: int
    arrived: list[Fragment] = field(default_factory=list)
    pieces: dict[Span, Fragment] = field(default_factory=dict)  # the first of each span
    covered: list[Span] = field(default_factory=list)  # sorted, disjoint, not adjacent
    size: int | None = None  # of the payload, once the last fragment is there
    held: int = 0
    overlaps: bool = False
    dead: bool = False  # discarded; the rest of it is discarded too

    @property
    def whole(self) -> bool:
        return self.size is not None and self.covered == [(0, self.size)]


class Fragments:
    """The datagrams of one capture that are not whole yet. Oddities are counted by name."""

    def __init__(
        self,
        counters: Counter[str],
        *,
        policy: str = "linux",
        datagrams: int = DATAGRAMS,
        timeout: float = TIMEOUT,
        held_bytes: int = HELD_BYTES,
    ) -> None:
        self._counters = counters
        self.change(policy=policy, datagrams=datagrams, timeout=timeout, held_bytes=held_bytes)
        self._held = 0
        self._open: OrderedDict[Hashable, Datagram] = OrderedDict()  # oldest first
        self._finishers: deque[Fragment] = deque(maxlen=RECENT)

    def change(self, *, policy: str, datagrams: int, timeout: float, held_bytes: int) -> None:
        """Holds for fragments that come from now on."""
        self._new_wins = POLICIES[policy]
        self._most = datagrams
        self._most_bytes = held_bytes
        self._timeout = int(timeout * 1e9)

    def add(self, piece: Fragment) -> tuple[bytes, bytes] | None:
        """Takes a fragment. Gives header (of the first fragment) and payload when its datagram is whole now."""
        self._expire(piece.time)
        if not self._sound(piece) or self._repeats_finisher(piece):
            return None
        found = self._open.get(piece.key)
        if found is None:
            found = self._open[piece.key] = Datagram(piece.time)
        if not found.dead and self._fits(found, piece) and self._place(found, piece):
            if found.whole:
                self._finishers.append(piece)
                return self._finish(piece.key, found)
            self._evict()
        return None

    def _sound(self, piece: Fragment) -> bool:
        size, end = len(piece.payload), piece.span[1]
        fault = None
        if not size:
            fault = "ip.fragment_empty"
        elif piece.more and size % 8:
            fault = "ip.fragment_unaligned"  # "each [...] being an integer multiple of 8 octets", RFC 8200
        elif end + len(piece.header) * (not piece.strict) > LONGEST:
            fault = "ip.fragment_too_large"
        elif piece.more and size < SMALLEST:
            self._counters["ip.fragment_tiny"] += 1
        if fault:
            self._counters[fault] += 1
        return fault is None

    def _repeats_finisher(self, piece: Fragment) -> bool:
        """Where each packet is seen twice, the second copy of the last fragment must not open a datagram again."""
        same = (piece.key, piece.span, piece.payload)
        if not any((old.key, old.span, old.payload) == same for old in self._finishers):
            return False
        self._counters["ip.fragment_duplicate"] += 1
        return True

    def _fits(self, found: Datagram, piece: Fragment) -> bool:
        """Whether the piece agrees with the others on where the datagram ends."""
        end = piece.span[1]
        furthest = found.covered[-1][1] if found.covered else 0
        if found.size is not None and (end > found.size or (not piece.more and end != found.size)):
            self._counters["ip.fragment_beyond_end"] += 1
            return False
        if not piece.more and end < furthest:
            self._counters["ip.fragment_beyond_end"] += 1
            return False
        return True

    def _place(self, found: Datagram, piece: Fragment) -> bool:
        """Keeps the piece. False when it was thrown away, alone or with all of its datagram."""
        old = found.pieces.get(piece.span)
        if old is not None and old.payload == piece.payload:
            self._counters["ip.fragment_duplicate"] += 1
            return False
        overlapping = _cover(found.covered, *piece.span)
        if overlapping:
            self._counters["ip.fragment_overlap"] += 1
        if (overlapping and piece.strict) or len(found.arrived) >= PIECES:
            self._discard(found)
            return False
        found.overlaps |= overlapping
        found.arrived.append(piece)
        found.pieces.setdefault(piece.span, piece)
        found.held += len(piece.payload)
        self._held += len(piece.payload)
        if not piece.more:
            found.size = piece.span[1]
        return True

    def _discard(self, found: Datagram) -> None:
        """RFC 8200: "reassembly of that datagram must be abandoned and all the fragments [...] discarded"."""
        self._counters["ip.fragments_discarded"] += 1
        self._held -= found.held
        found.arrived, found.pieces, found.covered, found.held, found.dead = [], {}, [], 0, True

    def _finish(self, key: Hashable, found: Datagram) -> tuple[bytes, bytes]:
        del self._open[key]
        self._held -= found.held
        first = next(piece for piece in found.arrived if piece.offset == 0)
        if not found.overlaps:
            return first.header, b"".join(piece.payload for piece in sorted(found.arrived, key=attrgetter("offset")))
        payload, conflict = _painted(found, self._new_wins)
        if conflict:
            self._counters["ip.fragment_conflict"] += 1
        return first.header, payload

    def _expire(self, now: int) -> None:
        while self._open:
            key, oldest = next(iter(self._open.items()))
            if now - oldest.time <= self._timeout:
                return
            self._drop(key, "ip.fragment_timeout")

    def _evict(self) -> None:
        while len(self._open) > self._most or self._held > self._most_bytes:
            self._drop(next(iter(self._open)), "ip.fragment_limit")

    def _drop(self, key: Hashable, name: str) -> None:
        found = self._open.pop(key)
        self._held -= found.held
        if not found.dead:
            self._counters[name] += 1

    def close(self) -> None:
        """The capture is over: counts the datagrams that never became whole."""
        unfinished = sum(not found.dead for found in self._open.values())
        if unfinished:
            self._counters["ip.fragments_unfinished"] += unfinished
        self._open.clear()
        self._held = 0


def _cover(covered: list[Span], start: int, end: int) -> bool:
    """Adds a span to sorted, disjoint, not adjacent ones, in place. Whether it overlaps any of them."""
    first = bisect_left(covered, start, key=itemgetter(1))
    behind = bisect_right(covered, end, key=itemgetter(0))
    touching = covered[first:behind]
    overlapping = any(low < end and start < high for low, high in touching)
    if touching:
        start, end = min(start, touching[0][0]), max(end, touching[-1][1])
    covered[first:behind] = [(start, end)]
    return overlapping


def _painted(found: Datagram, new_wins: NewWins) -> tuple[bytes, bool]:
    """The payload where fragments overlap, and whether they disagreed. Each byte knows which fragment it is of."""
    assert found.size is not None
    canvas = np.zeros(found.size, np.uint8)
    owner = np.full(found.size, -1, np.int64)
    conflict = False
    for number, piece in enumerate(found.arrived):
        part = slice(*piece.span)
        own, bytes_ = owner[part], np.frombuffer(piece.payload, np.uint8)
        taken = own < 0
        conflict = conflict or bool(((canvas[part] != bytes_) & ~taken).any())
        for old in np.unique(own[~taken]).tolist():
            if new_wins(found.arrived[old].span, piece.span):
                taken |= own == old
        canvas[part][taken] = bytes_[taken]
        own[taken] = number
    return canvas.tobytes(), conflict

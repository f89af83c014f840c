"""The bytes of one direction that arrived ahead of a hole, and which copy counts where two overlap.

Offsets are those of the stream (0 is the byte after the SYN) and do not wrap. What receivers do with overlapping data
differs by operating system (Ptacek and Newsham 1998; Novak and Sturges 2007); the rules of Linux were measured on
kernel 6.18, those of Windows differ where both copies start together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Literal, TypeAlias

from sensor.noun import noun, state

OverlapPolicy: TypeAlias = Literal["linux", "windows", "bsd", "first", "last"]
NewWins: TypeAlias = Callable[[int, int, int, int], bool]


def _linux(new_start: int, new_end: int, old_start: int, old_end: int) -> bool:
    return new_start < old_start or (new_start == old_start and new_end > old_end)


def _windows(new_start: int, new_end: int, old_start: int, old_end: int) -> bool:
    return new_start < old_start


POLICIES: dict[OverlapPolicy, NewWins] = {
    "linux": _linux,
    "windows": _windows,
    "bsd": _windows,
    "first": lambda *_: False,
    "last": lambda *_: True,
}


Network: TypeAlias = IPv4Network | IPv6Network


@noun
class OverlapPolicies:
    """Which policy a host follows: that of the first network that it is in, else the default."""

    default: OverlapPolicy = "linux"
    networks: tuple[tuple[Network, OverlapPolicy], ...] = ()

    def of(self, ip: bytes) -> OverlapPolicy:
        """The policy of the host with this address (4 or 16 bytes)."""
        if self.networks:
            address = ip_address(ip)
            for network, policy in self.networks:
                if address in network:
                    return policy
        return self.default


@state
class Piece:
    """Bytes at a place of the stream; `time` (ns) is when they arrived."""

    start: int
    payload: bytes
    time: int

    @property
    def end(self) -> int:
        return self.start + len(self.payload)


class Segments:
    """Pieces in order of their start that never overlap each other."""

    __slots__ = ("_starts", "_wins", "held", "pieces")

    def __init__(self, policy: OverlapPolicy = "linux") -> None:
        self._wins = POLICIES[policy]
        self._starts: list[int] = []
        self.pieces: list[Piece] = []
        self.held = 0  # bytes

    def __len__(self) -> int:
        return len(self.pieces)

    def __repr__(self) -> str:
        return " ".join(f"[{piece.start}-{piece.end})" for piece in self.pieces)

    @property
    def start(self) -> int:
        """Where the first piece begins; there must be one."""
        return self._starts[0]

    @property
    def end(self) -> int:
        """Where the last piece ends; there must be one."""
        return self.pieces[-1].end

    def add(self, start: int, payload: bytes, time: int) -> bool:
        """Keeps a segment by the policy. True when it overlaps kept bytes that are not the same bytes."""
        conflict = False
        new = Piece(start, payload, time)
        for old in self._overlapping(start, new.end):
            low, high = max(start, old.start), min(start + len(payload), old.end)
            conflict |= payload[low - start : high - start] != old.payload[low - old.start : high - old.start]
            if self._wins(start, start + len(payload), old.start, old.end):
                self._cut(old, low, high)
            else:
                if new.start < low:
                    self._insert(Piece(new.start, payload[new.start - start : low - start], time))
                new = Piece(high, payload[high - start :], time)
        if new.payload:
            self._insert(new)
        return conflict

    def pop(self) -> Piece:
        """Takes the first piece out."""
        piece = self.pieces.pop(0)
        self._starts.pop(0)
        self.held -= len(piece.payload)
        return piece

    def _overlapping(self, start: int, end: int) -> list[Piece]:
        at = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        for piece in self.pieces[at:]:
            if piece.start >= end:
                break
            if piece.end > start:
                found.append(piece)
        return found

    def _cut(self, old: Piece, low: int, high: int) -> None:
        at = bisect_right(self._starts, old.start) - 1
        del self.pieces[at], self._starts[at]
        self.held -= len(old.payload)
        if old.start < low:
            self._insert(Piece(old.start, old.payload[: low - old.start], old.time))
        if high < old.end:
            self._insert(Piece(high, old.payload[high - old.start :], old.time))

    def _insert(self, piece: Piece) -> None:
        at = bisect_right(self._starts, piece.start)
        self.pieces.insert(at, piece)
        self._starts.insert(at, piece.start)
        self.held += len(piece.payload)

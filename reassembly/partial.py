"""Bytes of heads and lines whose end hasn't come: bounded for each flow by its parser, and for all flows here.

What is held counts as long as its object lives, so that no way out of a parser can forget to give it back. Parsers
hold no rings: what they let go of is gone at once, without a garbage collector.
"""

from __future__ import annotations

from typing import Protocol, Self

from reassembly.builder import Memory

CUT = "stream.partial_limit"  # the finding where something was given up


class Place(Protocol):
    """Whose bytes they are, and where it is said what became of them."""

    @property
    def memory(self) -> Memory: ...

    @property
    def findings(self) -> dict[str, None]: ...


class Partial(bytearray):
    """Grows by `+=`."""

    __slots__ = ("_counted", "_memory", "_place")

    def __init__(self, place: Place, first: bytes = b"") -> None:
        super().__init__(first)
        self._place = place
        self._memory = place.memory
        self._counted = len(first)
        self._memory.partial += len(first)

    def __iadd__(self, more: bytes | bytearray | memoryview) -> Self:  # type: ignore[override,misc]
        self._count(self._counted + len(more))
        super().__iadd__(more)
        return self

    def clear(self) -> None:
        self._count(0)
        super().clear()

    def hold(self, size: int) -> None:
        """Counts so many bytes that are kept elsewhere as well, until it is told otherwise, cleared or gone."""
        self._count(len(self) + size)

    def takes(self, size: int) -> bool:
        """Counts so many bytes more that are kept elsewhere, if it isn't crowded then."""
        self._count(self._counted + size)
        if self.crowded:
            self._count(self._counted - size)
            return False
        return True

    def _count(self, size: int) -> None:
        self._memory.partial += size - self._counted
        self._counted = size

    @property
    def full(self) -> bool:
        """All flows together hold as much as they may: counted, and said."""
        return self._memory.partial > self._memory.limits.total_partial and self._say()

    @property
    def crowded(self) -> bool:
        """They hold half of it: what would only be good to know gives way to what is being read. Counted and said."""
        return self._memory.partial > self._memory.limits.total_partial // 2 and self._say()

    def _say(self) -> bool:
        self._memory.counters["total_partial"] += 1
        self._place.findings[CUT] = None
        return True

    def __del__(self) -> None:
        self._memory.partial -= self._counted

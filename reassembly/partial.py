"""Bytes of heads and lines whose end hasn't come: bounded for each flow by its parser, and for all flows here.

What is held counts as long as its object lives, so that no way out of a parser can forget to give it back.
"""

from __future__ import annotations

from typing import Self

from reassembly.builder import Memory


class Partial(bytearray):
    """Grows by `+=`."""

    __slots__ = ("_counted", "_memory")

    def __init__(self, memory: Memory, first: bytes = b"") -> None:
        super().__init__(first)
        self._memory = memory
        self._counted = len(first)
        memory.partial += len(first)

    def __iadd__(self, more: bytes | bytearray | memoryview) -> Self:  # type: ignore[override,misc]
        self.hold(len(more))
        super().__iadd__(more)
        return self

    def clear(self) -> None:
        self.hold(-self._counted)
        super().clear()

    def hold(self, size: int) -> None:
        """Counts bytes that are kept elsewhere as well, until it is cleared or gone."""
        self._counted += size
        self._memory.partial += size

    @property
    def full(self) -> bool:
        """All flows together hold as much as they may; counted."""
        memory = self._memory
        if memory.partial <= memory.limits.total_partial:
            return False
        memory.counters["total_partial"] += 1
        return True

    def __del__(self) -> None:
        self._memory.partial -= self._counted

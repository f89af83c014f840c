"""Commands that wait for their answer, which comes in the order of the commands (RFC 5321, 1939, 959)."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from reassembly.builder import Origin
from reassembly.partial import Partial

T = TypeVar("T")

COST = 192  # what one costs beyond its bytes
FREE = 2048  # bytes of a flow that need no room: those of a client that heeds the answers


class Waiting(Generic[T]):
    """The oldest first; over `pending_requests`, and when all flows together hold much, it is forgotten."""

    __slots__ = ("_held", "_origin", "_queue", "_size")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._queue: deque[tuple[T, int]] = deque()
        self._size = 0
        self._held: Partial | None = None  # counts what is more than `FREE`

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def first(self) -> T:
        return self._queue[0][0]

    @property
    def last(self) -> T:
        return self._queue[-1][0]

    def add(self, one: T, size: int) -> None:
        """One more, of so many bytes."""
        self._queue.append((one, size + COST))
        self._size += size + COST
        if len(self._queue) > self._origin.limits.pending_requests:
            self.take()
        if self._size > FREE:
            self._bound()

    def _bound(self) -> None:
        if self._held is None:
            self._held = Partial(self._origin)
        self._held.hold(self._size)
        while len(self._queue) > 1 and self._held is not None and self._held.crowded:
            self.take()

    def change(self, one: T, size: int) -> None:
        """The last one is this, rather."""
        self._size += size + COST - self._queue[-1][1]
        self._queue[-1] = one, size + COST
        if self._size > FREE:
            self._bound()

    def take(self) -> T:
        """The oldest, which doesn't wait any more."""
        one, size = self._queue.popleft()
        self._size -= size
        if self._held is not None:
            self._held.hold(self._size)
            if self._size <= FREE:
                self._held = None
        return one

    def clear(self) -> None:
        """Which answer is whose is not known any more."""
        self._queue.clear()
        self._size, self._held = 0, None

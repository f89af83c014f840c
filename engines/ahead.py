"""Parts of large objects that go to hosts while the rest is still on the wire.

Then only the last part stands between an object's last byte and its scan. What is kept of it is bounded; an object of
which nothing is kept any more goes as a whole when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

MAX_BYTES = 256 << 20  # of objects that are still arriving
PATIENCE = 0.5  # seconds for a part that is late


class Sent:
    """How much of which object has gone: the ones begun first are forgotten first. Used by one thread at a time."""

    def __init__(
        self, send: Callable[[str, int, bytes], None], forget: Callable[[str], None], max_bytes: int = MAX_BYTES
    ) -> None:
        self._send = send
        self._forget = forget
        self._max_bytes = max_bytes
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """The bytes from `begin` on; those of which the beginning isn't there are of no use."""
        if begin != self._sizes.get(key, 0):
            return
        self._sizes[key] = begin + len(piece)
        self._bytes += len(piece)
        self._send(key, begin, piece)
        while self._bytes > self._max_bytes:
            self.forget(next(iter(self._sizes)))

    def claim(self, key: str) -> int:
        """It is complete: how many bytes have gone."""
        size = self._sizes.pop(key, 0)
        self._bytes -= size
        return size

    def forget(self, key: str) -> None:
        """It won't come."""
        if self.claim(key):
            self._forget(key)


class Held:
    """Parts where the engine is, until the object is complete. Bounded: the ones begun first go first. Any thread."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._parts: dict[str, dict[int, bytes]] = {}
        self._bytes = 0
        self._news = Condition()

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """The bytes from `begin` on; parts may overtake one another."""
        with self._news:
            self._parts.setdefault(key, {})[begin] = piece
            self._bytes += len(piece)
            while self._bytes > self._max_bytes:
                self._drop(next(iter(self._parts)))
            self._news.notify_all()

    def take(self, key: str, size: int) -> list[bytes] | None:
        """The first `size` bytes, in order; None where they aren't all there soon."""
        with self._news:
            self._news.wait_for(lambda: self._size(key) >= size, PATIENCE)
            parts = self._drop(key)
        return [parts[begin] for begin in sorted(parts)] if sum(map(len, parts.values())) == size else None

    def forget(self, key: str) -> None:
        """The object won't come."""
        with self._news:
            self._drop(key)

    def _size(self, key: str) -> int:
        return sum(map(len, self._parts.get(key, {}).values()))

    def _drop(self, key: str) -> dict[int, bytes]:
        parts = self._parts.pop(key, {})
        self._bytes -= sum(map(len, parts.values()))
        return parts

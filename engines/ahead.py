"""Parts of large objects that go to hosts while the rest is still on the wire.

Then only the last part stands between an object's last byte and its scan. What is kept of it is bounded; an object of
which nothing is kept any more goes as a whole when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any

from engines.dispatch import Seat
from sensor.noun import state

MAX_BYTES = 256 << 20  # of objects that are still arriving


@state
class Parts:
    """Of one object, in a cluster."""

    kept: list[Any] = field(default_factory=list)  # what Ray has of each
    size: int = 0  # bytes
    wishes: dict[int, Seat] = field(default_factory=dict)  # where they go: a seat for each engine's number
    trouble: str | None = None  # why they can't be kept


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

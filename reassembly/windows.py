"""Objects that are still arriving, shown to who looks for what is known before their end.

A window is what has come since the last one, with a little of what came before. It is due whenever an object has grown
fourfold, later by 64 KiB; it is taken when a batch has been read, so that much at a time is one window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from reassembly.objects import Object

if TYPE_CHECKING:
    from reassembly.builder import Builder

WINDOW = 64 << 10  # bytes after which an object is shown again
FIRST_WINDOW = 1 << 10  # and for the first time: two frames; in between, whenever it has four times as many
OVERLAP = 4 << 10  # bytes that are looked at twice: what is searched for may lie across


class Windows:
    """Those that are due. `take` gets what has come of an object since the last time; its `cut` is "window"."""

    __slots__ = ("_due", "_take")

    def __init__(self, take: Callable[[Object], None]) -> None:
        self._take = take
        self._due: dict[str, Builder] = {}

    def due(self, builder: Builder) -> None:
        """It is to be shown."""
        self._due[builder.id] = builder

    def gone(self, builder: Builder) -> None:
        """It has ended: whoever wants it has all of it."""
        self._due.pop(builder.id, None)

    def show(self) -> None:
        """A batch has been read."""
        due, self._due = self._due, {}
        for builder in due.values():
            self._take(builder.window())


def pause(looked: int) -> int:
    """Bytes until the next window: so that all windows together cost little more than the object once."""
    return min(3 * looked, WINDOW) or FIRST_WINDOW

"""The client's bytes that nobody has read yet: what comes before the server has said how to read it."""

from __future__ import annotations

from collections import deque

from reassembly.builder import Origin
from reassembly.events import Data, Gap
from reassembly.partial import Partial

LONGEST_GLANCE = 512  # of a line that is looked at to tell commands from mail; RFC 5321, section 4.5.3.1.4
PIECE = 128  # what a piece of waiting data costs beyond its bytes


class Inbox:
    """A queue. `start` is the offset in its first event; `waiting` is what all of them cost, in bytes."""

    __slots__ = ("_events", "_held", "_origin", "start", "waiting")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._held: Partial | None = None  # counts what waits
        self._events: deque[Data | Gap] = deque()
        self.start = 0
        self.waiting = 0

    def __bool__(self) -> bool:
        return bool(self._events)

    @property
    def first(self) -> Data | Gap:
        return self._events[0]

    def put(self, event: Data | Gap) -> None:
        """The last in the queue."""
        self._events.append(event)
        self.waiting += PIECE + (len(event.payload) if isinstance(event, Data) else 0)

    def has_room(self) -> bool:
        """Whether all of it may go on to wait."""
        if self.waiting > self._origin.limits.undecided_bytes:
            return False
        if self._held is None:
            self._held = Partial(self._origin)
        self._held.hold(self.waiting)
        return not self._held.full

    def advance(self, end: int) -> None:
        """The first one has been read up to offset `end`."""
        self.waiting -= end - self.start
        self.start = end
        first = self._events[0]
        if isinstance(first, Gap) or end >= len(first.payload):
            self._events.popleft()
            self.waiting -= PIECE
            self.start = 0
            if not self._events:
                self._held = None

    def line(self) -> tuple[bytes, bool]:
        """The beginning of the next line; and whether it is all there, long enough to tell, or cut by a gap."""
        line = bytearray()
        start = self.start
        for event in self._events:
            if isinstance(event, Gap):
                return bytes(line), True
            line += event.payload[start : start + LONGEST_GLANCE - len(line)]
            start = 0
            if (end := line.find(b"\n") + 1) or len(line) >= LONGEST_GLANCE:
                return bytes(line[: end or LONGEST_GLANCE]), True
        return bytes(line), False

    def empty(self) -> list[Data]:
        """All that is left, without gaps."""
        start, self.start = self.start, 0
        left = []
        for event in self._events:
            if isinstance(event, Data) and len(event.payload) > start:
                left.append(Data(event.direction, event.payload[start:], event.began, event.time))
            start = 0
        self._events.clear()
        self.waiting, self._held = 0, None
        return left

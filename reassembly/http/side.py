"""The state of one direction of an HTTP/1 flow. Its steps are in `messages`, `bodies` and `doubt`.

A step reads `data` from `pos` on, moves `pos` or changes `step`, and returns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from reassembly.builder import Memory, Origin
from reassembly.events import Data
from reassembly.http.body import Body
from reassembly.http.chunked import Chunks
from reassembly.http.exchange import Exchange
from reassembly.http.head import Head
from reassembly.http.start import begins
from reassembly.partial import Partial


class Kept:
    """Bytes of a message that may have to be read again, up to a limit; counted among all objects still arriving."""

    __slots__ = ("_memory", "bytes", "whole")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.bytes = bytearray()
        self.whole = True  # nothing was left out

    def has_room(self, data: bytes) -> bool:
        """Whether `data` can be kept as well."""
        return self.whole and len(self.bytes) + len(data) <= self._memory.limits.reread_bytes

    def add(self, data: bytes) -> None:
        """Keeps `data`, or nothing at all any more."""
        if not self.has_room(data):
            self.drop()
            self.whole = False
            return
        self.bytes += data
        self._memory.held += len(data)

    def drop(self) -> None:
        """Lets go of the bytes."""
        self._memory.held -= len(self.bytes)
        self.bytes = bytearray()

    def take(self) -> bytes:
        """All bytes; they are not kept any longer."""
        raw = bytes(self.bytes)
        self.drop()
        return raw


class Side:
    """One direction of the flow, and how its next byte is to be read."""

    __slots__ = (
        "again", "body", "buffer", "chunks", "data", "direction", "doubts", "ended", "exchange", "first", "head",
        "held", "holds", "holed", "kept", "left", "pos", "response", "scanned", "spent", "step",
    )  # fmt: skip

    def __init__(self, direction: int, exchange: Exchange, first: Step, again: Step) -> None:
        self.direction = direction
        self.exchange = exchange
        self.first = first  # the step at the start of a message
        self.again = again  # the step in a message that is to be read again
        self.step = first
        self.response = False  # this direction brings responses
        self.data = b""  # what is being read, from `pos`
        self.pos = 0
        self.buffer: Partial | None = None  # a head that is not whole yet, looked through up to `scanned`
        self.scanned = 0
        self.head: Head | None = None  # of the present message, or of the last one
        self.spent = False  # that message had its body
        self.body: Body | None = None
        self.left = 0  # of a body whose length is known
        self.chunks: Chunks | None = None
        self.kept: Kept | None = None
        self.held: list[Data] | None = None  # what came after a request to switch protocols
        self.holds: Partial | None = None  # counts it
        self.holed = False  # bytes of the head are missing
        self.doubts = 0  # messages that had to be read again
        self.ended = False

    @property
    def origin(self) -> Origin:
        return self.exchange.origin

    def rest(self) -> bytes:
        """Takes what is not read yet."""
        rest = self.data[self.pos :] if self.pos else self.data
        self.pos = len(self.data)
        return rest

    def slim(self) -> None:
        """Nothing came for a while. Of a message that is over stays what one without a head behind it would need."""
        head = self.head
        if head is not None and self.step is self.first and (self.spent or not self.response):
            head.slim()

    def reset(self) -> None:
        """Forgets the present message; the next one begins here."""
        if self.body is not None:
            self.body.drop()
        self.body = self.chunks = self.buffer = None
        if self.kept is not None:
            self.kept.drop()
            self.kept = None
        self.holed = False
        self.step = self.first

    def lose(self) -> None:
        """Forgets the present message, and where we are."""
        self.reset()
        self.pos = len(self.data)
        self.step = lost


Step: TypeAlias = Callable[[Side, Data], None]


def lost(side: Side, _event: Data) -> None:
    """Somewhere in the stream: goes on where bytes that arrive begin with a message."""
    if side.pos == 0 and begins(side.data, 0, side.response):
        side.step = side.first
    else:
        side.pos = len(side.data)

"""The state of one direction of an HTTP/1 flow, for `reassembly.protocols.http1`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from reassembly.builder import Memory
from reassembly.events import Data
from reassembly.http.body import Body
from reassembly.http.chunked import Chunks
from reassembly.http.head import Head


class Kept:
    """Bytes of a message that may have to be read again, up to a limit; counted among all objects still arriving."""

    __slots__ = ("_memory", "chunks", "size", "whole")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.chunks: list[bytes] = []
        self.size = 0
        self.whole = True  # nothing was left out

    def add(self, data: bytes) -> None:
        """Keeps `data`, or nothing at all any more."""
        if not self.whole:
            return
        if self.size + len(data) > self._memory.limits.reread_bytes:
            self.drop()
            self.whole = False
            return
        self.chunks.append(data)
        self.size += len(data)
        self._memory.held += len(data)

    def drop(self) -> None:
        """Lets go of the bytes."""
        self._memory.held -= self.size
        self.chunks.clear()
        self.size = 0

    def take(self) -> bytes:
        """All bytes; they are not kept any longer."""
        raw = b"".join(self.chunks)
        self.drop()
        return raw


class Side:
    """One direction of the flow, and how its next byte is to be read."""

    __slots__ = (
        "body", "buffer", "chunks", "data", "direction", "doubts", "ended", "head", "held", "kept", "left", "pos",
        "response", "scanned", "spent", "step",
    )  # fmt: skip

    def __init__(self, direction: int, step: Step) -> None:
        self.direction = direction
        self.step = step
        self.response = False  # this direction brings responses
        self.data = b""  # what is being read, from `pos`
        self.pos = 0
        self.buffer: bytearray | None = None  # a head that is not whole yet, looked through up to `scanned`
        self.scanned = 0
        self.head: Head | None = None  # of the present message, or of the last one
        self.spent = False  # that message had its body
        self.body: Body | None = None
        self.left = 0  # of a body whose length is known
        self.chunks: Chunks | None = None
        self.kept: Kept | None = None
        self.held: list[Data] | None = None  # what came after a request to switch protocols
        self.doubts = 0  # messages that had to be read again
        self.ended = False

    def reset(self, step: Step) -> None:
        """Forgets the present message."""
        self.body = self.chunks = self.buffer = None
        if self.kept is not None:
            self.kept.drop()
            self.kept = None
        self.step = step


Step: TypeAlias = Callable[[Any, Side, Data], None]  # of the parser

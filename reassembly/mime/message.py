"""One mail as it arrives: between the protocol that carries it and its objects (RFC 5322)."""

from __future__ import annotations

from reassembly.builder import Memory, Origin
from reassembly.events import Facts
from reassembly.objects import Object


class Message:
    """One RFC 5322 message as it arrives: its parts as objects as soon as each ends, then the whole message."""

    __slots__ = ("_builder",)

    def __init__(self, origin: Origin, direction: int, protocol: str, began: int, facts: Facts | None = None) -> None:
        self._builder = origin.open(direction, "email", protocol, began, facts=facts)

    def feed(self, payload: bytes, time: int) -> list[Object]:
        """The next bytes, dots undone; gives the parts that ended in them."""
        self._builder.write(payload)
        return []

    def gap(self, length: int, time: int) -> list[Object]:
        """Bytes of the message that are missing."""
        self._builder.gap(length)
        return []

    def finish(self, time: int, cut: str | None = None) -> list[Object]:
        """The message is over: the parts still open, then the whole message."""
        return [self._builder.finish(time, cut)]


def parts_of(parent: Object, memory: Memory) -> list[Object]:
    """The parts of a finished message/rfc822 object."""
    return []

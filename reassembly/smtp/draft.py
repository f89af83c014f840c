"""The message that is on its way: opened with its first byte, told apart from the session that carries it."""

from __future__ import annotations

from collections.abc import Callable

from reassembly.builder import Origin
from reassembly.events import Data, Facts, Gap
from reassembly.mime import Message
from reassembly.objects import Object


class Draft:
    """At most one message at a time. Each call gives the objects that are complete with it.

    `facts` is asked when a message begins: what the session says of it.
    """

    __slots__ = ("_facts", "_message", "_origin", "_protocol")

    def __init__(self, origin: Origin, protocol: str, facts: Callable[[], Facts]) -> None:
        self._origin = origin
        self._protocol = protocol
        self._facts = facts
        self._message: Message | None = None

    def __bool__(self) -> bool:
        return self._message is not None

    def write(self, text: bytes, event: Data | Gap) -> list[Object]:
        """The next bytes, out of `event`."""
        return self._opened(event).feed(text, event.time) if text else []

    def gap(self, length: int, event: Data | Gap) -> list[Object]:
        """So many bytes are missing here."""
        return self._opened(event).gap(length, event.time)

    def finish(self, time: int, cut: str | None = None) -> list[Object]:
        """The message ends at `time`; `cut` says why, when it should not."""
        message, self._message = self._message, None
        return message.finish(time, cut) if message is not None else []

    def _opened(self, event: Data | Gap) -> Message:
        if self._message is None:
            began = event.began if isinstance(event, Data) else event.time
            self._message = Message(self._origin, event.direction, self._protocol, began, self._facts())
        return self._message

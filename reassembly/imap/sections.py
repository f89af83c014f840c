"""The section of a mail that is being fetched, as an object: a mail, its header, or parts of it (RFC 9051, 6.4.5)."""

from __future__ import annotations

from collections.abc import Callable

from reassembly.builder import Origin
from reassembly.events import Data, Facts, Gap
from reassembly.imap.grammar import Item
from reassembly.imap.structure import Structures
from reassembly.mime import Message
from reassembly.objects import Object
from reassembly.partial import Partial

NAME = "imap"
_NO_HEADER = b"\r\n"  # nothing is known of the section, so it is text


class Sections:
    """At most one at a time. A section that is fetched in pieces (`BODY[]<0>`, `BODY[]<4096>`) is one object.

    Each call gives the objects that are complete with it. `facts` says what the session knows of a section;
    `asked` holds how much of each the client asked for, by section and offset.
    """

    __slots__ = ("_asked", "_facts", "_header", "_item", "_key", "_message", "_origin", "_position", "_structures")

    def __init__(
        self,
        origin: Origin,
        structures: Structures,
        asked: dict[tuple[str, int], int],
        facts: Callable[[Item], Facts],
    ) -> None:
        self._origin = origin
        self._structures = structures
        self._asked = asked
        self._facts = facts
        self._item: Item | None = None
        self._key: tuple[int, str] = (0, "")
        self._position = 0  # in the section
        self._message: Message | None = None
        self._header: Partial | None = None  # a header, kept for the section it belongs to

    def begin(self, number: int, item: Item, event: Data) -> list[Object]:
        """Bytes of this section of mail `number` come now."""
        done: list[Object] = []
        key = number, item.section
        if not (self._message and key == self._key and item.offset and item.offset == self._position):
            done = self.finish(event.time)
            self._key, self._position = key, item.offset or 0
            kept = item.section.endswith(("HEADER", ".MIME")) and item.offset is None
            self._header = Partial(self._origin) if kept else None
        self._item = item
        return done

    def write(self, data: bytes, event: Data) -> list[Object]:
        """The next bytes."""
        if not data or self._item is None:
            return []
        self._position += len(data)
        header = self._header
        if header is not None and len(header) + len(data) <= self._origin.limits.header_bytes and not header.full:
            header += data
        opened = self._opened(self._item, event, self._position - len(data))
        message = self._message
        return [*opened, *message.feed(data, event.time)] if message is not None else []

    def gap(self, length: int, event: Gap) -> list[Object]:
        """So many bytes of it are missing here."""
        if not length or self._item is None:
            return []
        self._header = None
        opened = self._opened(self._item, event, self._position)
        self._position += length
        return [*opened, *(self._message.gap(length, event.time) if self._message is not None else ())]

    def end(self, size: int, event: Data | Gap) -> list[Object]:
        """That was all of the item, `size` bytes. Of a section in pieces, more may come."""
        item = self._item
        if item is None:
            return []
        if item.offset is not None and size and size >= self._asked.get((item.section, item.offset), 0):
            return []
        if self._header:
            self._structures.learn(self._key[0], {item.section: bytes(self._header)})
        return self.finish(event.time)

    def finish(self, time: int, cut: str | None = None) -> list[Object]:
        """Nothing more comes of it; `cut` says why, when it should."""
        message, self._message, self._item, self._header = self._message, None, None, None
        return message.finish(time, cut) if message is not None else []

    def _opened(self, item: Item, event: Data | Gap, start: int) -> list[Object]:
        if self._message is not None:
            return []
        began = event.began if isinstance(event, Data) else event.time
        self._message = Message(
            self._origin, event.direction, NAME, began, self._facts(item), self._header_of(self._key[0], item)
        )
        return self._message.gap(start, event.time) if start else []

    def _header_of(self, number: int, item: Item) -> bytes:
        """What stands before the bytes of a section; nothing before a mail, or a header."""
        section = item.section
        last = section.rpartition(".")[2]
        if not section or not (last.isdigit() or last == "TEXT"):
            return b""
        header = self._structures.header(number, section) or _NO_HEADER
        if item.binary:  # "the server [...] MUST decode the section's transfer encoding" (RFC 3516, section 4.2)
            header = b"\r\n".join(
                line for line in header.split(b"\r\n") if not line.lower().startswith(b"content-transfer-encoding:")
            )
        return header

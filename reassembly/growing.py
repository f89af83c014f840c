"""Who wants what has come of an object before it is complete: parts go ahead to where it will be scanned, windows are
shown to who looks for what is known by a part, and its beginning is compared with that of known files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reassembly.known import PREFIXES
from reassembly.objects import Content, Object
from reassembly.windows import FIRST_WINDOW, OVERLAP, pause

if TYPE_CHECKING:
    from reassembly.builder import Builder, Origin

PART = 256 << 10  # bytes of an object that go ahead together


class Ahead(Protocol):
    """Who wants the bytes of a large object before it is complete."""

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """Bytes from `begin` on of the object with the id `key`."""
        ...

    def forget(self, key: str) -> None:
        """It won't come."""
        ...


class Growing:
    """What has been done with one object so far. It doesn't know the object: neither holds the other for good."""

    __slots__ = ("_ahead", "_known", "_looked", "_prefix", "_sent", "_shown", "_windows")

    def __init__(self, builder: Builder) -> None:
        memory, shown = builder.origin.memory, _is_shown(builder.origin, builder.kind)
        self._ahead = memory.ahead
        self._windows = memory.windows if shown else None
        self._known = memory.known if shown else None
        self._sent = 0  # bytes that have gone ahead
        self._looked = self._shown = 0  # bytes when a window was due, and when it was taken
        self._prefix = PREFIXES[0] if self._known else 0  # the size at which its beginning is compared

    def grown(self, builder: Builder) -> int:
        """More of it has come; at which size somebody wants more."""
        if self._ahead is not None and builder.size - self._sent >= PART:
            self._ahead.part(builder.id, self._sent, builder.last(builder.size - self._sent))
            self._sent = builder.size
        if self._windows is not None and builder.size >= self._looked + pause(self._looked):
            self._windows.due(builder)
            self._looked = builder.size
        while self._prefix and builder.size >= self._prefix:
            self._compare(builder)
        return self._next()

    def window(self, one: Builder) -> Object:
        """What has come since the last one."""
        content = one.last(one.size - self._shown + OVERLAP)
        begin, kept, origin = one.size - len(content), Content(len(content), content), one.origin
        self._shown = one.size
        return Object(
            one.id, origin.flow, one.direction, one.kind, one.protocol, kept, "", one.declared_type or "", one.began,
            max(origin.memory.now, one.began), one.name, depth=origin.depth, cut="window",
            missing=((0, begin),) if begin else (), facts=one.facts or None,
        )  # fmt: skip

    def over(self, builder: Builder, dropped: bool) -> None:
        """It is complete, or won't come."""
        if self._windows is not None:
            self._windows.gone(builder)
        if dropped and self._ahead is not None and self._sent:
            self._ahead.forget(builder.id)

    def _compare(self, builder: Builder) -> None:
        origin = builder.origin
        if self._known is not None and not builder.missing:
            head = builder.first(self._prefix)
            self._known.begun(origin.flow, builder.direction, builder.protocol, head, origin.memory.now)
        self._prefix = next((size for size in PREFIXES if size > self._prefix), 0)

    def _next(self) -> int:
        part = 0 if self._ahead is None else self._sent + PART
        window = 0 if self._windows is None else self._looked + pause(self._looked)
        return min(filter(None, (part, window, self._prefix)), default=0)


def first_due(origin: Origin, kind: str) -> int:
    """The size at which somebody wants what has come of an object; 0: nobody does."""
    shown = _is_shown(origin, kind) and (origin.memory.windows is not None or bool(origin.memory.known))
    return FIRST_WINDOW if shown else PART if origin.memory.ahead is not None else 0


def _is_shown(origin: Origin, kind: str) -> bool:
    """Of a mail its parts are looked at."""
    return origin.arriving and kind != "email"

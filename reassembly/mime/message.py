"""One mail as it arrives: between the protocol that carries it and its objects (RFC 5322)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from reassembly.builder import Memory, Origin
from reassembly.events import Facts
from reassembly.mime.reading import TURNS, Reading
from reassembly.mime.walk import Walk
from reassembly.objects import Object

_CHUNK = 1 << 20
_PART_COST = 1024  # bytes that are read in the time that a part takes


class Message:
    """One RFC 5322 message as it arrives: its parts as objects as soon as each ends, then the whole message.

    `header`: the message is what stands behind this header, which came apart (IMAP); its parts are then objects of
    their own, and the whole is one only if it has none.
    """

    __slots__ = ("_builder", "_header", "_inside", "_reading", "_seen", "_walk")

    def __init__(
        self,
        origin: Origin,
        direction: int,
        protocol: str,
        began: int,
        facts: Facts | None = None,
        header: bytes = b"",
    ) -> None:
        self._header = header
        self._builder = origin.open(direction, "email_part" if header else "email", protocol, began, facts=facts)
        self._inside = origin if header else origin.inside(self._builder)
        self._reading = Reading(direction, protocol, origin.memory, {})
        self._reading.facts = self._builder.facts
        self._reading.time = began
        self._walk = Walk(self._reading, self._inside)
        if header:
            self._walk.feed(header)
        self._seen: set[str] = set()  # SHA-256 of the parts so far

    def feed(self, payload: bytes, time: int) -> list[Object]:
        """The next bytes, dots undone; gives the parts that ended in them. `time`: ns since 1970."""
        self._builder.write(payload)
        self._reading.time = time
        self._walk.feed(payload)
        return self._take()

    def gap(self, length: int, time: int) -> list[Object]:
        """Bytes of the message that are missing."""
        self._builder.gap(length)
        self._reading.time = time
        self._walk.gap(length)
        return self._take()

    def finish(self, time: int, cut: str | None = None) -> list[Object]:
        """The message is over: the parts still open, then the whole message. `cut`: why it ends, when it should not."""
        self._reading.time = time
        self._walk.finish(cut)
        parts = self._take()
        for doubt in sorted(self._reading.doubts):
            self._builder.find(f"mime.ambiguous_{doubt}")
        for finding in self._reading.findings:
            self._builder.find(finding)
        whole = self._builder.finish(time, cut)
        others = other_readings(whole, self._reading, self._inside, self._seen, self._header)
        return [*parts, *others, *([] if self._header and self._seen else [whole])]

    def _take(self) -> list[Object]:
        parts = self._reading.take()
        self._seen.update(part.sha256 for part in parts)
        return parts


def parts_of(parent: Object, memory: Memory) -> list[Object]:
    """The parts of a finished message/rfc822 object, without the message itself. Parents and depth by `Origin.of`."""
    origin = Origin.of(parent, memory)
    reading = _read(parent, memory, origin, {})
    parts = reading.take()
    return [*parts, *other_readings(parent, reading, origin, {part.sha256 for part in parts})]


def other_readings(whole: Object, first: Reading, origin: Origin, seen: set[str], header: bytes = b"") -> list[Object]:
    """Parts that come out when a message is read in the other ways in which clients read it, if their bytes differ.

    One turn after the other is taken the other way; further doubts that show up there are followed as well, within
    the limits `mime_readings`, `mime_reread_bytes` and `mime_alternatives`.
    """
    memory = first.memory
    limits = memory.limits
    found: list[Object] = []
    cost = max(1, whole.size + first.parts * _PART_COST)
    budget = min(limits.mime_readings, limits.mime_reread_bytes // cost)
    waiting = [*_variations({}, first)]
    tried = 0
    while waiting and len(found) < limits.mime_alternatives:
        if tried >= budget:
            memory.counters["mime_readings"] += 1
            break
        choices = waiting.pop(0)
        tried += 1
        reading = _read(whole, memory, origin, choices, header)
        for part in reading.take():
            if part.sha256 not in seen:
                seen.add(part.sha256)
                found.append(_marked(part, choices))
        waiting += _variations(choices, reading)
    return found[: limits.mime_alternatives]


def _marked(part: Object, choices: Mapping[str, int]) -> Object:
    """The part, with what has to be read differently to get it."""
    taken = {f"mime.ambiguous_{doubt}" for doubt in choices}
    return replace(part, findings=tuple(dict.fromkeys((*part.findings, *sorted(taken)))))


def _variations(choices: Mapping[str, int], reading: Reading) -> Iterator[dict[str, int]]:
    for doubt, ways in TURNS.items():
        if doubt in reading.doubts and doubt not in choices:
            for choice in range(1, ways):
                yield {**choices, doubt: choice}


def _read(whole: Object, memory: Memory, origin: Origin, choices: Mapping[str, int], header: bytes = b"") -> Reading:
    """One reading of a finished message, its holes where they were."""
    reading = Reading(whole.direction, whole.protocol, memory, choices)
    reading.facts = dict(whole.facts or {})
    reading.addressed = any(name.startswith("email.") for name in reading.facts)
    reading.time = whole.time
    walk = Walk(reading, origin)
    if header:
        walk.feed(header)
    position = at = 0
    with whole.content.view() as view:
        for start, end in (*whole.missing, (0, 0)):
            size = start - position if end else len(view) - at
            for offset in range(at, at + size, _CHUNK):
                walk.feed(bytes(view[offset : min(offset + _CHUNK, at + size)]))
            at += size
            if end:
                walk.gap(end - start)
                position = end
    walk.finish(whole.cut)
    return reading

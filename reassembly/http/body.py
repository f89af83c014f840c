"""One message body on its way to an object: decoded, named, and taken apart where it is multipart.

Between `reassembly.protocols.http1`, which finds where bodies begin and end, and `reassembly.builder`.
"""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.builder import Builder, Origin
from reassembly.codings import Decoder, decoded
from reassembly.events import Data, Fact
from reassembly.http.facts import declared_type, disposition_name, kind_of, request_facts, response_facts, url_name
from reassembly.http.head import Head, Request, codings
from reassembly.http.parts import Parts, parts_of, several
from reassembly.http.readings import Reading
from reassembly.objects import Object, ObjectKind

NAME = "http"


def open_object(origin: Origin, head: Head, direction: int, began: int) -> Builder:
    """The object of a body: its name, kind, type and facts by the head."""
    kind, name, declared, facts = _told(head)
    builder = origin.open(direction, kind, NAME, began, name=name, declared_type=declared)
    builder.facts = facts
    if head.findings:
        builder.findings += head.findings
    return builder


def _told(head: Head) -> tuple[ObjectKind, str | None, str | None, dict[str, Fact]]:
    """What a head tells of the body behind it: kind, name, declared type, facts."""
    fields = head.fields
    declared = declared_type(fields)
    disposition = fields.get(b"content-disposition")
    name = disposition_name(disposition) if disposition is not None else None
    request: Request | None
    if isinstance(head, Request):
        request, facts, kind = head, dict(request_facts(head)), kind_of(False, declared, name)
    else:
        request, facts, kind = head.request, response_facts(head), kind_of(True, declared, name)
    if name is None and request is not None:
        name = url_name(request)
    return kind, name, declared, facts


def objects_of(found: list[Reading], origin: Origin, direction: int, event: Data) -> list[Object]:
    """The objects of a message that was read in several ways; those that come out alike are one."""
    objects: dict[str, Object] = {}
    several = len(found) > 1
    for reading in found:
        body = Body(origin, reading.head, direction)
        body.findings += reading.findings
        if several:
            body.findings.append("http.ambiguous_framing")
        if reading.body:
            body.write(reading.body, event.began)
        for one in body.finish(event.time, reading.cut):
            objects.setdefault(one.sha256, one)
    return list(objects.values())


def behind(data: bytes, start: int) -> bytes | memoryview:
    """What follows a head. A large body that is nearly all of the data isn't copied, but keeps the head in memory."""
    return memoryview(data)[start:] if len(data) - start > max(start, _COPIED) else data[start:]


_COPIED = 4096  # bytes that are copied sooner than looked at in place


def whole_body(origin: Origin, head: Head, direction: int, data: bytes | memoryview, event: Data) -> list[Object]:
    """The objects of a body that came all at once, without its framing."""
    names = codings(head.fields)
    plain = decoded(names, data) if names else data
    if not plain or head.findings or several(head.fields):
        body = Body(origin, head, direction)
        body.write(bytes(data), event.began)
        return body.finish(event.time, None)
    kind, name, declared, facts = _told(head)
    times = event.began, event.time
    whole = origin.whole(
        direction, kind, NAME, plain, times, name=name, declared_type=declared, facts=facts, codings=names
    )
    return [whole]


class Body:
    """The bytes of one body, without framing, in order. Its object is opened with the first of them."""

    __slots__ = ("_builder", "_decoder", "_direction", "_head", "_lost", "_origin", "findings", "parts")

    def __init__(self, origin: Origin, head: Head, direction: int) -> None:
        self._origin = origin
        self._head = head
        self._direction = direction
        self._builder: Builder | None = None
        names = codings(head.fields)
        self._decoder = Decoder(names, origin.limits) if names else None
        self._lost = False  # the rest of a coded body can't be decoded
        self.findings: list[str] = []
        self.parts: Parts | None = None

    def write(self, data: bytes, began: int) -> None:
        """The next bytes as they were sent, which came at `began`."""
        builder = self._builder
        if builder is None:
            builder = self._open(began)
        if self._decoder is None:
            builder.write(data)
            if self.parts is not None:
                self.parts.feed(data, began)
        elif not self._lost:
            self._decode(builder, self._decoder.feed(data), began)

    def _decode(self, builder: Builder, pieces: Iterator[bytes], began: int) -> None:
        for piece in pieces:
            builder.write(piece)
            if self.parts is not None and piece:
                self.parts.feed(piece, began)

    def _open(self, began: int) -> Builder:
        self._builder = builder = open_object(self._origin, self._head, self._direction, began)
        if several(self._head.fields):
            self.parts = parts_of(self._head.fields, builder)
        return builder

    def gap(self, length: int, time: int) -> None:
        """Bytes that are missing. Decoding ends there: what follows depends on them."""
        builder = self._builder or self._open(time)
        if self._decoder is not None:
            if self._lost:
                return
            self._lost = True
            self._decode(builder, self._decoder.finish(), time)
        builder.gap(length)
        if self.parts is not None:
            self.parts.gap(length)

    def drop(self) -> None:
        """There is no object after all: the bytes are read in another way."""
        if self._builder is not None:
            self._builder.drop()
            self._builder = None
        if self.parts is not None:
            self.parts.drop()
            self.parts = None

    def finish(self, time: int, cut: str | None) -> list[Object]:
        """The body is over: its object, if it had a byte."""
        builder = self._builder
        if builder is None:
            return []
        if self._decoder is not None:
            self._decoded(builder, self._decoder, time)
        if not builder.size and not builder.missing:
            self.drop()
            return []
        for finding in self.findings:
            builder.find(finding)
        inside = self.parts.finish(time, builder.cut or cut) if self.parts is not None else []
        objects = self._with_tail(builder.finish(time, cut), time)
        return objects + inside if inside else objects

    def _with_tail(self, whole: Object, time: int) -> list[Object]:
        """The object; and, where bytes follow the coded stream, the one that clients get who append them."""
        tail = self._decoder.tail if self._decoder is not None else b""
        memory = whole.content.memory
        if not tail or memory is None:
            return [whole]
        other = open_object(self._origin, self._head, self._direction, whole.began)
        other.write(memory)
        other.write(tail)
        for finding in (*whole.findings, "http.ambiguous_coding"):
            other.find(finding)
        other.codings = whole.codings
        return [whole, other.finish(time, whole.cut)]

    def _decoded(self, builder: Builder, decoder: Decoder, time: int) -> None:
        if not self._lost:
            self._decode(builder, decoder.finish(), time)
        for finding in decoder.findings:
            builder.find(f"http.{finding}")
        builder.codings = decoder.applied
        if decoder.limit:
            builder.limit(decoder.limit)
        elif "truncated" in decoder.findings and builder.cut is None:
            builder.cut = "truncated"

"""Bodies of several parts taken apart as they arrive: uploads of forms, ranges, and mail-like bodies that pages are.

Between a body and the objects inside it. RFC 2046, section 5.1 (multipart); RFC 7578 (form-data); RFC 9110,
section 14.6 (byteranges). Lines may end in LF alone.
"""

from __future__ import annotations

import binascii
import re

from reassembly.builder import Builder, Origin
from reassembly.events import Fact
from reassembly.http.broken import loose_fields
from reassembly.http.facts import declared_type, disposition_name, parameter, text
from reassembly.http.head import Fields
from reassembly.objects import Object

NAME = "http"
_LONGEST_BOUNDARY = 256  # RFC 2046 allows 70
_LONGEST_HEAD = 16 << 10  # of one part; a few fields
_WORTH = 256  # a form field without a file name or type is an object of its own from this size on
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_NO_HEAD = re.compile(rb"\r?\n")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def several(fields: Fields) -> bool:
    """Whether a body behind these fields may have to be taken apart."""
    value = fields.get(b"content-type")
    if value is not None:
        value = value.lower()
        if b"boundary" in value or value.startswith((b"multipart/", b"message/")):
            return True
    return b"content-transfer-encoding" in fields


def parts_of(fields: Fields, builder: Builder) -> Parts | None:
    """What takes the body behind these fields apart; None if it is of one piece."""
    value = fields.get(b"content-type", b"")
    lower = value.lower()
    if b"boundary" not in lower and not lower.startswith((b"multipart/", b"message/")):
        return _encoded(fields, builder) if b"content-transfer-encoding" in fields else None
    boundary = parameter(value, b"boundary")
    if boundary is not None and 0 < len(boundary) <= _LONGEST_BOUNDARY:
        return Parts(builder, boundary)
    if lower.startswith(b"multipart/"):
        return Parts(builder, None)
    if lower.startswith((b"message/rfc822", b"message/http", b"message/global")):
        return Parts(builder, None, single=True)
    return None


def _encoded(fields: Fields, builder: Builder) -> Parts | None:
    if fields.get(b"content-transfer-encoding", b"").strip().lower() in _TRANSFER:
        return Parts(builder, None, single=True, fields=fields)
    return None


class Parts:
    """The parts of one body. `boundary` None: the first line that looks like one; `single`: a head and a body, no more.

    `fields`: the head of the only part, which then begins at once. Finished objects gather in `done`.
    """

    __slots__ = (
        "_boundary", "_builder", "_count", "_data", "_delimiter", "_fields", "_inner", "_origin", "_outer", "_room",
        "_state", "done",
    )  # fmt: skip

    def __init__(
        self, outer: Builder, boundary: bytes | None, single: bool = False, fields: Fields | None = None
    ) -> None:
        self._outer = outer
        self._origin: Origin = outer.origin.inside(outer)
        self._delimiter = b"\n--" + boundary if boundary else b"\n--"
        self._boundary = boundary is not None
        self._data = b"" if single else b"\n"  # the first delimiter needs no line before it
        self._state = _HEAD if single else _PREAMBLE
        self._builder: Builder | None = None
        self._inner: Parts | None = None
        self._fields: Fields = {}
        self._room = -1  # bytes that the part may still have, if it says so
        self._count = 0
        self.done: list[Object] = []
        if single:
            self._delimiter = b""
        if fields is not None:
            self._begin(fields, outer.began)

    def take(self) -> list[Object]:
        """The objects that were finished since the last call."""
        done, self.done = self.done, []
        return done

    def feed(self, data: bytes, began: int) -> None:
        """The next bytes of the body, decoded; they came at `began`."""
        if self._state == _EPILOGUE:
            return
        self._data = self._data + data if self._data else data
        while self._step(began):
            pass

    def _step(self, began: int) -> bool:
        if self._state == _PREAMBLE:
            return self._preamble()
        if self._state == _HEAD:
            return self._head(began)
        return self._state == _BODY and self._body(began)

    def _preamble(self) -> bool:
        at = self._data.find(self._delimiter)
        end = self._data.find(b"\n", at + 1) if at >= 0 else -1
        if end < 0:
            self._data = self._data[at if at >= 0 else -len(self._delimiter) :][-_LONGEST_BOUNDARY * 4 :]
            return False
        if not self._boundary:
            line = self._data[at + 3 : end].strip()
            if not 0 < len(line) <= _LONGEST_BOUNDARY:
                self._data = self._data[end:]
                return True
            self._delimiter += line
            self._boundary = True
        self._data = self._data[end + 1 :]
        self._state = _HEAD
        return True

    def _head(self, began: int) -> bool:
        bare = _NO_HEAD.match(self._data)
        match = bare or _HEAD_END.search(self._data)
        if match is None:
            if len(self._data) > _LONGEST_HEAD:
                self._state = _EPILOGUE
                self._data = b""
            return False
        head = b"" if bare else self._data[: match.start()]
        self._data = self._data[match.end() if not bare or self._delimiter else 0 :]
        self._begin(loose_fields(b"\r\n" + head), began)
        return True

    def _begin(self, fields: Fields, began: int) -> None:
        self._state = _BODY
        self._fields = fields
        self._count += 1
        limits = self._origin.limits
        if self._count > limits.mime_parts:
            self._origin.memory.counters["mime_parts"] += 1
            self._state = _EPILOGUE
            self._data = b""
            return
        builder = self._open(fields, began)
        self._builder = builder
        length = fields.get(b"content-length", b"").strip()
        self._room = int(length[:18]) if not self._delimiter and length.isdigit() else -1
        if fields is not None and self._origin.depth < limits.unpack_depth and b"boundary" in _type(fields):
            self._inner = parts_of(fields, builder)

    def _open(self, fields: Fields, began: int) -> Builder:
        outer = self._outer
        disposition = fields.get(b"content-disposition", b"")
        name = disposition_name(disposition)
        facts: dict[str, Fact] = dict(outer.facts)
        if (field := parameter(disposition, b"name")) is not None:
            facts["tapscan.http.field"] = text(field)
        if content_range := fields.get(b"content-range"):
            facts["tapscan.http.range"] = text(content_range)
            name = name or outer.name
        builder = self._origin.open(
            outer.direction, "file", NAME, began, name=name, declared_type=declared_type(fields)
        )
        builder.facts = facts
        return builder

    def _body(self, began: int) -> bool:
        if not self._delimiter:
            self._write(self._data, began)
            self._data = b""
            return False
        at = self._data.find(self._delimiter)
        if at < 0:
            # A delimiter may have begun in the last bytes, and the CR before it belongs to it.
            safe = len(self._data) - len(self._delimiter) - 1
            if safe > 0:
                self._write(self._data[:safe], began)
                self._data = self._data[safe:]
            return False
        after = at + len(self._delimiter)
        end = self._data.find(b"\n", after)
        last = self._data.startswith(b"--", after)
        if end < 0 and not last and len(self._data) - after < _LONGEST_BOUNDARY:
            return False
        if not last and self._data[after : end if end >= 0 else None].strip(b" \t\r"):
            self._write(self._data[: at + 1], began)  # a longer line that only begins like the delimiter
            self._data = self._data[at + 1 :]
            return True
        self._write(self._data[: at - 1 if self._data[at - 1 : at] == b"\r" else at], began)
        self._close(began, None)
        self._data = b"" if last else self._data[end + 1 :]
        self._state = _EPILOGUE if last else _HEAD
        return not last

    def _write(self, data: bytes, began: int) -> None:
        if self._room >= 0:
            data = data[: self._room]
            self._room -= len(data)
        if self._builder is not None and data:
            self._builder.write(data)
            if self._inner is not None:
                self._inner.feed(data, began)
                self.done += self._inner.take()

    def gap(self, length: int) -> None:
        """Bytes of the body that are missing."""
        if self._builder is not None and self._state == _BODY:
            self._builder.write(self._data)
            self._builder.gap(length)
        self._data = b""

    def finish(self, time: int, cut: str | None) -> list[Object]:
        """The body is over; gives the objects that are not taken yet."""
        if self._state == _BODY:
            self._write(self._data, time)
            self._close(time, cut if not self._delimiter else cut or "fin")
        self._state = _EPILOGUE
        return self.take()

    def drop(self) -> None:
        """There are no parts after all."""
        if self._inner is not None:
            self._inner.drop()
        if self._builder is not None:
            self._builder.drop()
        self._builder = self._inner = None
        self._state = _EPILOGUE

    def _close(self, time: int, cut: str | None) -> None:
        builder, inner, fields = self._builder, self._inner, self._fields
        self._builder = self._inner = None
        if builder is None:
            return
        encoding = fields.get(b"content-transfer-encoding", b"").strip().lower()
        worth = builder.name or builder.declared_type or builder.size >= _WORTH or not self._delimiter
        if not builder.size or not worth:
            builder.drop()
            if inner is not None:
                inner.drop()
            return
        if inner is not None:
            self.done += inner.finish(time, cut)
        whole = builder.finish(time, cut)
        decoded = _decoded(whole, encoding)
        if decoded is None:
            self.done.append(whole)
            return
        self.done += self._twice(builder, whole, decoded, time)

    def _twice(self, builder: Builder, whole: Object, decoded: bytes, time: int) -> list[Object]:
        """A part whose transfer encoding, which HTTP has not, some clients undo."""
        other = self._open(self._fields, whole.began)
        other.write(decoded)
        other.find("http.content_transfer_encoding")
        one = other.finish(time, whole.cut)
        same_as_outer = not self._delimiter and builder.size == self._outer.size
        return [one] if same_as_outer else [whole, one]


def _type(fields: Fields) -> bytes:
    return fields.get(b"content-type", b"").lower()


def _decoded(whole: Object, encoding: bytes) -> bytes | None:
    memory = whole.content.memory
    if memory is None or encoding not in _TRANSFER:
        return None
    if encoding == b"quoted-printable":
        return binascii.a2b_qp(memory)
    clean = _NOT_BASE64.sub(b"", memory)
    return binascii.a2b_base64(clean[: len(clean) - (len(clean) % 4 == 1)] + b"==")


_TRANSFER = frozenset((b"base64", b"quoted-printable"))
_PREAMBLE, _HEAD, _BODY, _EPILOGUE = range(4)

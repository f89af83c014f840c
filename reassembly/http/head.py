"""Heads of well-formed HTTP/1 messages: the start line and the fields, in one pass. RFC 9112, sections 2 to 5.

What is not strictly right gives None here and is read with more patience in `reassembly.http.broken`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

from reassembly.partial import Partial, Place

Fields: TypeAlias = dict[bytes, bytes]  # by lower-case name
Framing: TypeAlias = Literal["none", "length", "chunked", "close", "doubtful"]

# A field whose line is right: token, colon, a value without control characters that end lines for somebody.
_FIELD = re.compile(rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?\Z")
_METHOD = re.compile(rb"[A-Z][A-Z_\-]{1,31}\Z")
REQUEST_LINE = re.compile(rb"[A-Z][A-Z_\-]{1,31} [^\s]+ HTTP/1\.[01]\r?\n")
_COMMON = frozenset((b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))
_LISTS = frozenset((b"transfer-encoding", b"content-encoding"))
_LONGEST_KEPT = 1024  # of lines that are kept parsed; browsers send some hundred bytes
_HEAD_COST = 512  # what a head costs beyond its bytes
_LONGEST_TARGET = 4096  # of one that there is no room for
_LONGEST_LENGTH = 18  # digits: what 64 bits can hold

HTTP_1_0, HTTP_1_1 = "1.0", "1.1"


# Fields that say something of a body that comes after the head was read.
LASTING = (
    b"host", b"user-agent", b"referer", b"content-type", b"content-disposition", b"content-encoding", b"content-length",
    b"content-range", b"content-transfer-encoding", b"transfer-encoding", b"upgrade",
)  # fmt: skip


def _short(fields: Fields) -> Fields:
    return {name: value[:_LONGEST_KEPT] for name, value in _lasting(fields).items()}


class Request:
    """A request's head. `fields`, which others may share, hold of a repeated name the first value, of a list all."""

    __slots__ = ("facts", "fields", "findings", "held", "method", "switches", "target", "version")

    def __init__(self, method: bytes, target: bytes, version: str, fields: Fields, findings: list[str]) -> None:
        self.method = method
        self.target = target
        self.version = version
        self.fields = fields
        self.findings = findings
        self.switches = method == b"CONNECT" or b"upgrade" in fields
        self.facts: dict[str, str | int | float | bool | list[str]] | None = None  # once they were asked for
        self.held: Partial | None = None  # counts it, if it must be

    def slim(self) -> None:
        """Keeps what may still be asked for."""
        self.fields = _lasting(self.fields)
        if self.method:  # else nobody saw it, and its facts are made up
            self.facts = None
        if self.held is not None:
            self.held.hold(size_of(self))

    def shorten(self) -> None:
        """There is no room for more than some bytes of each field."""
        self.fields, self.target, self.held = _short(self.fields), self.target[:_LONGEST_TARGET], None


class Response:
    """A response's head, and the request that it answers, if that was seen."""

    __slots__ = ("fields", "findings", "held", "request", "status", "version")

    def __init__(
        self, status: int, version: str, fields: Fields, findings: list[str], request: Request | None = None
    ) -> None:
        self.status = status
        self.version = version
        self.fields = fields
        self.findings = findings
        self.request = request
        self.held: Partial | None = None

    def slim(self) -> None:
        """The same."""
        self.fields = _lasting(self.fields)
        if self.held is not None:
            self.held.hold(size_of(self))

    def shorten(self) -> None:
        """The same."""
        self.fields, self.held = _short(self.fields), None


Head: TypeAlias = Request | Response


def size_of(head: Head) -> int:
    """What it takes, about."""
    target = len(head.target) if isinstance(head, Request) else 0
    return _HEAD_COST + target + sum(len(name) + len(value) for name, value in head.fields.items())


def has_room(head: Head, place: Place) -> bool:
    """Counts a head as long as it is kept, if there is room for it: a large one, or one that waits behind others."""
    head.held = Partial(place)
    return head.held.takes(size_of(head))


def _lasting(fields: Fields) -> Fields:
    return {name: fields[name] for name in LASTING if name in fields}


def fields_of(head: bytes) -> tuple[Fields, list[str]] | None:
    """The fields of a head without its last line break, and findings; None unless every line of it is right."""
    pairs = _FIELD.findall(head)
    count = len(pairs)
    if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
        return None
    findings: list[str] = []
    fields: Fields = {name.lower(): value for name, value in pairs}
    if len(fields) != count:
        fields = {}
        for name, value in pairs:
            _add(fields, name.lower(), value, findings)
    return fields, findings


def _add(fields: Fields, name: bytes, value: bytes, findings: list[str]) -> None:
    if name not in fields:
        fields[name] = value
    elif name in _LISTS:
        # RFC 9110, section 5.3: "combining the values in order into a comma-separated list"
        fields[name] += b"," + value
    elif name == b"content-length":
        findings.append("http.duplicate_content_length")
        if fields[name].strip() != value.strip():
            fields[name] += b"," + value


@lru_cache(256)
def _repeated(lines: bytes) -> tuple[Fields, list[str]] | None:
    """The same for lines that a client sends again and again: all but the first one of its requests."""
    return fields_of(lines)


def parse_response(head: bytes) -> Response | None:
    """A response's head, without the empty line; None unless it is strictly right."""
    end = head.find(b"\r\n")
    line = head if end < 0 else head[:end]
    status = _usual_status(line) if len(line) <= _LONGEST_KEPT else _status(line)
    if status is None or (parsed := fields_of(head)) is None:
        return None
    return Response(*status, *parsed)


def _status(line: bytes) -> tuple[int, str] | None:
    match = _STATUS.match(line)
    return None if match is None else (int(match[2]), HTTP_1_1 if match[1] == b"1" else HTTP_1_0)


_usual_status = lru_cache(256)(_status)


def parse_request(head: bytes) -> Request | None:
    """A request's head, without the empty line; None unless it is strictly right."""
    end = head.find(b"\r\n")
    parts = (head if end < 0 else head[:end]).split(b" ")
    if len(parts) != 3 or not parts[1]:
        return None
    version = _VERSIONS.get(parts[2])
    if version is None or (parts[0] not in _COMMON and _METHOD.match(parts[0]) is None):
        return None
    parsed = _repeated(head[end:]) if end >= 0 and len(head) - end <= _LONGEST_KEPT else fields_of(head)
    if parsed is None:
        return None
    return Request(parts[0], parts[1], version, parsed[0], [*parsed[1]])


_VERSIONS = {b"HTTP/1.1": HTTP_1_1, b"HTTP/1.0": HTTP_1_0}


def framing(fields: Fields, version: str, default: Framing) -> tuple[Framing, int]:
    """How the body ends by RFC 9112, section 6.3, and its length. `default`: what holds when no field says anything.

    `doubtful` where real recipients differ: both fields, an odd value, chunked in HTTP/1.0.
    """
    coding = fields.get(b"transfer-encoding")
    length = fields.get(b"content-length")
    if b"content-encoding" in fields and b"chunked" in fields[b"content-encoding"].lower():
        return "doubtful", 0  # the right word in the wrong field
    if coding is not None:
        if length is not None or version != HTTP_1_1:
            return "doubtful", 0
        return ("chunked", 0) if chunked_last(coding) else ("doubtful", 0)
    if length is None:
        return default, 0
    if not length.isdigit():
        length = length.rstrip(b" \t")
    if not length.isdigit() or len(length) > _LONGEST_LENGTH:
        return "doubtful", 0
    size = int(length)
    return ("length", size) if size else ("none", 0)


def doubts(fields: Fields, version: str) -> list[str]:
    """What is odd about the framing fields of a message whose framing is doubtful."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    found: list[str] = []
    if coding is not None and length is not None:
        found.append("http.te_and_cl")
    if coding is not None and not chunked_last(coding):
        found.append("http.invalid_transfer_encoding")
    if coding is not None and version != HTTP_1_1:
        found.append("http.te_in_http_1_0")
    if length is not None and not length.strip().isdigit():
        found.append("http.invalid_content_length")
    if b"chunked" in fields.get(b"content-encoding", b"").lower():
        found.append("http.chunked_as_content_encoding")
    return found


def unframed(head: Head) -> bool:
    """Whether nothing in a head says where the body ends."""
    return b"content-length" not in head.fields and b"transfer-encoding" not in head.fields


def chunked_last(coding: bytes) -> bool:
    """Whether a Transfer-Encoding is a clean list of known codings that ends in the only `chunked`."""
    coding = coding.strip(b" \t").lower()
    if coding == b"chunked":
        return True
    *others, last = (item.strip(b" \t") for item in coding.split(b","))
    return last == b"chunked" and all(item in _TRANSFER for item in others)


_TRANSFER = frozenset((b"gzip", b"x-gzip", b"deflate", b"identity"))


def codings(fields: Fields) -> tuple[str, ...]:
    """Content codings, then transfer codings, in the order in which they were applied; `chunked` is not among them."""
    content = fields.get(b"content-encoding")
    transfer = fields.get(b"transfer-encoding")
    if content is None and (transfer is None or len(transfer) == 7):
        return ()
    names = _list(content or b"") + _list(transfer or b"")
    return tuple(name for name in names if name not in _NO_CODING)


def _list(value: bytes) -> list[str]:
    # Clients look at the name alone: parameters and stray control characters around it go.
    return [item.partition(b";")[0].strip(_STRAY).lower().decode("latin-1") for item in value.split(b",")]


_STRAY = bytes(range(0x21)) + b"\x7f\xa0\"'"
_NO_CODING = frozenset(("", "identity", "chunked", "none"))

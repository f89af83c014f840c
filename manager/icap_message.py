"""What ICAP says: heads, where the parts of an encapsulated message lie, chunks. Bytes in and out, no socket.

RFC 3507, sections 4.3 (heads), 4.4 (encapsulation) and 4.5 (preview); chunks by RFC 9112, section 7.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Literal, TypeAlias

from sensor.noun import noun

Method: TypeAlias = Literal["OPTIONS", "REQMOD", "RESPMOD"]

LONGEST_HEAD = 64 << 10  # bytes; proxies put cookies of a user's name and groups into it, not of a page
_LONGEST_LINE = 4096  # of a chunk's size with its extensions, or of all trailers; common servers take 4 to 16 KiB
_REQUEST = re.compile(rb"([A-Za-z]{1,32}) ([!-~]{1,8192}) ICAP/(\d)\.\d")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)")
_PART = re.compile(r"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body) ?= ?(\d{1,9})")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;[^\r\n\0]*)?\r?\n")
_IEOF = re.compile(rb";[ \t]*ieof[ \t]*(?:;|\Z)", re.IGNORECASE)
_PREVIEW = re.compile(r"\d{1,9}")

# RFC 3507, section 4.4.1: which lists of parts a request may have, the body left away
_HEADS: dict[str, tuple[tuple[str, ...], ...]] = {
    "OPTIONS": ((),),
    "REQMOD": ((), ("req-hdr",)),
    "RESPMOD": ((), ("req-hdr",), ("res-hdr",), ("req-hdr", "res-hdr")),
}
_BODIES = {"OPTIONS": "opt-body", "REQMOD": "req-body", "RESPMOD": "res-body"}
_WORDS = {
    100: "Continue",
    200: "OK",
    204: "No Modifications Needed",
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Too Large",
    500: "Server Error",
    501: "Method Not Implemented",
    503: "Service Overloaded",
    505: "ICAP Version Not Supported",
}


class Wrong(Exception):
    """What came is no ICAP, or more than is taken. `status`: of the answer; after it the connection is over."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@noun
class IcapRequest:
    """A request's head. `heads`: name and length of each encapsulated head; `body`: whether one follows them."""

    method: Method
    uri: str
    fields: Mapping[str, str]  # by lower-case name; of a repeated one all, with commas
    heads: tuple[tuple[str, int], ...]
    body: bool
    preview: int | None = None  # bytes

    @property
    def allows_204(self) -> bool:
        """Whether it takes "nothing to be changed" though the whole body was sent (section 4.6)."""
        return "204" in (item.strip() for item in self.fields.get("allow", "").split(","))

    @property
    def lasting(self) -> bool:
        """Whether the connection goes on after the answer."""
        return "close" not in self.fields.get("connection", "").lower()


def parse_request(head: bytes, most: int) -> IcapRequest:
    """A head without its empty line; `most`: bytes of all encapsulated heads. Raises Wrong."""
    first, *lines = head.split(b"\r\n")
    if (match := _REQUEST.fullmatch(first)) is None:
        raise Wrong(400, "no ICAP request line")
    if match[3] != b"1":
        raise Wrong(505, "only ICAP/1.0 is spoken here")
    method = match[1].decode().upper()
    if method not in _HEADS:
        raise Wrong(501, "only OPTIONS, REQMOD and RESPMOD are known here")
    fields = _fields(lines)
    heads, body = _encapsulated(method, fields.get("encapsulated"), most)
    preview = fields.get("preview")
    if preview is not None and not _PREVIEW.fullmatch(preview):
        raise Wrong(400, "Preview is no number")
    return IcapRequest(method, match[2].decode(), fields, heads, body, None if preview is None else int(preview))  # type: ignore[arg-type]


def _fields(lines: Iterable[bytes]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        if (match := _FIELD.fullmatch(line)) is None:
            raise Wrong(400, "a line of the head is no field")
        name, value = match[1].decode().lower(), match[2].decode("latin-1").rstrip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


def _encapsulated(method: str, text: str | None, most: int) -> tuple[tuple[tuple[str, int], ...], bool]:
    """Offsets as lengths: each head ends where the next part begins."""
    if text is None:
        if method == "OPTIONS":
            return (), False
        raise Wrong(400, "Encapsulated is missing")
    parts = [_PART.fullmatch(item.strip().lower()) for item in text.split(",", 4)]
    found = [(part[1], int(part[2])) for part in parts if part is not None]
    if len(found) < len(parts):
        raise Wrong(400, "Encapsulated is no list of parts")
    names, (last, end) = tuple(name for name, _ in found[:-1]), found[-1]
    if names not in _HEADS[method] or last not in ("null-body", _BODIES[method]):
        raise Wrong(400, f"Encapsulated doesn't fit {method}")
    begins = [begin for _, begin in found]
    if begins[0] != 0 or begins != sorted(begins):
        raise Wrong(400, "Encapsulated isn't in order")
    if end > most:
        raise Wrong(413, f"encapsulated heads of more than {most} bytes")
    lengths = [after - begin for begin, after in pairwise(begins)]
    return tuple(zip(names, lengths, strict=True)), last != "null-body"


class Chunks:
    """Takes the framing off one body. `done` after the last line; `ieof`: a preview that was all; `rest` is behind it.

    Payload is handed on as it comes, whatever size a chunk claims to have.
    """

    def __init__(self) -> None:
        self.done = False
        self.ieof = False
        self.rest = b""
        self._need = 0  # bytes of the present chunk
        self._line = self._size  # what the next line is
        self._trailers = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The payload in the next bytes. Raises Wrong."""
        data, self.rest = self.rest + data, b""
        out, pos = [], 0
        while not self.done and pos < len(data):
            if self._need:
                piece = data[pos : pos + self._need]
                out.append(piece)
                self._need -= len(piece)
                pos += len(piece)
                continue
            end = data.find(b"\n", pos) + 1
            if not end:
                if len(data) - pos > _LONGEST_LINE:
                    raise Wrong(400, "a chunk's line doesn't end")
                break
            self._line(data[pos:end])
            pos = end
        self.rest = data[pos:]
        return out

    def _size(self, line: bytes) -> None:
        if len(line) > _LONGEST_LINE or (match := _SIZE.fullmatch(line)) is None:
            raise Wrong(400, "no size of a chunk")
        self._need = int(match[1], 16)
        self._line = self._after if self._need else self._trailer
        self.ieof = not self._need and _IEOF.search(match[2] or b"") is not None

    def _after(self, line: bytes) -> None:
        if line.strip(b"\r\n"):
            raise Wrong(400, "a chunk is longer than it says")
        self._line = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > _LONGEST_LINE:
            raise Wrong(400, "trailers without an end")
        self.done = not line.strip(b"\r\n")


def chunk(data: bytes) -> bytes:
    """A chunk; of nothing: the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(status: int, fields: Mapping[str, str], parts: Iterable[tuple[str, int]] = ()) -> bytes:
    """Head of an answer. `parts`: name and length of what is encapsulated; of a body, which is last, it is 0."""
    lines = [f"ICAP/1.0 {status} {_WORDS[status]}", *(f"{name}: {value}" for name, value in fields.items())]
    offsets, at = [], 0
    for name, length in parts:
        offsets.append(f"{name}={at}")
        at += length
    if offsets:
        lines.append("Encapsulated: " + ", ".join(offsets))
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")

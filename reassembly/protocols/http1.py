"""HTTP/1 on one flow: finds messages, pairs requests with responses, and makes an object of each body.

After the flow table, before the builder. RFC 9112; what is strictly right takes a short way, the rest a patient one
(`reassembly.http`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from reassembly.builder import Origin
from reassembly.events import ORIG, RESP, Close, Data, Gap
from reassembly.http.body import Body
from reassembly.http.chunked import Chunks
from reassembly.http.head import REQUEST_LINE, Framing, Head, Request, Response, framing, parse_request, parse_response
from reassembly.protocols import Answer, Emitted

NAME = "http"
PORTS = frozenset(
    (80, 81, 591, 3000, 3128, 5000, 5985, 7001, 8000, 8001, 8008, 8080, 8081, 8088, 8090, 8118, 8888, 9000)
)

_METHODS = (
    b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"PROPFIND", b"PROPPATCH",
    b"MKCOL", b"COPY", b"MOVE", b"LOCK", b"UNLOCK", b"REPORT", b"SEARCH", b"SUBSCRIBE", b"UNSUBSCRIBE", b"NOTIFY",
    b"M-SEARCH", b"MERGE", b"CHECKOUT", b"MKACTIVITY", b"RPC_IN_DATA", b"RPC_OUT_DATA", b"BITS_POST", b"CCM_POST",
)  # fmt: skip
_ANY_METHOD = re.compile(rb"[A-Za-z][A-Za-z_\-]{1,31} ")
_VERSIONED = re.compile(rb"[A-Za-z][A-Za-z_\-]{1,31} [^\r\n]+ HTTP/\d")
_OLD = re.compile(rb"GET +/[^\s]*[ \t]*\r?\n")  # RFC 1945, section 4.1: Simple-Request
_BLANK = re.compile(rb"\n[ \t\v\f\r\0]*\n")  # the end of a head for somebody


def probe(orig: bytes, resp: bytes) -> Answer:
    """Whether a flow whose directions begin with these bytes is HTTP/1; either may be the one with the requests."""
    answers = {_request_start(orig), _request_start(resp), _response_start(orig), _response_start(resp)}
    if Answer.YES in answers:
        return Answer.YES
    return Answer.MORE if Answer.MORE in answers else Answer.NO


def _request_start(head: bytes) -> Answer:
    head = head.lstrip(b"\r\n")
    line, end, _ = head.partition(b"\n")
    if not end:
        known = any(method.startswith(head[:16]) or head.startswith(method + b" ") for method in _METHODS)
        if len(head) > 1024:
            return Answer.YES if known else Answer.NO
        return Answer.MORE if known or _VERSIONED.match(line) else Answer.NO
    return Answer.YES if _VERSIONED.match(line) or _OLD.match(line + end) else Answer.NO


def _response_start(head: bytes) -> Answer:
    start = head[:6].upper()
    if start == b"HTTP/1":
        return Answer.YES
    return Answer.MORE if b"HTTP/1".startswith(start) else Answer.NO


class _Side:
    """One direction of the flow."""

    __slots__ = ("body", "buffer", "chunks", "data", "direction", "head", "left", "pos", "scanned", "step")

    def __init__(self, direction: int, step: _Step) -> None:
        self.direction = direction
        self.step = step  # how the next byte is read
        self.data = b""  # what is being read, from `pos`
        self.pos = 0
        self.buffer = bytearray()  # a head that is not whole yet, looked through up to `scanned`
        self.scanned = 0
        self.head: Head | None = None
        self.body: Body | None = None
        self.left = 0  # of a body whose length is known
        self.chunks: Chunks | None = None


class Parser:
    """The reader of one flow."""

    __slots__ = ("_early", "_event", "_out", "_resp", "_sides", "_switched", "_waiting", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._sides = (_Side(ORIG, Parser._start), _Side(RESP, Parser._start))
        self._resp: int | None = None  # the direction of the responses, once known
        self._waiting: deque[Request] = deque()  # requests without a response
        self._early = 0  # responses that came before their request
        self._switched = False
        self._out: list[Emitted] = []
        self._event: Data | Gap | Close

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Takes the next bytes, or the news that bytes are missing; gives what is complete now."""
        if self._switched:
            return []
        self._out = []
        self._event = event
        side = self._sides[event.direction]
        if isinstance(event, Gap):
            self._gap(side, event)
            return self._out
        if self._resp is None:
            self._roles(event)
        side.data = event.payload
        side.pos = 0
        while side.pos < len(side.data):
            side.step(self, side, event)
        side.data = b""
        return self._out

    def _roles(self, event: Data) -> None:
        """A flow that was picked up in its middle may have the responses in the direction of the originator."""
        answers = _response_start(event.payload) is Answer.YES
        asks = not answers and _VERSIONED.match(event.payload) is not None
        self._resp = 1 - event.direction if asks else event.direction if answers else RESP

    def _start(self, side: _Side, event: Data) -> None:
        """At the start of a message, or in its head."""
        data, pos = side.data, side.pos
        if side.buffer:
            side.buffer += data[pos:] if pos else data
            if _BLANK.search(side.buffer, max(side.scanned - 64, 0)) is None:
                self._unfinished(side)
                return
            data = side.data = bytes(side.buffer)
            side.buffer.clear()
            side.pos = pos = 0
        end = data.find(b"\r\n\r\n", pos)
        if end >= 0:
            head = data[pos:end]
            parsed = parse_response(head) if side.direction == self._resp else parse_request(head)
            if parsed is not None:
                side.pos = end + 4
                self._message(side, parsed, event)
                return
        self._unclear(side, event)

    def _unfinished(self, side: _Side) -> None:
        side.scanned = len(side.buffer)
        side.pos = len(side.data)
        if side.scanned > self.origin.limits.header_bytes:
            self.origin.memory.counters["header_bytes"] += 1
            side.buffer.clear()
            side.step = Parser._lost

    def _unclear(self, side: _Side, event: Data) -> None:
        """No well-formed head here: not yet whole, or not well-formed, or no head at all."""
        data = side.data
        while side.pos < len(data) and data[side.pos] in b"\r\n":
            side.pos += 1
        if side.pos == len(data):
            return
        if _BLANK.search(data, side.pos) is None:
            side.buffer += data[side.pos :]
            side.scanned = 0
            self._unfinished(side)
            return
        side.pos = len(data)
        side.step = Parser._lost

    def _message(self, side: _Side, head: Head, event: Data) -> None:
        side.head = head
        if isinstance(head, Request):
            self._ask(head)
            kind, length = framing(head.fields, head.version, "none")
        else:
            kind, length = self._answer(head)
            if self._switched:
                return
        if kind == "length":
            self._by_length(side, head, length, event)
        elif kind == "chunked":
            side.chunks = Chunks()
            side.body = Body(self.origin, head, side.direction)
            side.step = Parser._chunked
        elif kind == "close":
            side.body = Body(self.origin, head, side.direction)
            side.step = Parser._until_close

    def _ask(self, request: Request) -> None:
        if self._early:
            self._early -= 1
        elif len(self._waiting) < self.origin.limits.pending_requests:
            self._waiting.append(request)
        else:
            self.origin.memory.counters["pending_requests"] += 1

    def _answer(self, response: Response) -> tuple[Framing, int]:
        """Pairs a response with its request; how its body ends (RFC 9112, section 6.3)."""
        status = response.status
        waiting = self._waiting
        if waiting:
            response.request = waiting[0] if 100 <= status < 200 and status != 101 else waiting.popleft()
        request = response.request
        if status < 200 or status == 204 or status == 304:
            return "none", 0
        if request is not None and request.method == b"HEAD":
            return "none", 0
        return framing(response.fields, response.version, "close")

    def _by_length(self, side: _Side, head: Head, length: int, event: Data) -> None:
        body = Body(self.origin, head, side.direction)
        data, pos = side.data, side.pos
        end = pos + length
        if end <= len(data):
            body.write(data[pos:end], event.began)
            side.pos = end
            self._out += body.finish(event.time, None)
            return
        side.body = body
        side.left = length
        side.step = Parser._length

    def _length(self, side: _Side, event: Data) -> None:
        assert side.body is not None
        data, pos = side.data, side.pos
        end = min(pos + side.left, len(data))
        side.body.write(data[pos:end] if pos or end < len(data) else data, event.began)
        side.left -= end - pos
        side.pos = end
        if not side.left:
            self._over(side, event.time, None)

    def _until_close(self, side: _Side, event: Data) -> None:
        assert side.body is not None
        side.body.write(side.data[side.pos :], event.began)
        side.pos = len(side.data)

    def _chunked(self, side: _Side, event: Data) -> None:
        assert side.body is not None
        assert side.chunks is not None
        pieces: list[bytes] = []
        side.pos = side.chunks.feed(side.data, side.pos, pieces)
        if pieces:
            side.body.write(pieces[0] if len(pieces) == 1 else b"".join(pieces), event.began)
        if side.chunks.done:
            self._over(side, event.time, None)
        elif side.chunks.odd:
            self._over(side, event.time, None)
            side.step = Parser._lost

    def _over(self, side: _Side, time: int, cut: str | None) -> None:
        if side.body is not None:
            self._out += side.body.finish(time, cut)
        side.body = side.chunks = None
        side.step = Parser._start

    def _lost(self, side: _Side, event: Data) -> None:
        """Somewhere in the stream: goes on where bytes that arrive begin with a message."""
        if side.pos == 0 and (side.data.startswith(b"HTTP/1.") or REQUEST_LINE.match(side.data)):
            side.step = Parser._start
            return
        side.pos = len(side.data)

    def _gap(self, side: _Side, event: Gap) -> None:
        if side.step is Parser._length and side.body is not None:
            side.body.gap(min(event.length, side.left), event.time)
            side.left -= event.length
            if side.left <= 0:
                self._over(side, event.time, None)
                if side.left < 0:
                    side.step = Parser._lost
        elif side.step is Parser._until_close and side.body is not None:
            side.body.gap(event.length, event.time)
        elif side.step is Parser._chunked and side.body is not None and side.chunks is not None:
            side.body.gap(event.length, event.time)
            if not side.chunks.skip(event.length):
                self._over(side, event.time, "gap")
                side.step = Parser._lost
        else:
            side.buffer.clear()
            side.step = Parser._lost

    def close(self, event: Close) -> list[Emitted]:
        """One direction has ended; gives what was still open there."""
        self._out = []
        side = self._sides[event.direction]
        if side.body is not None:
            ended = side.step is Parser._until_close and event.how == "fin"
            self._over(side, event.time, None if ended else event.how)
        side.buffer.clear()
        side.step = Parser._lost
        return self._out


_Step: TypeAlias = Callable[[Parser, _Side, Data], None]

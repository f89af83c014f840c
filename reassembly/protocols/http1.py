"""HTTP/1 on one flow: finds messages, pairs responses with requests, and makes an object of each body.

After the flow table, before the builder. RFC 9112. What is strictly right takes a short way; what isn't is kept until
it is over and then read in every way that clients are known to read it (`reassembly.http.readings`).
"""

from __future__ import annotations

import re
from collections import deque

from reassembly.builder import Origin
from reassembly.events import ORIG, RESP, Close, CloseHow, Data, Gap, Switch
from reassembly.http.body import Body, objects_of
from reassembly.http.broken import more_fields, patient, request_way
from reassembly.http.chunked import Chunks, next_chunk
from reassembly.http.head import Framing, Head, Request, Response, framing, parse_request, parse_response, unframed
from reassembly.http.readings import after_message, readings
from reassembly.http.side import Kept, Side
from reassembly.http.start import begins, may_begin, request_start, response_start
from reassembly.protocols import Answer, Emitted

NAME = "http"
PORTS = frozenset((80, 81, 591, 3000, 3128, 5000, 5985, 7001, 8000, 8001, 8008, 8080, 8081, 8088, 8090, 8118, 8888))

_BLANK = re.compile(rb"\n[ \t\v\f\r\0]*\n")  # the end of a head, for some client
_CLEAN_BLANK = re.compile(rb"\n\r?\n")


def probe(orig: bytes, resp: bytes) -> Answer:
    """Whether a flow whose directions begin with these bytes is HTTP/1; either may be the one with the requests."""
    said = (request_start(orig), response_start(resp), response_start(orig), request_start(resp))
    if True in said:
        return Answer.YES
    return Answer.MORE if None in said else Answer.NO


class Parser:
    """The reader of one flow."""

    __slots__ = ("_early", "_known", "_out", "_sides", "_switched", "_waiting", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._sides = (Side(ORIG, Parser._start), Side(RESP, Parser._start))
        self._known = False  # which direction brings the responses
        self._waiting: deque[Request] = deque()  # requests without a response
        self._early = 0  # responses that came before their request
        self._switched = False
        self._out: list[Emitted] = []

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Takes the next bytes, or the news that bytes are missing; gives what is complete now."""
        out: list[Emitted] = []
        self._out = out
        if self._switched:
            return out
        side = self._sides[event.direction]
        if event.__class__ is Gap:
            self._gap(side, event)
            return out
        assert isinstance(event, Data)
        if not self._known:
            self._roles(event)
        self._read(side, event)
        return out

    def _read(self, side: Side, event: Data) -> None:
        side.data = event.payload
        side.pos = 0
        while side.pos < len(side.data):
            side.step(self, side, event)
        side.data = b""

    def _roles(self, event: Data) -> None:
        """A flow that was picked up in its middle may have the responses in the direction of the originator."""
        self._known = True
        answers = response_start(event.payload)
        asks = not answers and event.direction == RESP and request_start(event.payload)
        self._sides[event.direction if answers else ORIG if asks else RESP].response = True

    # Heads

    def _start(self, side: Side, event: Data) -> None:
        """At the start of a message, or in its head."""
        if side.buffer is not None and not self._buffered(side):
            return
        data, pos = side.data, side.pos
        end = data.find(b"\r\n\r\n", pos)
        if end >= 0:
            head = data[pos:end]
            parsed = parse_response(head) if side.response else parse_request(head)
            if parsed is not None and not (side.response and unframed(parsed) and more_fields(data, end + 4)):
                side.pos = end + 4
                self._message(side, parsed, event)
                return
        self._unclear(side, event)

    def _buffered(self, side: Side) -> bool:
        """Adds to the head that is not whole yet; whether there is now something to look at."""
        assert side.buffer is not None
        side.buffer += side.data[side.pos :]
        begun = may_begin(bytes(side.buffer[:33]), 0, side.response)
        if begun and _BLANK.search(side.buffer, max(side.scanned - 64, 0)) is None:
            self._unfinished(side)
            return False
        side.data = bytes(side.buffer)
        side.pos = 0
        side.buffer = None
        return True

    def _unfinished(self, side: Side) -> None:
        assert side.buffer is not None
        side.scanned = len(side.buffer)
        side.pos = len(side.data)
        if side.scanned > self.origin.limits.header_bytes:
            self.origin.memory.counters["header_bytes"] += 1
            side.reset(Parser._lost)

    def _unclear(self, side: Side, event: Data) -> None:
        """No well-formed head here: not whole yet, not well-formed, or no head at all."""
        data = side.data
        while side.pos < len(data) and data[side.pos] in b"\r\n":
            side.pos += 1  # RFC 9112, section 2.2: empty lines before a message are ignored
        pos = side.pos
        if pos == len(data):
            return
        if not may_begin(data, pos, side.response):
            self._no_message(side, event)
            return
        blank = _BLANK.search(data, pos)
        if blank is None:
            side.buffer = bytearray(data[pos:])
            self._unfinished(side)
            return
        if _CLEAN_BLANK.fullmatch(blank[0]) and not more_fields(data, blank.end()):
            parsed = patient(data[pos : blank.start()].removesuffix(b"\r"), side.response)
            if parsed is not None:
                side.pos = blank.end()
                self._message(side, parsed, event)
                return
        self._malformed(side, blank.end(), event)

    def _malformed(self, side: Side, end: int, event: Data) -> None:
        if side.response:
            self._doubt(side, None)
            return
        request = request_way(side.data[side.pos : end])
        if request is None:
            side.step = Parser._lost
            side.pos = end
        else:
            side.pos = end
            self._message(side, request, event)

    def _no_message(self, side: Side, event: Data) -> None:
        """Bytes that begin no message: a body that should not be there, another protocol, or we are lost."""
        if not side.response:
            old = request_way(side.data[side.pos :]) if side.head is None else None
            asked = isinstance(side.head, Request) and (side.head.switches or side.held is not None)
            if asked:
                side.held = []
                side.step = Parser._hold
            elif old is None or not old.findings:
                side.step = Parser._lost
                side.pos = len(side.data)
        elif side.head is None and self.origin.flow.midstream:
            side.step = Parser._lost
            side.pos = len(side.data)
        else:
            self._doubt(side, side.head)

    def _message(self, side: Side, head: Head, event: Data) -> None:
        side.head = head
        side.spent = False
        if isinstance(head, Request):
            self._ask(side, head)
            kind, length = framing(head.fields, head.version, "none")
        else:
            kind, length = self._answer(head)
            if self._switches(head):
                self._switch(side, event)
                return
        if kind == "length":
            self._by_length(side, head, length, event)
        elif kind == "chunked":
            side.body = Body(self.origin, head, side.direction)
            side.chunks = Chunks()
            side.step = Parser._chunked
        elif kind == "close":
            side.body = Body(self.origin, head, side.direction)
            side.step = Parser._until_close
        elif kind == "doubtful":
            side.step = Parser._collect
            side.kept = Kept(self.origin.memory)
            if b"chunked" in head.fields.get(b"transfer-encoding", b"").lower():
                side.chunks = Chunks()

    # Pairs

    def _ask(self, side: Side, request: Request) -> None:
        if self._early:
            self._early -= 1
        elif len(self._waiting) < self.origin.limits.pending_requests:
            self._waiting.append(request)
        else:
            self.origin.memory.counters["pending_requests"] += 1
        if request.method == b"CONNECT":
            side.held = []
            side.step = Parser._hold

    def _answer(self, response: Response) -> tuple[Framing, int]:
        """Pairs a response with its request; how its body ends (RFC 9112, section 6.3)."""
        self._pair(response)
        status, request = response.status, response.request
        if status < 200 or status == 204 or status == 304:
            return "none", 0
        if request is not None and request.method == b"HEAD":
            return "none", 0
        return framing(response.fields, response.version, "close")

    def _pair(self, response: Response) -> None:
        interim = 100 <= response.status < 200 and response.status != 101
        if self._waiting:
            response.request = self._waiting[0] if interim else self._waiting.popleft()
        elif not interim and not self.origin.flow.midstream:
            self._early += 1

    def _switches(self, response: Response) -> bool:
        """RFC 9110, sections 7.8 and 9.3.6."""
        request = response.request
        if response.status == 101:
            return b"upgrade" in response.fields or (request is not None and request.switches)
        return request is not None and request.method == b"CONNECT" and 200 <= response.status < 300

    def _switch(self, side: Side, event: Data) -> None:
        other = self._sides[1 - side.direction]
        rest = list(other.held or ())
        if other.buffer:
            rest.append(Data(other.direction, bytes(other.buffer), event.began, event.time))
        if side.pos < len(side.data):
            rest.append(Data(side.direction, side.data[side.pos :], event.began, event.time))
        side.pos = len(side.data)
        self._switched = True
        self._out.append(Switch(tuple(rest)))

    def _hold(self, side: Side, event: Data) -> None:
        """After a request to switch: what comes belongs to the other protocol if the answer is yes."""
        assert side.held is not None
        other = self._sides[1 - side.direction]
        answered = not self._waiting and not self._early
        if answered and other.head is not None:
            side.held, held = None, side.held
            side.step = Parser._start
            if held:
                side.data = b"".join(data.payload for data in held) + side.data[side.pos :]
                side.pos = 0
            return
        side.held.append(Data(side.direction, side.data[side.pos :], event.began, event.time))
        side.pos = len(side.data)
        if sum(len(data.payload) for data in side.held) > self.origin.limits.undecided_bytes:
            self._switched = True
            self._out.append(Switch(tuple(side.held)))

    # Bodies

    def _by_length(self, side: Side, head: Head, length: int, event: Data) -> None:
        body = Body(self.origin, head, side.direction)
        data, pos = side.data, side.pos
        end = pos + length
        if end > len(data):
            side.body = body
            side.left = length
            side.step = Parser._length
            return
        side.pos = end
        side.spent = True
        body.write(data[pos:end], event.began)
        self._out += body.finish(event.time, None)
        if side.response and end < len(data) and not may_begin(data, end, True) and data[end] not in b"\r\n":
            side.pos = pos  # for clients that read on
            self._doubt(side, head)

    def _length(self, side: Side, event: Data) -> None:
        assert side.body is not None
        data, pos = side.data, side.pos
        end = min(pos + side.left, len(data))
        side.body.write(data[pos:end] if pos or end < len(data) else data, event.began)
        side.left -= end - pos
        side.pos = end
        if side.body.parts is not None:
            self._out += side.body.parts.take()
        if not side.left:
            self._over(side, event.time, None)

    def _until_close(self, side: Side, event: Data) -> None:
        assert side.body is not None
        side.body.write(side.data[side.pos :] if side.pos else side.data, event.began)
        side.pos = len(side.data)
        if side.body.parts is not None:
            self._out += side.body.parts.take()

    def _chunked(self, side: Side, event: Data) -> None:
        assert side.body is not None
        assert side.chunks is not None
        pieces: list[bytes] = []
        start = side.pos
        side.pos = side.chunks.feed(side.data, start, pieces)
        if pieces:
            side.body.write(pieces[0] if len(pieces) == 1 else b"".join(pieces), event.began)
        if side.chunks.done:
            self._over(side, event.time, None)
            return
        if side.kept is None:
            side.kept = Kept(self.origin.memory)
        side.kept.add(side.data[start:])
        side.pos = len(side.data)
        if side.chunks.odd:
            self._bad_chunk(side, event)

    def _bad_chunk(self, side: Side, event: Data) -> None:
        assert side.body is not None
        assert side.kept is not None
        side.chunks = None
        if side.kept.whole:
            side.body.drop()
            side.body = None
            side.step = Parser._collect
        else:
            side.body.findings.append("http.invalid_chunk")
            self._over(side, event.time, "limit:reread_bytes")
            side.step = Parser._lost

    def _over(self, side: Side, time: int, cut: str | None) -> None:
        side.spent = True
        if side.body is not None:
            self._out += side.body.finish(time, cut)
        side.reset(Parser._start)

    # Doubt

    def _doubt(self, side: Side, head: Head | None) -> None:
        """From here on everything is kept until the message is over, then read again."""
        side.head = head
        side.kept = Kept(self.origin.memory)
        side.chunks = None
        side.step = Parser._collect
        side.doubts += 1
        if side.doubts > self.origin.limits.doubtful_messages:
            self.origin.memory.counters["doubtful_messages"] += 1
            side.reset(Parser._lost)
            side.pos = len(side.data)

    def _collect(self, side: Side, event: Data) -> None:
        assert side.kept is not None
        data, pos = side.data, side.pos
        if pos == 0 and side.kept.size and begins(data, 0, side.response):
            self._settle(side, event, None)
            return
        end = len(data)
        if side.chunks is not None:
            end = side.chunks.feed(data, pos, [])
            if side.chunks.odd:
                side.chunks, end = None, len(data)
        side.kept.add(data[pos:end])
        side.pos = end
        if side.chunks is not None and side.chunks.done:
            self._settle(side, event, None)
        elif not side.kept.whole:
            self._too_long(side, event, data[pos:])

    def _settle(self, side: Side, event: Data, ended: str | None) -> None:
        """The message is over: an object for each reading, and what the likeliest leaves is read on."""
        assert side.kept is not None
        raw = side.kept.take()
        if side.head is not None and side.spent:
            found = after_message(raw, side.head, ended)
        else:
            found = readings(raw, side.head, ended)
        if side.head is None and found:
            self._pair_readings([reading.head for reading in found])
        self._out += objects_of(found, self.origin, side.direction, event)
        end = found[0].end if found else len(raw)
        side.head = found[0].head if found else side.head
        side.spent = True
        side.reset(Parser._start)
        rest = raw[end:].lstrip(b"\r\n")
        if begins(rest, 0, side.response):
            side.data = rest + side.data[side.pos :]
            side.pos = 0

    def _pair_readings(self, heads: list[Head]) -> None:
        first = heads[0]
        assert isinstance(first, Response)
        self._pair(first)
        for head in heads:
            if isinstance(head, Response):
                head.request = first.request

    def _too_long(self, side: Side, event: Data, last: bytes) -> None:
        """More than is kept to be read again: the rest is taken as it comes, and nothing is known of it."""
        self.origin.memory.counters["reread_bytes"] += 1
        head = side.head or Response(0, "", {}, ["http.malformed_head"])
        body = Body(self.origin, head, side.direction)
        body.findings.append("http.ambiguous_framing")
        side.reset(Parser._until_close)
        side.body = body
        body.write(last, event.began)

    # Trouble

    def _lost(self, side: Side, event: Data) -> None:
        """Somewhere in the stream: goes on where bytes that arrive begin with a message."""
        if side.pos == 0 and begins(side.data, 0, side.response):
            side.step = Parser._start
            return
        side.pos = len(side.data)

    def _gap(self, side: Side, event: Gap) -> None:
        body = side.body
        if body is None:
            if side.kept is not None:
                self._settle(side, Data(side.direction, b"", event.time, event.time), "gap")
            side.reset(Parser._lost)
            return
        if side.chunks is not None:
            self._gap_in_chunks(side, side.chunks, body, event)
            return
        known = side.step is Parser._length
        body.gap(min(event.length, side.left) if known else event.length, event.time)
        side.left -= event.length
        if known and side.left <= 0:
            exact = not side.left
            self._over(side, event.time, None)
            side.step = Parser._start if exact else Parser._lost

    def _gap_in_chunks(self, side: Side, chunks: Chunks, body: Body, event: Gap) -> None:
        body.gap(event.length, event.time)
        if side.kept is not None:
            side.kept.drop()
            side.kept.whole = False
        if not chunks.skip(event.length):
            side.step = Parser._find_chunk

    def _find_chunk(self, side: Side, event: Data) -> None:
        """In a chunked body after a gap: goes on at what looks like the next chunk."""
        assert side.body is not None
        if side.pos == 0 and begins(side.data, 0, side.response):
            self._over(side, event.time, "gap")
            return
        found = next_chunk(side.data, side.pos)
        if found is None:
            side.body.write(side.data[side.pos :], event.began)
            side.pos = len(side.data)
            return
        side.body.write(side.data[side.pos : found[0]], event.began)
        side.pos = found[1]
        side.chunks = Chunks()
        side.step = Parser._chunked

    # The end

    def close(self, event: Close) -> list[Emitted]:
        """One direction has ended; gives what was still open there."""
        out: list[Emitted] = []
        self._out = out
        side = self._sides[event.direction]
        if self._switched or side.ended:
            return out
        side.ended = True
        self._end(side, event.how, Data(event.direction, b"", event.time, event.time))
        side.reset(Parser._lost)
        return out

    def _end(self, side: Side, how: CloseHow, event: Data) -> None:
        cut = None if how == "fin" else how
        if side.chunks is not None and side.chunks.stuck and side.kept is not None and side.body is not None:
            self._bad_chunk(side, event)
        if side.buffer and side.response:
            side.kept = Kept(self.origin.memory)
            side.kept.add(bytes(side.buffer))
            side.head = None
        while side.kept is not None and side.body is None:
            side.data = b""
            self._settle(side, event, cut)
            while side.pos < len(side.data):
                side.step(self, side, event)
        if side.body is not None:
            self._over(side, event.time, cut if side.step is Parser._until_close else how)

"""Steps at the start of messages and in their heads: the well-formed ones at once, the others with patience.

RFC 9112, sections 2 to 5.
"""

from __future__ import annotations

import re

from reassembly.events import Data, Switch
from reassembly.http.bodies import by_length, chunked, until_close
from reassembly.http.body import Body, behind, whole_body
from reassembly.http.broken import more_fields, patient, request_way
from reassembly.http.chunked import Chunks, unchunked
from reassembly.http.doubt import doubt
from reassembly.http.exchange import switches
from reassembly.http.head import (
    Framing,
    Head,
    Request,
    Response,
    doubts,
    framing,
    has_room,
    parse_request,
    parse_response,
    size_of,
    unframed,
)
from reassembly.http.side import Side
from reassembly.http.start import may_begin
from reassembly.http.unasked import answers_head, first_bytes
from reassembly.partial import Partial

_BLANK = re.compile(rb"\n[ \t\v\f\r\0]*\n")  # the end of a head, for some client
_JUNK = b"\0 "  # passed over before a request
_LARGE = 8 << 10  # of a head: smaller ones need no room
_DATA_COST = 128  # what a piece of held data costs beyond its bytes


def start(side: Side, event: Data) -> None:
    """At the start of a message, or in its head."""
    if side.buffer is not None and not _buffered(side, side.buffer):
        return
    data, pos = side.data, side.pos
    end = data.find(b"\r\n\r\n", pos)
    if end >= 0:
        head = data[pos:end]
        parsed = parse_response(head) if side.response else parse_request(head)
        if parsed is not None and not (side.response and unframed(parsed) and more_fields(data, end + 4)):
            side.pos = end + 4
            _message(side, parsed, event)
            return
    _unclear(side, event)


def _buffered(side: Side, buffer: Partial) -> bool:
    """Adds to the head that is not whole yet; whether there is now something to look at."""
    buffer += side.rest()
    if may_begin(bytes(buffer[:33]), 0, side.response) and not _BLANK.search(buffer, max(side.scanned - 64, 0)):
        _unfinished(side, buffer)
        return False
    side.data = bytes(buffer)
    side.pos = 0
    side.buffer = None
    return True


def _unfinished(side: Side, buffer: Partial) -> None:
    side.buffer = buffer
    side.scanned = len(buffer)
    if side.scanned > side.origin.limits.header_bytes:
        side.origin.memory.counters["header_bytes"] += 1
        side.lose()
    elif buffer.full:
        side.lose()


def _unclear(side: Side, event: Data) -> None:
    """No well-formed head here: not whole yet, not well-formed, or no head at all."""
    data, pos = side.data, side.pos
    while pos < len(data) and data[pos] in b"\r\n":
        pos += 1  # RFC 9112, section 2.2: empty lines before a message are ignored
    side.pos = pos
    if pos == len(data):
        return
    if not may_begin(data, pos, side.response):
        _no_message(side)
        return
    blank = _BLANK.search(data, pos)
    if blank is None:
        _unfinished(side, Partial(side.origin, side.rest()))
        return
    parsed = patient(data[pos : blank.start()], blank[0], side.response)
    if parsed is not None and not more_fields(data, blank.end()):
        side.pos = blank.end()
        _message(side, parsed, event)
    else:
        _malformed(side, blank.end(), event)


def _malformed(side: Side, end: int, event: Data) -> None:
    if side.response:
        doubt(side, None)
        return
    request = request_way(side.data[side.pos : end])
    side.pos = end
    if request is None:
        side.lose()
    else:
        _message(side, request, event)


def _no_message(side: Side) -> None:
    """Bytes that begin no message: a body that should not be there, another protocol, or we are lost."""
    if side.response:
        if side.head is None and side.origin.flow.midstream:
            side.lose()
        else:
            doubt(side, side.head)
    elif isinstance(side.head, Request) and side.head.switches:
        side.held = []
        side.step = hold
    elif side.data[side.pos] in _JUNK and side.head is None:
        side.pos += 1
    elif side.head is not None:
        doubt(side, side.head)
        side.spent = True  # no request has a body without a length, but some clients send one
    else:
        side.lose()


def _message(side: Side, head: Head, event: Data) -> None:
    if side.pos > _LARGE and size_of(head) > _LARGE and not has_room(head, side.origin):
        head.shorten()
    side.head = head
    side.spent = False
    exchange = side.exchange
    if len(head.fields) > side.origin.limits.header_lines:
        side.origin.memory.counters["header_lines"] += 1
        head.findings.append("http.too_many_fields")
    if isinstance(head, Request):
        exchange.ask(head)
        if head.method == b"CONNECT":
            side.held = []
            side.step = hold
        kind, length = framing(head.fields, head.version, "none")
    else:
        exchange.pair(head)
        if (head.status == 101 or (head.request is not None and head.request.switches)) and switches(head):
            exchange.switched = True
            return
        kind, length = _answer_framing(head)
    if kind != "none":
        _begin_body(side, head, kind, length, event)


def _answer_framing(response: Response) -> tuple[Framing, int]:
    """How the body of a response ends (RFC 9112, section 6.3)."""
    status, request = response.status, response.request
    if status < 200 or status == 204 or status == 304:
        return "none", 0
    if request is not None and request.method == b"HEAD":
        return "none", 0
    return framing(response.fields, response.version, "close")


def _begin_body(side: Side, head: Head, kind: Framing, length: int, event: Data) -> None:
    """The head is over: what follows is its body, if it has one."""
    if kind == "length":
        _begin_length(side, head, length, event)
    elif kind == "chunked":
        _begin_chunked(side, head, event)
    elif kind == "close":
        side.body = Body(side.origin, head, side.direction)
        side.step = until_close
    elif kind == "doubtful":
        head.findings += doubts(head.fields, head.version)
        doubt(side, head)
        if b"chunked" in head.fields.get(b"transfer-encoding", b"").lower():
            side.chunks = Chunks()


def _begin_length(side: Side, head: Head, length: int, event: Data) -> None:
    data, pos = side.data, side.pos
    end = pos + length
    if answers_head(head, data, pos):
        return
    if end > len(data):
        side.body = Body(side.origin, head, side.direction)
        side.left = length
        side.step = first_bytes if isinstance(head, Response) and head.request is None else by_length
        return
    side.pos = end
    side.spent = True
    body = behind(data, pos) if end == len(data) else data[pos:end]
    side.exchange.out += whole_body(side.origin, head, side.direction, body, event)
    if side.response and end < len(data) and not may_begin(data, end, True) and data[end] not in b"\r\n":
        side.pos = pos  # for clients that read on
        doubt(side, head)


def _begin_chunked(side: Side, head: Head, event: Data) -> None:
    whole = unchunked(side.data, side.pos)
    if whole is None:
        side.body = Body(side.origin, head, side.direction)
        side.chunks = Chunks()
        side.step = chunked
        return
    body, side.pos = whole
    side.spent = True
    if body:
        side.exchange.out += whole_body(side.origin, head, side.direction, body, event)


def hold(side: Side, event: Data) -> None:
    """After a request to switch: what comes belongs to the other protocol if the answer is yes."""
    held = side.held or []
    side.held = held
    if side.exchange.refused():
        side.held = side.holds = None
        side.step = start
        if isinstance(side.head, Request):
            side.head.switches = False
        side.data = b"".join(data.payload for data in held) + side.rest()
        side.pos = 0
        return
    held.append(Data(side.direction, side.rest(), event.began, event.time))
    size = sum(len(data.payload) + _DATA_COST for data in held)
    if side.holds is None:
        side.holds = Partial(side.origin)
    side.holds.hold(size)
    if size > side.origin.limits.undecided_bytes or side.holds.full:
        side.exchange.switched = True


def switch(side: Side, other: Side, event: Data) -> Switch:
    """What the next protocol is to be fed: what the other direction held back, and the rest of this one."""
    rest = [*(side.held or ()), *(other.held or ())]
    if other.buffer:
        rest.append(Data(other.direction, bytes(other.buffer), event.began, event.time))
    if side.pos < len(side.data):
        rest.append(Data(side.direction, side.rest(), event.began, event.time))
    return Switch(tuple(rest))

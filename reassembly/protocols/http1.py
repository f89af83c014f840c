"""HTTP/1 on one flow: finds messages, pairs responses with requests, and makes an object of each body.

After the flow table, before the builder. RFC 9112. What is strictly right takes a short way; what isn't is kept until
it is over and then read in every way that clients are known to read it. The steps are in `reassembly.http`.
"""

from __future__ import annotations

from typing import cast

from reassembly.builder import Origin
from reassembly.events import ORIG, RESP, Close, Data, Gap
from reassembly.http.bodies import by_length, odd_chunk, over, until_close
from reassembly.http.doubt import collect, settle
from reassembly.http.exchange import NOTHING, Exchange
from reassembly.http.gaps import gap
from reassembly.http.messages import start as first_step
from reassembly.http.messages import switch
from reassembly.http.ranges import cut_short, joined
from reassembly.http.side import Kept, Side
from reassembly.http.start import odd_request, request_start, response_start
from reassembly.http.straight import exchanges
from reassembly.http.unasked import first_bytes, settle_first
from reassembly.objects import Object
from reassembly.protocols import Answer, Emitted

NAME = "http"
PORTS = frozenset((80, 81, 591, 3000, 3128, 5000, 5985, 7001, 8000, 8001, 8008, 8080, 8081, 8088, 8090, 8118, 8888))

_PREFACE = b"PRI * HTTP/2."  # imitates a request on purpose: RFC 9113, section 3.4


def probe(orig: bytes, resp: bytes) -> Answer:
    """Whether a flow whose directions begin with these bytes is HTTP/1; either may be the one with the requests."""
    if orig.startswith(_PREFACE):
        return Answer.NO
    if request_start(orig):
        return Answer.YES
    said = [start(head) for head in (resp, orig) if head for start in (response_start, request_start)]
    if True in said:
        return Answer.YES
    return Answer.MORE if None in said or not said or (not resp and odd_request(orig)) else Answer.NO


def whole(origin: Origin, turns: list[Data]) -> list[Object] | None:
    """The objects of a conversation of which no more was said, if it is by the book; None: it takes a `Parser`."""
    return exchanges(origin, turns)


class Parser:
    """The reader of one flow."""

    __slots__ = ("_exchange", "_known", "_sides")

    def __init__(self, origin: Origin) -> None:
        self._exchange = exchange = Exchange(origin)
        self._sides = (Side(ORIG, exchange, first_step, collect), Side(RESP, exchange, first_step, collect))
        self._known = False  # which direction brings the responses

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Takes the next bytes, or the news that bytes are missing; gives what is complete now."""
        exchange = self._exchange
        if exchange.switched:
            return []
        exchange.out = out = cast("list[Emitted]", [])
        side = self._sides[event.direction]
        if isinstance(event, Gap):
            gap(side, event)
        else:
            self._read(side, event)
        exchange.out = NOTHING
        return self._with_joined(out) if exchange.ranged and out else out

    def _read(self, side: Side, event: Data) -> None:
        exchange = self._exchange
        if not self._known:
            self._roles(event)
        side.data = event.payload
        side.pos = 0
        while side.pos < len(side.data):
            side.step(side, event)
            if exchange.switched:
                exchange.out.append(switch(side, self._sides[1 - event.direction], event))
                for one in self._sides:
                    over(one, event.time, "fin")
        side.data = b""

    def slim(self) -> None:
        """The flow is silent."""
        for side in self._sides:
            side.slim()

    def _with_joined(self, out: list[Emitted]) -> list[Emitted]:
        """Behind each range the file that is whole with it."""
        origin, more = self._exchange.origin, cast("list[Emitted]", [])
        for one in out:
            more.append(one)
            if isinstance(one, Object):
                more += joined(origin, one)
        return more

    def _roles(self, event: Data) -> None:
        """A flow that was picked up in its middle may have the responses in the direction of the originator."""
        self._known = True
        answers = response_start(event.payload)
        asks = not answers and event.direction == RESP and request_start(event.payload)
        self._sides[event.direction if answers else ORIG if asks else RESP].response = True

    def close(self, event: Close) -> list[Emitted]:
        """One direction has ended; gives what was still open there."""
        exchange, side = self._exchange, self._sides[event.direction]
        if exchange.switched or side.ended:
            return []
        exchange.out = out = cast("list[Emitted]", [])
        side.ended = True
        if side.body is not None or side.kept is not None or side.buffer is not None:
            self._end(side, event, Data(event.direction, b"", event.time, event.time))
            side.lose()
        exchange.out = NOTHING
        return self._with_joined(out) if exchange.ranged else out

    def _end(self, side: Side, event: Close, last: Data) -> None:
        cut = None if event.how == "fin" else event.how
        if side.step is first_bytes:
            settle_first(side, event.time)
        if side.chunks is not None and side.chunks.stuck and side.kept is not None and side.body is not None:
            odd_chunk(side, last)
        if side.buffer and side.response:
            side.kept = Kept(side.origin.memory)
            side.kept.add(bytes(side.buffer))
            side.head = None
        while side.kept is not None and side.body is None:
            side.data = b""
            side.pos = 0
            settle(side, last, cut)
            while side.pos < len(side.data):
                side.step(side, last)
        if side.body is not None:
            self._end_body(side, event.time, cut if side.step is until_close else event.how)

    def _end_body(self, side: Side, time: int, cut: str | None) -> None:
        left = side.left if side.step is by_length and side.response else 0
        out = side.exchange.out
        begun = len(out)
        over(side, time, cut)
        if left:
            out += cut_short(side.origin, [one for one in out[begun:] if isinstance(one, Object)], left)

"""Missing bytes in an HTTP/1 flow: goes on at the right place where that is known.

Else at the next message; what comes before it is an object without a head.
"""

from __future__ import annotations

from reassembly.events import Data, Gap
from reassembly.http.astray import astray, gap_astray, go_astray
from reassembly.http.bodies import by_length, find_chunk, over
from reassembly.http.body import Body
from reassembly.http.doubt import settle
from reassembly.http.side import Side
from reassembly.http.unasked import first_bytes, settle_first


def gap(side: Side, event: Gap) -> None:
    """Bytes are missing."""
    if side.step is first_bytes:
        settle_first(side, event.time)
    body = side.body
    if body is None and side.buffer is not None and event.length < side.origin.limits.header_bytes:
        side.buffer.append(0)  # makes the head odd, so that it is read with patience
        side.holed = True
    elif body is None and side.held is not None:
        return  # what is held for another protocol is its own affair
    elif body is None:
        seen = side.kept is not None
        if seen:
            settle(side, Data(side.direction, b"", event.time, event.time), "gap")
        go_astray(side, event.length, not seen)
    elif side.step is astray:
        gap_astray(side, event)
    elif side.chunks is not None or side.step is find_chunk:
        _gap_in_chunks(side, body, event)
    elif side.step is by_length:
        _gap_in_length(side, body, event)
    else:
        body.gap(event.length, event.time)


def _gap_in_length(side: Side, body: Body, event: Gap) -> None:
    body.gap(min(event.length, side.left), event.time)
    side.left -= event.length
    if side.left <= 0:
        beyond = -side.left
        over(side, event.time, None)
        if beyond:
            go_astray(side, beyond, True)


def _gap_in_chunks(side: Side, body: Body, event: Gap) -> None:
    body.gap(event.length, event.time)
    if side.kept is not None:
        side.kept.drop()
        side.kept.whole = False
    if side.chunks is None or not side.chunks.skip(event.length):
        side.chunks = None
        side.step = find_chunk

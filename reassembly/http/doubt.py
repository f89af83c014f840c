"""Steps in messages in doubt: all is kept until the message is over, then read in every way (`readings`).

It is over with the stream, at bytes that surely begin the next message, or when more came than is kept.
"""

from __future__ import annotations

from reassembly.events import Data
from reassembly.http.bodies import by_length, chunked, until_close
from reassembly.http.body import Body, objects_of
from reassembly.http.chunked import Chunks
from reassembly.http.head import Head, Response
from reassembly.http.readings import Reading, after_message, readings
from reassembly.http.side import Kept, Side
from reassembly.http.start import begins


def doubt(side: Side, head: Head | None) -> None:
    """From here on everything is kept. `head`: the one before, None where the head itself is in doubt."""
    side.doubts += 1
    if side.doubts > side.origin.limits.doubtful_messages:
        side.origin.memory.counters["doubtful_messages"] += 1
        side.lose()
        return
    side.reset()
    side.head = head
    side.kept = Kept(side.origin.memory)
    side.chunks = None
    side.step = collect


def collect(side: Side, event: Data) -> None:
    """In a message in doubt."""
    assert side.kept is not None
    data, pos = side.data, side.pos
    if pos == 0 and side.kept.bytes and begins(data, 0, side.response):
        settle(side, event, None)
        return
    end = len(data)
    if side.chunks is not None:
        end = side.chunks.feed(data, pos, [])
        if side.chunks.odd:
            side.chunks, end = None, len(data)
    side.pos = end
    piece = data[pos:end] if pos or end < len(data) else data
    if not side.kept.has_room(piece):
        _too_long(side, event, piece)
        return
    side.kept.add(piece)
    if side.chunks is not None and side.chunks.done:
        settle(side, event, None)


def settle(side: Side, event: Data, ended: str | None) -> None:
    """The message is over: an object for each reading, and what the likeliest one leaves is read on.

    `ended`: why the bytes stop, None where that is in order.
    """
    assert side.kept is not None
    raw = side.kept.take()
    found = _readings(side, raw, ended or ("gap" if side.holed else None), False)
    side.exchange.out += objects_of(found, side.origin, side.direction, event)
    end = found[0].end if found else len(raw)
    side.reset()
    rest = raw[end:].lstrip(b"\r\n")
    if begins(rest, 0, side.response):
        side.data = rest + side.data[side.pos :]
        side.pos = 0


def _readings(side: Side, raw: bytes, ended: str | None, live: bool) -> list[Reading]:
    if side.head is not None and side.spent:
        return after_message(raw, side.head, ended)
    found = readings(raw, side.head, ended, live)
    if side.head is None and found:
        _pair([reading.head for reading in found], side)
        side.head = found[0].head
    side.spent = True
    return found


def _pair(heads: list[Head], side: Side) -> None:
    first = heads[0]
    assert isinstance(first, Response)
    side.exchange.pair(first)
    for head in heads:
        if isinstance(head, Response):
            head.request = first.request


def _too_long(side: Side, event: Data, last: bytes) -> None:
    """More than is kept: the likeliest reading of what is there goes on as it comes."""
    side.origin.memory.counters["reread_bytes"] += 1
    assert side.kept is not None
    raw = side.kept.take() + last
    found = _readings(side, raw, None, True)
    best = found[0] if found else None
    if best is None or best.ended:
        side.exchange.out += objects_of(found, side.origin, side.direction, event)
        side.lose()
        return
    body = Body(side.origin, best.head, side.direction)
    body.findings += [*best.findings, "http.ambiguous_framing"]
    side.reset()
    side.body = body
    side.spent = False
    _go_on(side, best, raw, event)


def _go_on(side: Side, best: Reading, raw: bytes, event: Data) -> None:
    assert side.body is not None
    chunks = Chunks()
    pieces: list[bytes] = []
    if best.framing == "chunked":
        chunks.feed(raw, best.start, pieces)
    if best.framing == "chunked" and not chunks.odd and not chunks.done:
        side.chunks = chunks
        side.kept = Kept(side.origin.memory)
        side.kept.whole = False
        side.step = chunked
    elif best.framing == "length":
        side.left = best.left
        side.step = by_length
    else:
        side.step = until_close
    side.body.write(b"".join(pieces) if side.chunks is not None else best.body, event.began)

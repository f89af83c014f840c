"""Steps in the bodies of messages whose framing is clear: by length, chunked, to the end of the stream.

RFC 9112, sections 6 and 7.
"""

from __future__ import annotations

from reassembly.events import Data
from reassembly.http.chunked import Chunks, next_chunk
from reassembly.http.side import Kept, Side
from reassembly.http.start import begins


def by_length(side: Side, event: Data) -> None:
    """In a body of known length."""
    assert side.body is not None
    data, pos = side.data, side.pos
    end = min(pos + side.left, len(data))
    _write(side, data[pos:end] if pos or end < len(data) else data, event)
    side.left -= end - pos
    side.pos = end
    if not side.left:
        over(side, event.time, None)


def until_close(side: Side, event: Data) -> None:
    """In a body that ends with the stream."""
    _write(side, side.rest(), event)


def chunked(side: Side, event: Data) -> None:
    """In a chunked body, which is kept while it is small: it may turn out to be none."""
    assert side.chunks is not None
    pieces: list[bytes] = []
    start = side.pos
    side.pos = side.chunks.feed(side.data, start, pieces)
    if pieces:
        _write(side, pieces[0] if len(pieces) == 1 else b"".join(pieces), event)
    if side.chunks.done:
        over(side, event.time, None)
        return
    if side.kept is None:
        side.kept = Kept(side.origin.memory)
    side.kept.add(side.data[start:] if start else side.data)
    side.pos = len(side.data)
    if side.chunks.odd:
        odd_chunk(side, event)


def odd_chunk(side: Side, event: Data) -> None:
    """The chunks are not as they should be: reads all of them again, if they are still there."""
    assert side.body is not None
    assert side.kept is not None
    side.chunks = None
    if side.kept.whole:
        side.body.drop()
        side.body = None
        side.step = side.again
    else:
        side.body.findings.append("http.invalid_chunk")
        over(side, event.time, "limit:reread_bytes")
        side.lose()


def over(side: Side, time: int, cut: str | None) -> None:
    """The body is over."""
    side.spent = True
    body, side.body = side.body, None
    if body is not None:
        side.exchange.out += body.finish(time, cut)
    side.reset()


def _write(side: Side, data: bytes, event: Data) -> None:
    body = side.body
    assert body is not None
    body.write(data, event.began)
    if body.parts is not None:
        side.exchange.out += body.parts.take()


def find_chunk(side: Side, event: Data) -> None:
    """In a chunked body after a gap: goes on at what looks like the next chunk."""
    if side.pos == 0 and begins(side.data, 0, side.response):
        over(side, event.time, "gap")
        return
    found = next_chunk(side.data, side.pos)
    if found is None:
        _write(side, side.rest(), event)
        return
    _write(side, side.data[side.pos : found[0]], event)
    side.pos = found[1]
    side.chunks = Chunks()
    side.step = chunked

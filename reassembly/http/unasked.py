"""A response whose request was not seen may have answered HEAD: then it has no body, whatever its fields say.

RFC 9110, section 9.3.2: "The server SHOULD send the same header fields in response to a HEAD request as it would have
sent if the request method had been GET." The next response, where the body should begin, gives it away.
"""

from __future__ import annotations

from reassembly.events import Data
from reassembly.http.bodies import by_length
from reassembly.http.head import Head, Response
from reassembly.http.side import Side

_NEXT = b"HTTP/1."


def answers_head(head: Head, data: bytes, pos: int) -> bool:
    """Whether another response begins at `pos`, where the body of this one should."""
    return isinstance(head, Response) and head.request is None and data.startswith(_NEXT, pos)


def first_bytes(side: Side, event: Data) -> None:
    """Where a body of known length should begin, if nobody asked for it."""
    held, side.held = side.held, None
    data = b"".join(one.payload for one in held or ()) + side.rest()
    if len(data) < min(len(_NEXT), side.left) and _NEXT.startswith(data):
        side.held = [Data(side.direction, data, event.began, event.time)]
        return
    side.data, side.pos = data, 0
    if data.startswith(_NEXT):
        side.reset()
    else:
        side.step = by_length


def settle_first(side: Side, time: int) -> None:
    """What was held of the first bytes is body: nothing follows that could tell."""
    held, side.held = side.held, None
    side.step = by_length
    for one in held or ():
        side.data, side.pos = one.payload, 0
        by_length(side, Data(side.direction, b"", one.began, time))
    side.data, side.pos = b"", 0

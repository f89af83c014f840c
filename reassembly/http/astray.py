"""Bytes of a message whose head was lost: they may be the rest of a page or a file, so they become an object.

Where they begin in it is a guess, as long as the hole before them. They end where bytes that arrive begin a message.
"""

from __future__ import annotations

import re

from reassembly.events import Data, Gap
from reassembly.http.bodies import find_chunk, over, until_close
from reassembly.http.body import Body
from reassembly.http.chunked import next_chunk
from reassembly.http.head import Head, Request, Response
from reassembly.http.side import Kept, Side
from reassembly.http.start import begins

_REST_OF_HEAD = re.compile(rb"[^\r\n]*\r?\n(?:[!-9;-~]+:[^\r\n]*\r?\n)+\r?\n")  # in a line, and a field or more


def go_astray(side: Side, length: int, answers: bool) -> None:
    """`length` missing bytes took a head with them. `answers`: of a response that no one has seen the head of yet."""
    side.lose()
    side.head = _unseen(side, answers)
    side.body = Body(side.origin, side.head, side.direction)
    side.left = length
    side.step = astray


def _unseen(side: Side, answers: bool) -> Head:
    findings = ["http.no_head"]
    if not side.response:
        request = Request(b"", b"", "", {}, findings)
        request.facts = {}
        return request
    head = Response(0, "", {}, findings)
    if answers and side.exchange.waiting:
        side.exchange.pair(head)
    return head


def astray(side: Side, event: Data) -> None:
    """Somewhere in a message."""
    if side.pos == 0 and begins(side.data, 0, side.response):
        over(side, event.time, "gap")
        return
    assert side.body is not None
    if side.left:
        side.body.gap(side.left, event.began)
        side.left = 0
        if rest := _REST_OF_HEAD.match(side.data, side.pos):
            side.pos = rest.end()
    if next_chunk(side.data, side.pos) is not None:
        side.kept = Kept(side.origin.memory)
        side.kept.whole = False
        side.step = find_chunk
        return
    until_close(side, event)


def gap_astray(side: Side, event: Gap) -> None:
    """More bytes are missing there."""
    assert side.body is not None
    if side.left:
        side.left += event.length
    else:
        side.body.gap(event.length, event.time)

"""A file whose ranges came in several responses, as one object: downloads that were resumed, or came side by side.

RFC 9110, section 15.3.7.3: partial responses "MAY" be combined if they share a validator. Who wants to hide a file need
not keep to it, so what counts here is the same URL of the same server for the same client, and the same size. Other
connections' ranges count where the same process reads them.
"""

from __future__ import annotations

import re

from reassembly.builder import Origin
from reassembly.objects import Object

_RANGE = re.compile(r"\s*bytes\s+(\d{1,18})-(\d{1,18})/(\d{1,18})\s*", re.IGNORECASE)
_FACT = "tapscan.http.range"
_CHUNK = 1 << 20


def joined(origin: Origin, piece: Object) -> list[Object]:
    """The whole file, if `piece` is a range of it and the last that was missing."""
    match = _RANGE.fullmatch(str((piece.facts or {}).get(_FACT, "")))
    if match is None:
        return []
    begin, last, total = map(int, match.groups())
    if not begin <= last < total or not 0 < piece.size <= last + 1 - begin:
        return []
    return _joined(origin, piece, begin, total)


def cut_short(origin: Origin, begun: list[Object], left: int) -> list[Object]:
    """The same for a response that ends `left` bytes before it should: the rest may come as a range."""
    return _joined(origin, begun[0], 0, begun[0].size + left) if begun and begun[0].size else []


def _joined(origin: Origin, piece: Object, begin: int, total: int) -> list[Object]:
    facts = dict(piece.facts or {})
    url = facts.get("url.full")
    # A range is one of the coded bytes, not of those that come out.
    if url is None or piece.codings or piece.missing or piece.size == total:
        return []
    key = (piece.flow.capture, piece.flow.orig_ip, piece.flow.resp_ip, url, total)
    whole = origin.memory.pieces.add(key, begin, total, piece.content)
    if whole is None:
        return []
    facts.pop(_FACT, None)
    builder = origin.open(
        piece.direction, piece.kind, piece.protocol, piece.began, name=piece.name, declared_type=piece.declared_type
    )
    builder.facts = facts
    builder.find("http.joined_ranges")
    with whole:
        while chunk := whole.read(_CHUNK):
            builder.write(chunk)
    return [builder.finish(piece.time)]

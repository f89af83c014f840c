"""Messages by the book: a turn that is one whole request, or one whole response and nothing behind it.

The short way of `reassembly.protocols.http1`: what is not entirely clear gives None, and is read step by step.
RFC 9112, section 6.
"""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import ORIG, RESP, Data
from reassembly.http.body import behind, whole_body
from reassembly.http.chunked import unchunked
from reassembly.http.head import Framing, Head, Request, Response, framing, parse_request, parse_response
from reassembly.objects import Object


def exchanges(origin: Origin, turns: list[Data]) -> list[Object] | None:
    """The objects of a conversation in which each request is answered before the next one."""
    if len(turns) % 2 or not turns:
        return None
    most = origin.limits.header_lines
    found: list[tuple[Head, bytes | memoryview, Data]] = []
    for asking, answering in zip(turns[::2], turns[1::2], strict=True):
        asked = _request(asking.payload) if asking.direction == ORIG else None
        answer = _response(answering.payload, asked[0]) if asked and answering.direction == RESP else None
        if asked is None or answer is None or len(asked[0].fields) > most or len(answer[0].fields) > most:
            return None
        found += (*asked, asking), (*answer, answering)
    return [one for head, body, turn in found if body for one in whole_body(origin, head, turn.direction, body, turn)]


def _request(data: bytes) -> tuple[Request, bytes | memoryview] | None:
    end = data.find(b"\r\n\r\n")
    request = parse_request(data[:end]) if end >= 0 else None
    if request is None or request.switches or request.findings:
        return None
    body = _body(data, end + 4, *framing(request.fields, request.version, "none"))
    return None if body is None else (request, body)


def _response(data: bytes, request: Request) -> tuple[Response, bytes | memoryview] | None:
    end = data.find(b"\r\n\r\n")
    response = parse_response(data[:end]) if end >= 0 else None
    if response is None or response.status < 200 or response.status == 206 or response.findings:
        return None
    response.request = request
    if request.method == b"HEAD" or response.status in (204, 304):
        return (response, b"") if len(data) == end + 4 else None
    body = _body(data, end + 4, *framing(response.fields, response.version, "close"))
    return None if body is None else (response, body)


def _body(data: bytes, start: int, kind: Framing, length: int) -> bytes | memoryview | None:
    """The body at `start`, if it ends with the data."""
    if kind == "length":
        return behind(data, start) if len(data) - start == length else None
    if kind == "chunked":
        whole = unchunked(data, start)
        return whole[0] if whole is not None and whole[1] == len(data) else None
    return b"" if kind == "none" and len(data) == start else None

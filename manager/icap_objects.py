"""One held HTTP message on its way to objects, as the sensor makes them: decoded, taken apart, unpacked.

Between `manager.icap_service`, which reads it, and `reassembly`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Flow
from reassembly.http.body import Body
from reassembly.http.broken import loose_fields
from reassembly.http.facts import request_facts
from reassembly.http.head import Request, Response, parse_request, parse_response
from reassembly.objects import Object
from reassembly.unpack import members

PLACE = "icap"  # where its flows come from
_UNKNOWN = ip_address("0.0.0.0")
_PORTS = {"http": 80, "https": 443, "ftp": 21}


class Message:
    """`heads`: of HTTP, by their names in ICAP; `fields`: of the ICAP request; `peer`: address of who asks."""

    def __init__(self, heads: Mapping[str, bytes], fields: Mapping[str, str], peer: str, memory: Memory) -> None:
        self.request = _request(heads["req-hdr"]) if "req-hdr" in heads else None
        self.response = _response(heads["res-hdr"], self.request) if "res-hdr" in heads else None
        self.memory = memory
        self.began = time.time_ns()
        self.facts = request_facts(self.request) if self.request is not None else {}
        self.flow = _flow(fields, peer, self.facts, self.began)
        head, direction = (self.request, ORIG) if self.response is None else (self.response, RESP)
        empty = Response(0, "", {}, [])
        self._body = Body(Origin(self.flow, memory), head if head is not None else empty, direction)
        self._parts: list[Object] = []

    @property
    def url(self) -> str:
        """What was asked for."""
        return str(self.facts.get("url.full") or self.facts.get("url.original") or "")

    @property
    def length(self) -> int | None:
        """Bytes of the body, as its head has it."""
        head = self.request if self.response is None else self.response
        value = head.fields.get(b"content-length", b"").strip() if head is not None else b""
        return int(value) if value.isdigit() and len(value) < 19 else None

    def write(self, data: bytes) -> None:
        """The next bytes of the body."""
        self._body.write(data, time.time_ns())
        if self._body.parts is not None:
            self._parts += self._body.parts.take()

    def finish(self, cut: str | None) -> Iterator[Object]:
        """What it gives, each followed by what is packed inside. `cut`: why the body isn't all there."""
        for one in self._parts + self._body.finish(time.time_ns(), cut):
            yield one
            yield from members(one, self.memory)

    def drop(self) -> None:
        """It will not be finished."""
        self._body.drop()


def _request(head: bytes) -> Request:
    head = head.removesuffix(b"\r\n\r\n")
    return parse_request(head) or Request(b"", b"", "", loose_fields(b"\r\n" + head), [])


def _response(head: bytes, request: Request | None) -> Response:
    head = head.removesuffix(b"\r\n\r\n")
    made = parse_response(head) or Response(0, "", loose_fields(b"\r\n" + head), [])
    made.request = request
    return made


def _flow(fields: Mapping[str, str], peer: str, facts: Mapping[str, object], now: int) -> Flow:
    """Who talks with whom, as far as the proxy says it (X-Client-IP, X-Server-IP: draft-stecher-icap-subid-00)."""
    client = _address(fields.get("x-client-ip")) or _address(peer) or _UNKNOWN
    server = _address(fields.get("x-server-ip")) or _address(str(facts.get("url.domain", ""))) or _UNKNOWN
    port = facts.get("url.port") or _PORTS.get(str(facts.get("url.scheme")), 0)
    key = secrets.token_hex(10)
    assert isinstance(port, int)
    return Flow(key, client.packed, 0, server.packed, min(port, 65535), "tcp", (), b"", b"", now, PLACE, False)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address((text or "").partition("%")[0].strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found

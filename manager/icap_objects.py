"""One held HTTP message on its way to objects, as the sensor makes them: decoded, taken apart, unpacked.

Between `manager.icap_service`, which reads it, and `reassembly`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from manager.icap_message import IcapRequest
from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Flow
from reassembly.http.body import Body
from reassembly.http.broken import loose_fields
from reassembly.http.facts import request_facts
from reassembly.http.head import Head, Request, Response, parse_request, parse_response
from reassembly.objects import Object
from reassembly.unpack import members

PLACE = "icap"  # where its flows come from
_UNKNOWN = ip_address("0.0.0.0")
_PORTS = {"http": 80, "https": 443, "ftp": 21}


class Message:
    """What `asked` encapsulates. `heads`: of HTTP, by their names in ICAP; `peer`: address of who asks."""

    def __init__(self, asked: IcapRequest, heads: Mapping[str, bytes], peer: str, memory: Memory) -> None:
        request = _request(heads.get("req-hdr", b""))
        self._head: Head = request if asked.method == "REQMOD" else _response(heads.get("res-hdr", b""), request)
        self._memory = memory
        self.facts = request_facts(request)
        self.flow = _flow(asked.fields, peer, self.facts)
        self._body = Body(Origin(self.flow, memory), self._head, ORIG if asked.method == "REQMOD" else RESP)

    @property
    def url(self) -> str:
        """What was asked for."""
        return str(self.facts.get("url.full") or self.facts.get("url.original") or "")

    @property
    def length(self) -> int | None:
        """Bytes of the body, as its head has it."""
        value = self._head.fields.get(b"content-length", b"").strip()
        return int(value) if value.isdigit() and len(value) < 19 else None

    def write(self, data: bytes) -> Iterator[Object]:
        """The next bytes of the body; gives what is finished with them."""
        self._body.write(data, time.time_ns())
        return self._unpacked(self._body.parts.take() if self._body.parts is not None else [])

    def finish(self, cut: str | None) -> Iterator[Object]:
        """The rest of what it gives. `cut`: why the body isn't all there."""
        return self._unpacked(self._body.finish(time.time_ns(), cut))

    def _unpacked(self, found: list[Object]) -> Iterator[Object]:
        """Each, followed by what is packed inside."""
        for one in found:
            yield one
            yield from members(one, self._memory)

    def drop(self) -> None:
        """It will not be finished."""
        self._body.drop()


def _request(head: bytes) -> Request:
    head = head.removesuffix(b"\r\n\r\n")
    return parse_request(head) or Request(b"", b"", "", loose_fields(b"\r\n" + head), [])


def _response(head: bytes, request: Request) -> Response:
    head = head.removesuffix(b"\r\n\r\n")
    made = parse_response(head) or Response(0, "", loose_fields(b"\r\n" + head), [])
    made.request = request
    return made


def _flow(fields: Mapping[str, str], peer: str, facts: Mapping[str, object]) -> Flow:
    """Who talks with whom, as far as the proxy says it (X-Client-IP, X-Server-IP: draft-stecher-icap-subid-00)."""
    client = _address(fields.get("x-client-ip")) or _address(peer) or _UNKNOWN
    server = _address(fields.get("x-server-ip")) or _address(str(facts.get("url.domain", ""))) or _UNKNOWN
    port = facts.get("url.port")
    port = port if isinstance(port, int) else _PORTS.get(str(facts.get("url.scheme")), 0)
    key, ends = secrets.token_hex(10), (client.packed, 0, server.packed, min(port, 65535))
    return Flow(key, *ends, "tcp", (), b"", b"", time.time_ns(), PLACE, midstream=False)


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(re.split("[%,]", text or "")[0].strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found

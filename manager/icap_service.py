"""`tapscan icap-server`: what is answered to a proxy. RFC 3507, sections 4.5 to 4.10.

A message is held until the engines have spoken. Clean: 204 where the proxy takes it, else the message as it came;
found: the block page. What can't be scanned, or is too large, goes the way that the settings want.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial

from engines.verdicts import Engine
from manager import VERSION
from manager.block_page import BlockPage
from manager.icap_connection import Connection, Gone
from manager.icap_held import Held, Refusal
from manager.icap_inspection import Inspection
from manager.icap_message import Chunks, IcapRequest, answer, chunk
from manager.icap_objects import Message
from manager.settings import IcapSettings
from manager.visible import visible
from reassembly.builder import Memory
from sensor.noun import noun

LIFE = 3600  # seconds for which a proxy believes OPTIONS; ISTag tells it sooner
AGAIN = 300.0  # seconds for which the address of what was cut off is known
MOST_CUT = 10_000


class Cut:
    """Addresses of what was cut off before its last byte, when it was too late for the block page: who asks again gets
    it. For a while; bounded.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Refusal, str]] = {}

    def add(self, url: str, refusal: Refusal, incident: str) -> None:
        """It was cut."""
        if len(self._kept) >= MOST_CUT:
            self._kept.clear()
        self._kept[url] = time.monotonic() + AGAIN, refusal, incident

    def find(self, url: str) -> tuple[Refusal, str] | None:
        """Why it was cut, and which incident that was."""
        found = self._kept.get(url)
        return found[1:] if found is not None and time.monotonic() < found[0] else None


@noun
class Serving:
    """What all connections share. `engines`: those that are asked at present; `memory`: makes that of one message."""

    settings: IcapSettings
    page: BlockPage
    engines: Callable[[], Sequence[Engine]]
    inspection: Inspection
    memory: Callable[[], Memory]
    cut: Cut = field(default_factory=Cut)


class Service:
    """Answers the requests of one connection. `peer`: the proxy's address."""

    def __init__(self, serving: Serving, connection: Connection, peer: str) -> None:
        self._serving = serving
        self._connection = connection
        self._peer = peer

    def serve(self, request: IcapRequest) -> bool:
        """Answers one; whether the connection goes on. Raises Wrong, Gone."""
        if request.method == "OPTIONS":
            return self._options(request)
        heads = {name: self._connection.exactly(length) for name, length in request.heads}
        if not request.body:
            return self._bodiless(request, heads)
        memory = self._serving.memory()
        message = Message(request, heads, self._peer, memory)
        own = self._serving
        begin = partial(self._begin, request, heads)
        held = Held(own.settings, self._connection, request, message, own.inspection, memory.directory, begin)
        try:
            return self._decided(held, request)
        finally:
            held.close()

    def _options(self, request: IcapRequest) -> bool:
        if request.body:
            self._pass_over()
        own = self._serving.settings
        path = request.uri.partition("?")[0].rpartition("/")[2].upper()
        fields = {
            "Methods": path if path in ("REQMOD", "RESPMOD") else "RESPMOD, REQMOD",
            "Service": f"tapscan {VERSION}",
            "Max-Connections": str(own.max_connections),
            "Options-TTL": str(LIFE),
            "Allow": "204",
            "Preview": str(own.preview),
            "Transfer-Preview": "*",
        }
        self._answer(200, fields, [("null-body", 0)])
        return request.lasting

    def _pass_over(self) -> None:
        chunks = Chunks()
        for _ in self._connection.body(chunks, time.monotonic() + self._serving.settings.timeout):
            pass
        if not chunks.done:
            raise Gone("a body without an end")

    def _bodiless(self, request: IcapRequest, heads: dict[str, bytes]) -> bool:
        """There is nothing to scan."""
        if request.allows_204 or request.preview is not None:
            self._answer(204)
        else:
            self._answer(200, {}, [*_own(request, heads), ("null-body", 0)], *_bytes(request, heads))
        return request.lasting

    def _decided(self, held: Held, request: IcapRequest) -> bool:
        cut, url = self._serving.cut, held.message.url
        held.preview()
        if (known := cut.find(url)) is not None:
            lasting = request.lasting and held.rested
            self._block(*known, url, lasting)
            return lasting
        held.read()
        refusal = held.verdict()
        lasting = request.lasting and held.rested
        if refusal is not None and held.begun:
            cut.add(url, refusal, held.incident)
            return False
        if refusal is not None:
            self._block(refusal, held.incident, url, lasting)
        elif request.allows_204 or not held.continued:
            self._answer(204, lasting=lasting)
        else:
            held.let_go()
            return request.lasting
        return lasting

    def _block(self, refusal: Refusal, incident: str, url: str, lasting: bool) -> None:
        page = self._serving.page
        body = page.render(refusal.reason, incident, url)
        head = page.head(len(body), closes=False)
        fields = {} if refusal.hit is None else {"X-Infection-Found": _infection(refusal.reason)}
        parts = [("res-hdr", len(head)), ("res-body", 0)]
        self._answer(200, fields, parts, head, chunk(body), chunk(b""), lasting=lasting)

    def _begin(self, request: IcapRequest, heads: dict[str, bytes]) -> None:
        name = "req-body" if request.method == "REQMOD" else "res-body"
        self._answer(200, {}, [*_own(request, heads), (name, 0)], *_bytes(request, heads))

    def _answer(
        self,
        status: int,
        fields: dict[str, str] | None = None,
        parts: Sequence[tuple[str, int]] = (),
        *more: bytes,
        lasting: bool = True,
    ) -> None:
        always = {"ISTag": istag(self._serving.engines()), "Connection": "keep-alive" if lasting else "close"}
        self._connection.send(answer(status, always | (fields or {}), parts) + b"".join(more))


def istag(engines: Sequence[Engine]) -> str:
    """Another one when an engine, or what it knows, has changed (section 4.7)."""
    seed = repr([(engine.name, engine.version, engine.database_version) for engine in engines])
    return f'"{hashlib.blake2b(seed.encode(), digest_size=12).hexdigest()}"'


def _own(request: IcapRequest, heads: dict[str, bytes]) -> list[tuple[str, int]]:
    """The head that goes back: that of the response, in REQMOD that of the request."""
    name = "req-hdr" if request.method == "REQMOD" else "res-hdr"
    return [(name, len(heads[name]))] if name in heads else []


def _bytes(request: IcapRequest, heads: dict[str, bytes]) -> list[bytes]:
    return [heads[name] for name, _ in _own(request, heads)]


def _infection(name: str) -> str:
    """draft-stecher-icap-subid-00, section 3.2: type 0 is a virus, resolution 2: blocked."""
    threat = visible(name, 200).encode("ascii", "replace").decode().replace(";", ",")
    return f"Type=0; Resolution=2; Threat={threat};"

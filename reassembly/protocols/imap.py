"""IMAP to mails: RFC 9051 and 3501, with STARTTLS, literals (RFC 7888), COMPRESS=DEFLATE (RFC 4978), BINARY (RFC 3516).

The server brings whole mails and sections of them as literals or quoted strings of FETCH responses, the client mails
with APPEND. What is in which section stands in the response itself, so the server's side alone is enough.
"""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import ORIG, Close, Data, Gap, Note, Switch
from reassembly.imap import grammar
from reassembly.imap.client import Client
from reassembly.imap.deflated import Deflated
from reassembly.imap.sections import NAME, Sections
from reassembly.imap.server import Server
from reassembly.imap.session import Session
from reassembly.imap.structure import Structures
from reassembly.protocols import Answer, Emitted

__all__ = ["NAME", "PORTS", "Parser", "probe"]

PORTS = frozenset({143, 220})
_TLS = b"\x16\x03"


def probe(orig: bytes, resp: bytes) -> Answer:
    """By the server's greeting, or what only IMAP says in the middle."""
    speaks = grammar.speaks(orig, resp)
    if speaks is None:
        return Answer.MORE
    return Answer.YES if speaks else Answer.NO


class Parser:
    """One connection. The side that says "* OK" is the server, whoever opened the flow."""

    __slots__ = ("_client", "_deflated", "_known", "_next", "_origin", "_over", "_server")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        structures, session = Structures(origin.memory), Session()
        self._client = Client(origin, structures, session)
        sections = Sections(origin, structures, self._client.asked, session.fetched)
        self._server = Server(origin, sections, structures, self._client)
        self._next = ORIG  # the client's direction
        self._known = False
        self._deflated: tuple[Deflated, Deflated] | None = None
        self._over = [False, False]

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Mails, and their parts, as they end."""
        if self._over[event.direction]:
            return []
        if isinstance(event, Gap):
            return self._gap(event)
        if not self._known:
            self._known = True
            self._next = event.direction ^ (grammar.COMMAND.match(event.payload) is None)
        return self._inflate(event) if self._deflated is not None else self._read(event)

    def close(self, event: Close) -> list[Emitted]:
        """The mail that was on its way when its direction ended is cut."""
        side = self._client if event.direction == self._next else self._server
        side.phrases.close()
        return [*side.close(event.time, event.how)]

    def _gap(self, event: Gap) -> list[Emitted]:
        if self._deflated is not None:
            return self._break(event)
        side = self._client if event.direction == self._next else self._server
        return [*side.gap(event)]

    def _read(self, event: Data) -> list[Emitted]:
        side = self._client if event.direction == self._next else self._server
        if side.phrases.idle and event.payload.startswith(_TLS):
            return self._switch(event)
        emitted: list[Emitted] = [*side.read(event)]
        if not self._server.agreed:
            return emitted
        verb, self._server.agreed = self._server.agreed, ""
        rest = Data(event.direction, event.payload[side.phrases.at :], event.began, event.time)
        if verb == "STARTTLS":
            return [*emitted, *self._switch(rest)]
        self._deflated = Deflated(self._origin.memory), Deflated(self._origin.memory)
        emitted.append(Note({"tapscan.imap.compressed": True}))
        return [*emitted, *self._inflate(rest)]

    def _switch(self, rest: Data) -> list[Emitted]:
        self._over = [True, True]
        return [Note({"tapscan.imap.starttls": True}), Switch((rest,) if rest.payload else ())]

    def _inflate(self, event: Data) -> list[Emitted]:
        assert self._deflated is not None
        deflated = self._deflated[event.direction]
        emitted: list[Emitted] = []
        for piece in deflated.feed(event.payload):
            emitted += self._read(Data(event.direction, piece, event.began, event.time))
            if self._over[event.direction]:
                return emitted
        return [*emitted, *self._break(event)] if deflated.broken else emitted

    def _break(self, event: Data | Gap) -> list[Emitted]:
        """The rest of a compressed direction can't be read: "the dictionary" went with the missing bytes."""
        self._origin.findings["imap.compression_broken"] = None
        self._over[event.direction] = True
        side = self._client if event.direction == self._next else self._server
        return [*side.close(event.time, "gap")]

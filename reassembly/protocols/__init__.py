"""The protocols, in the order in which they are asked whether a flow is theirs: one file and one line each.

A module here has `NAME`, `PORTS`, `probe(orig, resp)` and a class `Parser` with `feed(Data | Gap)` and `close(Close)`.
Where it can read the turns of a usual conversation at once it has `whole(origin, turns)` as well, which gives the
objects or None. Content decides; where several say `MORE` until the end, the one with the flow's port in `PORTS` is
tried.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeAlias

from reassembly.builder import Origin
from reassembly.events import Close, Data, Expect, Gap, Note, Switch
from reassembly.objects import Object

Emitted: TypeAlias = Object | Expect | Switch | Note


class Answer(Enum):
    """What `probe` says of the first bytes of a flow."""

    YES = "yes"
    NO = "no"
    MORE = "more"  # not enough bytes to say


class Parser(Protocol):
    """The reader of one flow. Never raises on what the wire brings; an exception is our fault and costs one flow."""

    def __init__(self, origin: Origin) -> None: ...

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Takes the next bytes, or the news that bytes are missing; gives what is complete now."""
        ...

    def close(self, event: Close) -> list[Emitted]:
        """One direction has ended; gives what was still open there."""
        ...


ParserFactory: TypeAlias = Callable[[Origin], Parser]


class Speaker(Protocol):
    """A module of this package. `TRANSPORT` ("tcp") and `OBJECTS` (True) may be given as well."""

    @property
    def NAME(self) -> str: ...

    @property
    def PORTS(self) -> frozenset[int]: ...

    @property
    def Parser(self) -> ParserFactory: ...

    def probe(self, orig: bytes, resp: bytes) -> Answer:
        """Whether a flow whose directions begin with these bytes (either may be empty) is this protocol."""
        ...


from reassembly.protocols import ftp, http1, imap, pop3, quic, smtp, socks, ssh, tls  # noqa: E402 - they need the names above
from reassembly.protocols.services import HTTP2, SERVICES  # noqa: E402 - so does this

# HTTP/2 before HTTP/1, which would take its preface for a request.
PROTOCOLS: tuple[Speaker, ...] = (HTTP2, http1, tls, smtp, ftp, pop3, imap, socks, ssh, quic, *SERVICES)

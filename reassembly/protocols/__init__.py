"""The protocols, in the order in which they are asked whether a flow is theirs: one file and one word each.

A module here has `NAME`, `PORTS`, `probe(orig, resp)` and a class `Parser` with `feed(Data | Gap)` and `close(Close)`.
Where it can read the turns of a usual conversation at once it has `whole(origin, turns)` as well, which gives the
objects or None. Content decides; where several say `MORE` until the end, the one with the flow's port in `PORTS` is
tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from importlib import import_module
from typing import Any, Protocol, TypeAlias

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
    """The reader of one flow. Never raises on what the wire brings; an exception is our fault and costs one flow.

    It may have `slim()` as well: nothing came for `limits.rest`, so there is time to let go of what it hardly needs.
    """

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


# Each transport's, in the order in which they are asked.
ORDER = {
    "tcp": ("http1", "tls", "smtp", "ftp", "pop3", "imap", "socks", "ssh", "services"),
    "udp": ("quic", "services"),
}


def speakers(transport: str) -> Iterator[Speaker]:
    """The protocols over a transport. A file is read when it is asked for the first time: most captures need few."""
    for name in ORDER[transport]:
        yield from _speakers(name, transport)


@cache
def _speakers(name: str, transport: str) -> tuple[Speaker, ...]:
    module: Any = import_module(f"{__name__}.{name}")
    found = getattr(module, "SERVICES", (module,))
    return tuple(one for one in found if getattr(one, "TRANSPORT", "tcp") == transport)

"""QUIC: recognised, never read. The long header that holds for every version: RFC 8999, section 5.1; RFC 9000, 9369."""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import Close, Data, Gap, Note
from reassembly.protocols import Answer, Emitted

NAME = "quic"
PORTS = frozenset({443, 784, 853, 8443})
TRANSPORT = "udp"
OBJECTS = False

_V1, _V2, _NEGOTIATION = 0x00000001, 0x6B3343CF, 0
LONGEST_ID = 20  # bytes of a connection id; RFC 9000, section 17.2


def probe(orig: bytes, resp: bytes) -> Answer:
    """By a long header of a known version, from either side."""
    if not orig and not resp:
        return Answer.MORE
    return Answer.YES if any(_version(head) is not None for head in (orig, resp)) else Answer.NO


def _version(head: bytes) -> str | None:
    """The version that a long header names; None for anything else. Google's older QUIC has no fixed bit."""
    if len(head) < 7 or not head[0] & 0x80 or head[5] > LONGEST_ID or len(head) < 7 + head[5]:
        return None
    number = int.from_bytes(head[1:5], "big")
    if head[6 + head[5]] > LONGEST_ID or not (head[0] & 0x40 or number == _NEGOTIATION):
        return None
    if number in (_V1, _V2):
        return "1" if number == _V1 else "2"
    if number == _NEGOTIATION:
        return "negotiation" if len(head) % 4 == (7 + head[5] + head[6 + head[5]]) % 4 else None
    if number >> 8 == 0xFF0000:  # IETF drafts
        return f"draft-{number & 0xFF}"
    return head[1:5].decode() if head[1:2] in (b"Q", b"T") and head[2:5].isdigit() else None


class Parser:
    """Notes the version."""

    __slots__ = ("_known",)

    def __init__(self, origin: Origin) -> None:
        self._known = False

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """The version, once."""
        version = _version(event.payload) if isinstance(event, Data) and not self._known else None
        if version is None:
            return []
        self._known = True
        return [Note({"tapscan.quic.version": version})]

    def close(self, event: Close) -> list[Emitted]:
        """Nothing is open."""
        return []

"""TLS: recognised, never read. RFC 8446 (1.3), RFC 5246 (1.2); the SSL 2.0 hello of RFC 6101, appendix E.

Says what can be known without a key: the server name (RFC 6066), the version and the application protocol (RFC 7301).
"""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.builder import Origin
from reassembly.events import Close, Data, Fact, Gap, Note
from reassembly.partial import Partial
from reassembly.protocols import Answer, Emitted

NAME = "tls"
PORTS = frozenset({443, 465, 563, 636, 853, 989, 990, 992, 993, 995, 5061, 8443})
OBJECTS = False

HANDSHAKE, ALERT = 22, 21
CLIENT_HELLO, SERVER_HELLO = 1, 2
SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43
LONGEST_RECORD = (1 << 14) + 2048  # RFC 5246, section 6.2.3
_VERSIONS = {0x0002: "2.0", 0x0300: "3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}


def probe(orig: bytes, resp: bytes) -> Answer:
    """By a record with a ClientHello or ServerHello, in either direction."""
    answers = [_hello(head) for head in (orig, resp) if head]
    if Answer.YES in answers:
        return Answer.YES
    return Answer.NO if Answer.NO in answers else Answer.MORE


def _hello(head: bytes) -> Answer:
    if head[0] & 0x80:
        return _hello_of_ssl2(head)
    for at, allowed in enumerate((b"\x16", b"\x03", b"\0\1\2\3\4")):
        if len(head) > at and head[at] not in allowed:
            return Answer.NO
    if len(head) < 6:
        return Answer.MORE
    fits = 4 <= int.from_bytes(head[3:5], "big") <= LONGEST_RECORD and head[5] in (CLIENT_HELLO, SERVER_HELLO)
    return Answer.YES if fits else Answer.NO


def _hello_of_ssl2(head: bytes) -> Answer:
    """Two bytes of length with the high bit, CLIENT-HELLO, version, three lengths that add up."""
    if len(head) > 2 and head[2] != CLIENT_HELLO:
        return Answer.NO
    if len(head) < 11:
        return Answer.MORE
    length = int.from_bytes(head[:2], "big") & 0x7FFF
    parts = [int.from_bytes(head[at : at + 2], "big") for at in (5, 7, 9)]
    fits = head[3:5] in (b"\0\2", b"\3\0", b"\3\1", b"\3\2", b"\3\3") and length == 9 + sum(parts)
    return Answer.YES if fits and parts[0] % 3 == 0 else Answer.NO


class Handshake:
    """The handshake messages of one direction, up to its hello: put together from records, bounded."""

    __slots__ = ("_bound", "_held", "_messages", "_record", "done")

    def __init__(self, origin: Origin) -> None:
        self._bound = origin.limits.tls_hello_bytes
        self._held = Partial(origin)  # counts both
        self._record = bytearray()  # bytes of records that are not whole
        self._messages = bytearray()
        self.done = False

    def feed(self, payload: bytes) -> tuple[int, bytes] | None:
        """Type and body of the first handshake message, when it is whole."""
        message = self._read(payload)
        if not self.done:
            self._held.hold(len(self._record) + len(self._messages))
            self.done = self._held.full
        return message

    def _read(self, payload: bytes) -> tuple[int, bytes] | None:
        room = self._bound + 5 - len(self._record)
        self._record += payload[:room]
        while len(self._record) >= 5 and not self.done:
            length = int.from_bytes(self._record[3:5], "big")
            if self._record[0] != HANDSHAKE or length > LONGEST_RECORD:
                self.done = True
            elif len(self._record) < 5 + length:
                break
            self._messages += self._record[5 : 5 + length]
            del self._record[: 5 + length]
            self.done = self.done or len(self._messages) >= self._bound
            if len(self._messages) >= 4 and not self.done:
                size = int.from_bytes(self._messages[1:4], "big")
                self.done = size > self._bound
                if len(self._messages) >= 4 + size:
                    self.done = True
                    return self._messages[0], bytes(self._messages[4 : 4 + size])
        self.done = self.done or len(payload) >= room
        return None


class Parser:
    """Reads each direction's hello and nothing after it."""

    __slots__ = ("_hellos", "_origin")

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._hellos: list[Handshake | None] = [Handshake(origin), Handshake(origin)]  # None: it has been read

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """What a hello says, once."""
        hello = self._hellos[event.direction]
        if hello is None:
            return []
        message = hello.feed(event.payload) if isinstance(event, Data) else None
        if hello.done or isinstance(event, Gap):
            self._hellos[event.direction] = None  # with all that came after it: most flows are TLS
        facts = _facts(*message) if message else {}
        self._greeted(facts)
        return [Note(facts)] if facts else []

    def _greeted(self, facts: dict[str, Fact]) -> None:
        origin, name = self._origin, facts.get("tls.client.server_name")
        if name is not None and origin.memory.known is not None:
            origin.memory.known.greeted(origin.flow, str(name), origin.memory.now)

    def close(self, event: Close) -> list[Emitted]:
        """Nothing is open."""
        return []


def _facts(kind: int, body: bytes) -> dict[str, Fact]:
    if kind not in (CLIENT_HELLO, SERVER_HELLO) or len(body) < 35:
        return {}
    try:
        extensions = dict(_extensions(body, kind))
    except IndexError:
        return {}
    facts: dict[str, Fact] = {}
    if kind == CLIENT_HELLO:
        name = extensions.get(SERVER_NAME, b"")
        if len(name) > 5 and name[2] == 0:
            facts["tls.client.server_name"] = _ascii(name[5 : 5 + int.from_bytes(name[3:5], "big")])
        return facts
    chosen = extensions.get(SUPPORTED_VERSIONS, body[:2])
    version = _VERSIONS.get(int.from_bytes(chosen[:2], "big"))
    if version:
        facts["tls.version"] = version
        facts["tls.version_protocol"] = "ssl" if version in ("2.0", "3.0") else "tls"
    protocol = extensions.get(ALPN, b"")
    if len(protocol) > 3:
        facts["tls.next_protocol"] = _ascii(protocol[3 : 3 + protocol[2]])
    return facts


def _extensions(body: bytes, kind: int) -> Iterator[tuple[int, bytes]]:
    """Type and content of each extension. Raises IndexError where the lengths before them lead outside."""
    at = 35 + body[34]  # version, random, session id
    if kind == CLIENT_HELLO:
        at += 2 + (body[at] << 8 | body[at + 1])  # cipher suites
        at += 1 + body[at]  # compression methods
    else:
        at += 3
    at += 2
    while at + 4 <= len(body):
        length = int.from_bytes(body[at + 2 : at + 4], "big")
        yield int.from_bytes(body[at : at + 2], "big"), body[at + 4 : at + 4 + length]
        at += 4 + length


def _ascii(raw: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else f"\\x{byte:02x}" for byte in raw[:255])

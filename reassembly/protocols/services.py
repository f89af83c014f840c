"""Services that are told apart by their first bytes and not read: one line each, so that the ledger can name them.

What gives objects later (SMB) leaves this table for a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reassembly.builder import Origin
from reassembly.events import Close, Data, Gap
from reassembly.protocols import Answer, Emitted, ParserFactory
from sensor.noun import noun

Predicate = Callable[[bytes], bool]


class Silent:
    """The parser of a service that is not read."""

    __slots__ = ()

    def __init__(self, origin: Origin) -> None:
        """Keeps nothing."""

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Nothing."""
        return []

    def close(self, event: Close) -> list[Emitted]:
        """Nothing."""
        return []


@noun
class Service:
    """A speaker by patterns of what either side says first; with `resp` alone, the responder greets.

    With both given, both must fit; a pattern that stands alone must be telling.
    """

    NAME: str
    PORTS: frozenset[int]
    orig: Predicate | None = None
    resp: Predicate | None = None
    TRANSPORT: str = "tcp"
    OBJECTS: bool = False
    Parser: ParserFactory = Silent

    def probe(self, orig: bytes, resp: bytes) -> Answer:
        """YES when every pattern fits that is given."""
        if self.orig is None and orig and not resp:
            return Answer.NO
        answer = Answer.YES
        for pattern, head in ((self.orig, orig), (self.resp, resp)):
            if pattern is not None and not head:
                answer = Answer.MORE
            elif pattern is not None and not pattern(head):
                return Answer.MORE if len(head) < SHORTEST else Answer.NO
        return answer


SHORTEST = 16  # bytes with which every pattern can tell


def _like(pattern: bytes) -> Predicate:
    match = re.compile(pattern, re.IGNORECASE | re.DOTALL).match
    return lambda head: match(head) is not None


def _is(pattern: bytes) -> Predicate:
    match = re.compile(pattern, re.DOTALL).match
    return lambda head: match(head) is not None


def _mysql(head: bytes) -> bool:
    """Protocol 10's greeting: 3 bytes of length, sequence 0, 10, a version that ends in NUL."""
    return head[3:5] == b"\0\n" and head[5:6].isdigit() and b"\0" in head[6:64] and head[2] == 0


def _postgres(head: bytes) -> bool:
    """StartupMessage 3.0, or the requests for TLS and GSS."""
    return (head[:2] == b"\0\0" and head[4:8] == b"\0\3\0\0" and head[8:9].isalpha()) or head[:8] in (
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"\0\0\0\x08\x04\xd2\x16\x30",
    )


def _ldap(head: bytes) -> bool:
    """LDAPMessage: a sequence, a small integer, a bind, search or extended request (RFC 4511, section 4.1.1)."""
    if head[:1] != b"\x30" or len(head) < 8:
        return False
    at = 2 + (head[1] & 0x7F if head[1] & 0x80 else 0)
    if at > 6 or head[at : at + 1] != b"\2" or not 1 <= head[at + 1] <= 4:
        return False
    return head[at + 2 + head[at + 1] :][:1] in (b"\x60", b"\x63", b"\x77", b"\x42")


def _kerberos(head: bytes) -> bool:
    """Four bytes of length, an AS-REQ or TGS-REQ, version 5 (RFC 4120, sections 5.4.1 and 7.2.2)."""
    return (
        head[:1] == b"\0"
        and head[4:5] in (b"\x6a", b"\x6c")
        and b"\xa1\x03\x02\x01\x05" in head[5:24]
        and len(head) > 12
    )


def _sunrpc(head: bytes) -> bool:
    """A record mark and a CALL of RPC version 2 (RFC 5531, sections 9 and 11)."""
    return head[0] & 0x80 != 0 and head[8:16] == b"\0\0\0\0\0\0\0\2" and head[16:18] == b"\0\1"


def _dns(head: bytes) -> bool:
    """A header with one question and a sane opcode (RFC 1035, section 4.1.1)."""
    if len(head) < 17 or head[2] & 0x78 > 0x28 or head[4:6] != b"\0\1" or head[3] & 0x40:
        return False
    return head[12] <= 63 and head[6] == 0 and head[8] == 0 and head[10] == 0


def _dns_over_tcp(head: bytes) -> bool:
    return len(head) > 18 and head[:1] <= b"\x10" and head[0] << 8 | head[1] >= 17 and _dns(head[2:])


def _rtmp(head: bytes) -> bool:
    """C0 says version 3, and C1's four bytes of zero follow its time (Adobe's RTMP 1.0, section 5.2)."""
    return head[:1] == b"\3" and len(head) >= 32 and head[5:9] == b"\0\0\0\0" and any(head[9:32])


def _on(*ports: int) -> frozenset[int]:
    return frozenset(ports)


SERVICES: tuple[Service, ...] = (
    Service("http2", _on(80, 443), orig=_is(rb"PRI \* HTTP/2\.0\r\n\r\nSM\r\n\r\n")),
    Service("smb", _on(139, 445), orig=_is(rb"(?:\x81\0\0.{69}.{0,4})?\0[\0\x01]..[\xff\xfe\xfd]SMB")),
    Service("smb", _on(139), orig=_is(rb"\x81\0\0[\x44-\x48] [A-P]{32}\0")),
    Service("rdp", _on(3389), orig=_is(rb"\x03\0..[\x06-\xff]\xe0\0\0..\0")),
    Service("vnc", _on(5900, 5901), resp=_is(rb"RFB 00[34]\.\d{3}\n")),
    Service("mysql", _on(3306), resp=_mysql),
    Service("postgresql", _on(5432), orig=_postgres),
    Service("redis", _on(6379), orig=_is(rb"\*\d{1,4}\r\n\$\d{1,4}\r\n"), resp=_is(rb"[-+:$*]")),
    Service("mongodb", _on(27017), orig=_is(rb"..\0\0.{8}(?:\xd4\x07|\xdd\x07)\0\0")),
    Service("irc", _on(6660, 6667, 6697), orig=_like(rb"(?:CAP LS|PASS [^\r\n]+\r?\nNICK|NICK |USER \S+ \S+ \S+ :)")),
    Service("nntp", _on(119), resp=_is(rb"20[01][ -]"), orig=_like(rb"(?:MODE READER|CAPABILITIES|GROUP |ARTICLE )")),
    Service("telnet", _on(23), resp=_is(rb"(?:\xff[\xfb-\xfe].){2}")),
    Service("dns", _on(53), orig=_dns_over_tcp),
    Service("rtmp", _on(1935), orig=_rtmp),
    Service("rtsp", _on(554, 8554), orig=_is(rb"(?:OPTIONS|DESCRIBE|SETUP|PLAY|ANNOUNCE) \S+ RTSP/1\.0\r\n")),
    Service("sip", _on(5060), orig=_is(rb"[A-Z]{3,10} sips?:\S+ SIP/2\.0\r\n")),
    Service("bittorrent", _on(6881), orig=_is(rb"\x13BitTorrent protocol")),
    Service("mqtt", _on(1883), orig=_is(rb"\x10.{1,4}\0(?:\x04MQTT|\x06MQIsdp)[\x03-\x05]")),
    Service("amqp", _on(5672), orig=_is(rb"AMQP[\0-\x03][\0\x01]")),
    Service("ldap", _on(389, 3268), orig=_ldap),
    Service("kerberos", _on(88), orig=_kerberos),
    Service("sunrpc", _on(111, 2049), orig=_sunrpc),
    Service("dcerpc", _on(135), orig=_is(rb"\x05[\0\x01][\x0b\x0e]..?\x10\0\0\0")),
    Service("xmpp", _on(5222, 5269), orig=_like(rb"(?:<\?xml[^>]*>\s*)?<stream:stream")),
    Service("rsync", _on(873), orig=_is(rb"@RSYNCD: "), resp=_is(rb"@RSYNCD: ")),
    Service("git", _on(9418), orig=_is(rb"[0-9a-f]{4}git-(?:upload|receive)-pack ")),
    Service("modbus", _on(502), orig=_is(rb"..\0\0\0[\x02-\xff].[\x01-\x2b]"), resp=_is(rb"..\0\0\0[\x02-\xff].")),
    Service("tds", _on(1433), orig=_is(rb"\x12[\0\x01]..\0\0.\0\0\0")),
    Service("x11", _on(6000), orig=_is(rb"(?:B\0\0\x0b|l\0\x0b\0)\0\0")),
    Service("dns", _on(53, 5353, 5355), orig=_dns, TRANSPORT="udp"),
    Service("dhcp", _on(67, 68), orig=_is(rb"[\x01\x02]\x01\x06.{233}\x63\x82\x53\x63"), TRANSPORT="udp"),
    Service("ntp", _on(123), orig=_is(rb"[\x0b\x13\x1b\x1c\x23\x24\xd9\xe3\xdb].{47}"), TRANSPORT="udp"),
    Service("snmp", _on(161, 162), orig=_is(rb"\x30.{1,3}\x02\x01[\0\x01\x03]"), TRANSPORT="udp"),
    Service("ssdp", _on(1900), orig=_is(rb"(?:M-SEARCH|NOTIFY) \* HTTP/1\.1\r\n"), TRANSPORT="udp"),
    Service("sip", _on(5060), orig=_is(rb"[A-Z]{3,10} sips?:\S+ SIP/2\.0\r\n"), TRANSPORT="udp"),
    Service("stun", _on(3478), orig=_is(rb"[\0\x01]...\x21\x12\xa4\x42"), TRANSPORT="udp"),
    Service("wireguard", _on(51820), orig=_is(rb"\x01\0\0\0.{144}$"), TRANSPORT="udp"),
    Service("syslog", _on(514), orig=_is(rb"<\d{1,3}>[ -~]"), TRANSPORT="udp"),
    Service("bittorrent", _on(6881), orig=_is(rb"d1:[ar]d2:id20:"), TRANSPORT="udp"),
    Service("tftp", _on(69), orig=_like(rb"\0[\x01\x02][^\0]+\0(?:octet|netascii|mail)\0"), TRANSPORT="udp"),
    Service("radius", _on(1812, 1813), orig=_is(rb"[\x01\x04]...{16}[\x01-\x50]"), TRANSPORT="udp"),
)  # fmt: skip

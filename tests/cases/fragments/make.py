"""An answer whose IPv4 packets come in fragments, the last first, and one over IPv6."""

from collections.abc import Iterator

from capture import Conversation
from scapy.layers.inet import IP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.packet import Packet


def packets() -> Iterator[Packet]:
    """Two connections."""
    for ends in (("192.0.2.10:41030", "198.51.100.80:80"), ("[2001:db8::10]:41030", "[2001:db8::80]:80")):
        yield from cut(exchange(*ends, at=0.0 if "." in ends[0] else 1.0))


def exchange(orig: str, resp: str, at: float) -> Iterator[Packet]:
    """One page."""
    flow = Conversation(orig, resp, at=at)
    body = b"".join(b"line %05d\n" % n for n in range(500))
    yield from flow.open()
    yield from flow.orig(b"GET /lines.txt HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    yield from flow.close()


def cut(whole: Iterator[Packet]) -> Iterator[Packet]:
    """Large packets as fragments, the last first."""
    for number, packet in enumerate(whole):
        if len(packet) < 600:
            yield packet
            continue
        for piece in reversed(pieces(packet, number)):
            piece.time = packet.time
            yield piece


def pieces(packet: Packet, number: int) -> list[Packet]:
    """The fragments of one packet."""
    if IP in packet:
        packet[IP].id = number
        return list(fragment(packet, fragsize=400))
    packet[IPv6].payload = IPv6ExtHdrFragment(id=number) / packet[IPv6].payload
    return list(fragment6(packet, 600))

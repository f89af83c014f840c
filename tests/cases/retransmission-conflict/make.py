"""A segment that is sent twice with different bytes, and one that comes late; both times the first bytes counted."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet, Raw

INNOCENT, EVIL = b"A" * 1000, b"B" * 1000


def packets() -> Iterator[Packet]:
    """One connection whose answer has an insertion and a swap."""
    flow = Conversation("192.0.2.10:41040", "198.51.100.80:80")
    yield from flow.open()
    yield from flow.orig(b"GET /file.bin HTTP/1.1\r\nHost: www.example.org\r\n\r\n")
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n")
    first = list(flow.resp(INNOCENT))
    again = first[0].copy()
    again[Raw].load = EVIL
    again.time = first[0].time + 0
    yield from (first[0], again, first[1])
    second, third = list(flow.resp(INNOCENT)), list(flow.resp(INNOCENT))
    yield from (third[0], second[0], second[1], third[1])
    yield from flow.close()

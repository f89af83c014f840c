"""The same two addresses and ports in two VLANs at the same time, one of them with a tag inside a tag."""

from collections.abc import Iterator
from itertools import chain, zip_longest

from capture import Conversation
from scapy.layers.l2 import Dot1AD, Dot1Q
from scapy.packet import Packet

TAGS = ([Dot1Q(vlan=7)], [Dot1AD(vlan=100), Dot1Q(vlan=7)])


def packets() -> Iterator[Packet]:
    """Two connections, packet by packet in turn."""
    turns = zip_longest(*(exchange(number, tags) for number, tags in enumerate(TAGS)))
    return (packet for packet in chain.from_iterable(turns) if packet is not None)


def exchange(number: int, tags: list[Packet]) -> Iterator[Packet]:
    """One connection in one VLAN."""
    flow = Conversation("192.0.2.10:41020", "198.51.100.80:80", at=number / 10_000, tags=tags, isn=5000 + number)
    body = b"This is VLAN number %d.\n" % number * 100
    yield from flow.open()
    yield from flow.orig(b"GET /%d.txt HTTP/1.1\r\nHost: www.example.org\r\n\r\n" % number)
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    yield from flow.close()

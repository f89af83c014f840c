"""A browser fetches a page through a SOCKS proxy."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

PAGE = b"<html><body>through the proxy</body></html>"


def packets() -> Iterator[Packet]:
    """One connection."""
    flow = Conversation("192.0.2.10:41012", "198.51.100.30:1080")
    yield from flow.open()
    yield from flow.talk(
        b"",
        b"\5\2\0\2",
        b"\5\2",
        b"\1\3bob\tnot-shown",
        b"\1\0",
        b"\5\1\0\3\x0bexample.org\0\x50",
        b"\5\0\0\1\xc0\0\2\1\x10\x01",
        b"GET /page.html HTTP/1.1\r\nHost: example.org\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE,
    )
    yield from flow.close()

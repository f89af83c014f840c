"""Three requests on one connection, pipelined; the second answer is chunked and gzip-coded, the third has no body."""

import gzip
from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

REQUEST = b"%s %s HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: case/1.0\r\n\r\n"
PIXEL = b"GIF89a\1\0\1\0\x80\0\0\xff\xff\xff\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


def packets() -> Iterator[Packet]:
    """One connection."""
    flow = Conversation("192.0.2.10:41000", "198.51.100.80:80")
    yield from flow.open()
    yield from flow.orig(
        REQUEST % (b"GET", b"/pixel.gif") + REQUEST % (b"GET", b"/page?q=1") + REQUEST % (b"HEAD", b"/large.iso")
    )
    yield from flow.resp(
        b"HTTP/1.1 200 OK\r\nContent-Type: image/gif\r\nContent-Length: %d\r\n\r\n" % len(PIXEL) + PIXEL
    )
    yield from flow.resp(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n" + chunked(gzip.compress(page(), mtime=0), 100)
    )
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Length: 700000000\r\n\r\n")
    yield from flow.close()


def page() -> bytes:
    """A page of text that differs from line to line."""
    return b"<!DOCTYPE html><html><body>" + b"".join(b"<p>%d</p>\n" % (n * n) for n in range(300)) + b"</body></html>"


def chunked(body: bytes, size: int) -> bytes:
    """RFC 9112, section 7.1."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"

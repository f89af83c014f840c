"""A chunked answer of which one segment was never seen, then a further request on the same connection."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

REQUEST = b"GET %s HTTP/1.1\r\nHost: www.example.org\r\n\r\n"


def packets() -> Iterator[Packet]:
    """One connection; the second segment of the first answer is missing."""
    flow = Conversation("192.0.2.10:41001", "198.51.100.80:80")
    body = b"".join(b"line %05d\n" % n for n in range(600))
    yield from flow.open()
    yield from flow.orig(REQUEST % b"/holed.txt")
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    yield from (packet for number, packet in enumerate(flow.resp(answer)) if number != 1)
    yield from flow.orig(REQUEST % b"/whole.txt")
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nwhole\n")
    yield from flow.close()

"""A user fetches two mails in one connection, with pipelined commands; the second has a file attached."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

FIRST = b"From: alice@example.net\r\nTo: bob@example.org\r\nSubject: dots\r\n\r\n.starts with a dot\r\n"
SECOND = (
    b"From: carol@example.net\r\nTo: bob@example.org\r\nSubject: a file\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="parts"\r\n\r\n'
    b"--parts\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n"
    b'--parts\r\nContent-Type: text/csv; name="list.csv"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    b"YSxiCjEsMgo=\r\n--parts--\r\n"
)


def packets() -> Iterator[Packet]:
    """One connection."""
    flow = Conversation("192.0.2.10:41010", "198.51.100.25:110")
    yield from flow.open()
    yield from flow.talk(
        b"+OK ready\r\n",
        b"USER bob\r\n",
        b"+OK\r\n",
        b"PASS not-shown\r\n",
        b"+OK 2 messages\r\n",
        b"RETR 1\r\nRETR 2\r\nQUIT\r\n",
        b"+OK\r\n" + FIRST.replace(b"\r\n.", b"\r\n..") + b".\r\n+OK\r\n" + SECOND + b".\r\n+OK bye\r\n",
    )
    yield from flow.close()

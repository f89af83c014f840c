"""TLS at an unusual port, SSH, QUIC, and bytes that nobody knows: no object, but a line in the ledger for each."""

from collections.abc import Iterator

from capture import Conversation, datagram
from scapy.packet import Packet


def packets() -> Iterator[Packet]:
    """Three connections and a datagram, one after the other."""
    for number, (port, orig, resp) in enumerate(
        (
            (8443, client_hello(b"secret.example.org"), b"\x17\x03\x03\x02\0" + bytes(range(256)) * 2),
            (22, b"SSH-2.0-OpenSSH_9.6\r\n", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
            (31337, b"\x93" * 5000, bytes(range(256)) * 20),
        )
    ):
        flow = Conversation(f"192.0.2.10:{41010 + number}", f"198.51.100.80:{port}", at=number)
        yield from flow.open()
        yield from flow.orig(orig)
        yield from flow.resp(resp)
        yield from flow.close()
    yield datagram("192.0.2.10:41015", "198.51.100.80:443", initial(), at=5.0)


def initial() -> bytes:
    """A QUIC Initial packet, version 1, of 1200 bytes (RFC 9000, section 17.2.2)."""
    return (b"\xc3\0\0\0\1\x08" + bytes(range(8)) + b"\0\0\x44\x9a").ljust(1200, b"\x5a")


def client_hello(name: bytes) -> bytes:
    """RFC 8446, section 4.1.2, with the one extension of RFC 6066, section 3; cut into two records."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    extension = b"\0\0" + (len(entry) + 2).to_bytes(2, "big") + len(entry).to_bytes(2, "big") + entry
    body = b"\x03\x03" + bytes(range(32)) + b"\0\0\2\x13\1\1\0" + len(extension).to_bytes(2, "big") + extension
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"".join(b"\x16\x03\1" + len(part).to_bytes(2, "big") + part for part in (message[:50], message[50:]))

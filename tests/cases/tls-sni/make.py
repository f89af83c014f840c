"""TLS at an unusual port, SSH, and bytes that nobody knows: no object, but a line in the ledger for each."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet


def packets() -> Iterator[Packet]:
    """Three connections, one after the other."""
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


def client_hello(name: bytes) -> bytes:
    """RFC 8446, section 4.1.2, with the one extension of RFC 6066, section 3; cut into two records."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    extension = b"\0\0" + (len(entry) + 2).to_bytes(2, "big") + len(entry).to_bytes(2, "big") + entry
    body = b"\x03\x03" + bytes(range(32)) + b"\0\0\2\x13\1\1\0" + len(extension).to_bytes(2, "big") + extension
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"".join(b"\x16\x03\1" + len(part).to_bytes(2, "big") + part for part in (message[:50], message[50:]))

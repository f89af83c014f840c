"""Mails for tests: made, cut into pieces and read."""

from __future__ import annotations

import base64
import binascii
import zlib

from session import content, origin

from reassembly.mime import Message

FILE = bytes(range(256)) * 2 + b"\0"  # every byte, no text, and whole lines in base64
ENCODED = base64.encodebytes(FILE).replace(b"\n", b"\r\n")
BODY = ENCODED.removesuffix(b"\r\n")


def lines(*given):
    """A mail, or a piece of one, of these lines."""
    return b"".join((one.encode() if isinstance(one, str) else one) + b"\r\n" for one in given)


def mail(*parts, header=("Content-Type: multipart/mixed; boundary=cut",), boundary="cut", end=True):
    """A multipart of parts that are header lines, an empty line and a body without its last line end."""
    body = b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts)
    return lines("From: a@example.org", *header, "") + body + (f"--{boundary}--\r\n".encode() if end else b"")


def part(*header, body=BODY):
    """One part."""
    return lines(*header, "") + body


def attachment(body=BODY, *more, encoding="base64", name="file.bin"):
    """A part that holds a file."""
    return part(
        "Content-Type: application/octet-stream",
        f'Content-Disposition: attachment; filename="{name}"',
        f"Content-Transfer-Encoding: {encoding}",
        *more,
        body=body,
    )


def pieces(whole, size):
    """The bytes, `size` at a time."""
    return [whole[at : at + size] for at in range(0, len(whole), size)]


def read(*given, of=None, cut=None, **limits):
    """The objects that a message of these pieces gives; an int among them is so many missing bytes."""
    message = Message(of or origin(**limits), 0, "smtp", 1)
    found = []
    for time, piece in enumerate(given, 2):
        found += message.gap(piece, time) if isinstance(piece, int) else message.feed(piece, time)
    return found + message.finish(99, cut)


def parts(*given, **more):
    """The parts alone."""
    return [one for one in read(*given, **more) if one.kind == "email_part"]


def bodies(*given, **more):
    """The bytes of all parts."""
    return [content(one) for one in parts(*given, **more)]


def told(objects):
    """All that must not depend on how the bytes were cut."""
    return [
        (o.id, o.parent, o.depth, o.kind, content(o), o.name, o.declared_type, o.findings, o.codings, o.facts, o.cut)
        for o in objects
    ]


def uuencoded(payload, name="a.bin"):
    """As the historical tool writes it."""
    body = b"".join(binascii.b2a_uu(payload[at : at + 45]) for at in range(0, len(payload), 45))
    return f"begin 644 {name}\n".encode() + body + b"`\nend\n"


def yenced(payload):
    """yEnc in lines of 128 bytes."""
    body = b""
    for value in payload:
        byte = (value + 42) % 256
        body += b"=" + bytes([(byte + 64) % 256]) if byte in (0, 10, 13, 61) else bytes([byte])
    lines = [body[at : at + 128] for at in range(0, len(body), 128)]
    for at, line in enumerate(lines[:-1]):
        if line.endswith(b"="):  # an escape is not cut in two
            lines[at], lines[at + 1] = line + lines[at + 1][:1], lines[at + 1][1:]
    head = b"=ybegin line=128 size=%d name=a b.bin\r\n" % len(payload)
    return head + b"\r\n".join(lines) + b"\r\n=yend size=%d crc32=%08x\r\n" % (len(payload), zlib.crc32(payload))


def binhexed(payload, name=b"a.bin"):
    """As RFC 1741 describes it, without checksums."""
    header = bytes([len(name)]) + name + b"\0TEXTttxt\0\0" + len(payload).to_bytes(4, "big") + bytes(4) + b"cc"
    packed = bytearray()
    raw = header + payload + b"cc"
    at = 0
    while at < len(raw):
        run = 1
        while at + run < len(raw) and raw[at + run] == raw[at] and run < 255:
            run += 1
        packed += b"\x90\0" * run if raw[at] == 0x90 else raw[at : at + 1] + (bytes([0x90, run]) if run > 3 else b"")
        at += run if run > 3 or raw[at] == 0x90 else 1
    letters = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = base64.b64encode(bytes(packed)).rstrip(b"=").translate(bytes.maketrans(alphabet, letters))
    rows = b"\r\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return b"(This file must be converted with BinHex 4.0)\r\n\r\n:" + rows + b":\r\n"

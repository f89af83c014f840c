"""Mails for tests: made, cut into pieces and read."""

from __future__ import annotations

import base64

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

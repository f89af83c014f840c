"""Two mails in one connection, the first given up by RSET; the second forwards a mail that has a zip file attached."""

import base64
import io
import zipfile
from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet


def packets() -> Iterator[Packet]:
    """One connection with pipelined commands."""
    flow = Conversation("192.0.2.10:41002", "198.51.100.25:587")
    yield from flow.open()
    yield from flow.talk(
        b"220 mail.example.org ESMTP\r\n",
        b"EHLO client.example.net\r\n",
        b"250-mail.example.org\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        b"MAIL FROM:<first@example.net>\r\nRCPT TO:<nobody@example.org>\r\nDATA\r\n",
        b"250 OK\r\n550 No such user\r\n503 No recipients\r\n",
        b"RSET\r\nMAIL FROM:<alice@example.net> BODY=8BITMIME\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n",
        b"250 OK\r\n250 OK\r\n250 OK\r\n354 Go on\r\n",
        stuffed(forward()) + b".\r\n",
        b"250 Queued\r\n",
        b"QUIT\r\n",
        b"221 Bye\r\n",
    )
    yield from flow.close()


def stuffed(mail: bytes) -> bytes:
    """RFC 5321, section 4.5.2: a line that begins with a dot gets another."""
    return mail.replace(b"\r\n.", b"\r\n..")


def forward() -> bytes:
    """A mail whose second part is a mail."""
    return (
        b"From: alice@example.net\r\nTo: bob@example.org\r\nSubject: =?utf-8?q?Fwd=3A_Gr=C3=BC=C3=9Fe?=\r\n"
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=outer\r\n\r\nThis is a preamble.\r\n"
        b"--outer\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Gr=FC=DFe, see below=2E\r\n.a line that begins with a dot\r\n"
        b"--outer\r\nContent-Type: message/rfc822\r\n\r\n" + inner() + b"\r\n--outer--\r\n"
    )


def inner() -> bytes:
    """The forwarded mail."""
    return (
        b"From: carol@example.com\r\nTo: alice@example.net\r\nSubject: Plans\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=inner\r\n\r\n"
        b"--inner\r\nContent-Type: text/html\r\n\r\n<html><body>See <b>plans.zip</b></body></html>\r\n"
        b"--inner\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; filename*0*=utf-8''pl%C3%A4; filename*1=ne.zip\r\n\r\n"
        + base64.encodebytes(archive()).replace(b"\n", b"\r\n")
        + b"--inner--\r\n"
    )


def archive() -> bytes:
    """A zip file with a page and a zip file in which a text is."""
    return zipped(("page.html", b"<html><body>plans</body></html>"), ("deeper.zip", zipped(("plan.txt", b"Plan A\n"))))


def zipped(*pairs: tuple[str, bytes]) -> bytes:
    """Stored, so that the bytes are the same with every zlib."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
            for name, content in pairs:
                members.writestr(zipfile.ZipInfo(name), content)
        return file.getvalue()

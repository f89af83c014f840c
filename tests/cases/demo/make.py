"""Five things that cross a network: a web page, a gzip-coded download and a zip attachment with EICAR inside, a file by
FTP, and a TLS flow that keeps its content to itself."""

import base64
import gzip
import io
import zipfile
from collections.abc import Iterator
from itertools import chain

from capture import Conversation, eicar
from scapy.packet import Packet

COMMAND = "scan"

CLIENT = "192.0.2.10"  # RFC 5737: addresses for documentation
WEB, MAIL, FILES = "198.51.100.80", "198.51.100.25", "198.51.100.21"

PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body>"
    + b"<p>Nothing to see.</p>\n" * 60
    + b"</body></html>"
)


def packets() -> Iterator[Packet]:
    """All five, one after the other."""
    return chain(web_page(), download(), mail(), ftp(), tls())


def web_page() -> Iterator[Packet]:
    """GET of a page."""
    flow = Conversation(f"{CLIENT}:40001", f"{WEB}:80", at=0.0)
    yield from flow.open()
    yield from flow.orig(b"GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: demo/1.0\r\n\r\n")
    yield from flow.resp(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE)
    yield from flow.close()


def download() -> Iterator[Packet]:
    """A program that is EICAR's test file, coded with gzip for the way."""
    flow = Conversation(f"{CLIENT}:40002", f"{WEB}:8080", at=1.0)
    body = gzip.compress(eicar(), mtime=0)
    yield from flow.open()
    yield from flow.orig(
        b"GET /files/setup.com HTTP/1.1\r\nHost: downloads.example.org\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    yield from flow.resp(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Encoding: gzip\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    yield from flow.close()


def mail() -> Iterator[Packet]:
    """A mail whose attachment is a zip file with EICAR's test file."""
    flow = Conversation(f"{CLIENT}:40003", f"{MAIL}:25", at=2.0)
    yield from flow.open()
    yield from flow.talk(
        b"220 mail.example.org ESMTP\r\n", b"EHLO client.example.net\r\n",
        b"250-mail.example.org\r\n250 8BITMIME\r\n", b"MAIL FROM:<alice@example.net>\r\n",
        b"250 OK\r\n", b"RCPT TO:<bob@example.org>\r\n",
        b"250 OK\r\n", b"DATA\r\n",
        b"354 End data with <CR><LF>.<CR><LF>\r\n", message() + b".\r\n",
        b"250 Queued\r\n", b"QUIT\r\n",
        b"221 Bye\r\n",
    )  # fmt: skip
    yield from flow.close()


def message() -> bytes:
    """The mail itself (RFC 5322, RFC 2046)."""
    return (
        b"From: Alice <alice@example.net>\r\nTo: Bob <bob@example.org>\r\nSubject: The invoice\r\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <1@example.net>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="frontier"\r\n\r\n'
        b"--frontier\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nPlease see what is attached.\r\n"
        b'--frontier\r\nContent-Type: application/zip; name="invoice.zip"\r\nContent-Transfer-Encoding: base64\r\n'
        b'Content-Disposition: attachment; filename="invoice.zip"\r\n\r\n'
        + base64.encodebytes(archive()).replace(b"\n", b"\r\n")
        + b"--frontier--\r\n"
    )


def archive() -> bytes:
    """invoice.zip."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
            members.writestr(zipfile.ZipInfo("readme.txt"), b"Open the other one.\n")
            members.writestr(zipfile.ZipInfo("invoice.com"), eicar())
        return file.getvalue()


def ftp() -> Iterator[Packet]:
    """A text file fetched in passive mode."""
    control = Conversation(f"{CLIENT}:40004", f"{FILES}:21", at=3.0)
    data = Conversation(f"{CLIENT}:40005", f"{FILES}:50000", at=3.05)
    yield from control.open()
    yield from control.talk(
        b"220 Ready\r\n", b"USER anonymous\r\n", b"331 Password\r\n", b"PASS guest@\r\n", b"230 Welcome\r\n",
        b"TYPE I\r\n", b"200 Type set to I\r\n", b"PASV\r\n",
        b"227 Entering Passive Mode (198,51,100,21,195,80)\r\n", b"RETR report.txt\r\n",
    )  # fmt: skip
    yield from data.open()
    control.wait(0.05)
    yield from control.talk(b"150 Opening BINARY mode data connection\r\n")
    data.wait(0.05)
    yield from data.resp(b"Quarterly report\n" * 400)
    yield from data.close()
    control.wait(0.1)
    yield from control.talk(b"226 Transfer complete\r\n", b"QUIT\r\n", b"221 Goodbye\r\n")
    yield from control.close()


def tls() -> Iterator[Packet]:
    """A ClientHello with a server name (RFC 8446, section 4.1.2; RFC 6066, section 3), then what nobody can read."""
    flow = Conversation(f"{CLIENT}:40006", f"{WEB}:443", at=4.0)
    yield from flow.open()
    yield from flow.orig(client_hello(b"secret.example.org"))
    yield from flow.resp(b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + bytes(32) + b"\x00\x13\x01\x00")
    yield from flow.resp(b"\x17\x03\x03\x02\x00" + bytes(range(256)) * 2)
    yield from flow.close()


def client_hello(name: bytes) -> bytes:
    """One record with a handshake message whose only extension is server_name."""
    entry = b"\0" + len(name).to_bytes(2, "big") + name
    extension = b"\0\0" + (len(entry) + 2).to_bytes(2, "big") + len(entry).to_bytes(2, "big") + entry
    body = (
        b"\x03\x03" + bytes(range(32)) + b"\0" + b"\0\2\x13\1" + b"\1\0" + len(extension).to_bytes(2, "big") + extension
    )
    return b"\x16\x03\1" + (len(body) + 4).to_bytes(2, "big") + b"\1" + len(body).to_bytes(3, "big") + body

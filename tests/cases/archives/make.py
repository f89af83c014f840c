"""Downloads of archives: zip in zip, a zip file with an encrypted member, a tar file in gzip, a program with a zip file
behind it, and a small bomb."""

import bz2
import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"


def packets() -> Iterator[Packet]:
    """One connection, a request after the other."""
    flow = Conversation("192.0.2.10:41050", "198.51.100.80:80")
    yield from flow.open()
    for name, content in downloads():
        yield from flow.orig(b"GET /%s HTTP/1.1\r\nHost: files.example.org\r\n\r\n" % name)
        yield from flow.resp(ANSWER % len(content) + content)
    yield from flow.close()


def downloads() -> list[tuple[bytes, bytes]]:
    """What is fetched; stored rather than compressed, so that the bytes are the same with every zlib."""
    nested = zipped(("inner.zip", zipped(("letter.txt", b"Dear Bob\n"))), ("picture.gif", b"GIF89a" + bytes(20)))
    return [
        (b"nested.zip", nested),
        (b"locked.zip", locked()),
        (
            b"backup.tgz",
            gzip.compress(tarred(("etc/motd", b"Welcome\n"), ("bin/tool", b"\x7fELF" + bytes(60))), 0, mtime=0),
        ),
        (b"setup.exe", program() + zipped(("payload.js", b"alert(1)\n"))),
        (b"bomb.zip", bomb()),
    ]


def zipped(*pairs: tuple[str, bytes]) -> bytes:
    """A zip file."""
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
            for name, content in pairs:
                members.writestr(zipfile.ZipInfo(name), content)
        return file.getvalue()


def locked() -> bytes:
    """A zip file whose member has the flag of encryption, and bytes that nobody can read."""
    content = bytearray(zipped(("secret.doc", bytes(range(64)))))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + at] |= 1
    content[content.index(b"\0\1\2\3\4") + 9] ^= 0xFF
    return bytes(content)


def tarred(*pairs: tuple[str, bytes]) -> bytes:
    """A tar file."""
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, content in pairs:
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return file.getvalue()


def program() -> bytes:
    """As much of a Windows program as tells its type."""
    return b"MZ\x90\0".ljust(0x3C, b"\0") + struct.pack("<I", 0x80) + bytes(0x40) + b"PE\0\0" + bytes(300)


def bomb() -> bytes:
    """40 members that all are the same 4 MiB of zeros: overlapping entries, as nobody honest has them."""
    packed = bz2.compress(bytes(4 << 20))
    crc = zlib.crc32(bytes(4 << 20))
    entry = struct.pack("<4s5H3I2H", b"PK\3\4", 46, 0, 12, 0, 0, crc, len(packed), 4 << 20, 1, 0) + b"0" + packed
    record = struct.pack("<4s6H3I5H2I", b"PK\1\2", 46, 46, 0, 12, 0, 0, crc, len(packed), 4 << 20, 1, 0, 0, 0, 0, 0, 0)
    records = (record + b"0") * 40
    return entry + records + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 40, 40, len(records), len(entry), 0)

"""Writes a capture: the frames of some interfaces as pcapng (draft-ietf-opsawg-pcapng), with times in nanoseconds."""

from __future__ import annotations

import struct
from typing import BinaryIO, TypeAlias

SNAP = 262_144  # bytes, as tcpdump says where it keeps all

Interface: TypeAlias = tuple[str, int]  # its name, and the LINKTYPE_ of its frames

_SECTION, _INTERFACE, _ENHANCED = 0x0A0D0D0A, 1, 6
_END, _COMMENT, _NAME, _TSRESOL = 0, 1, 2, 9
_NANOSECONDS = b"\x09"
_PACKET = struct.Struct("<IIIII")


def file_of(alarm: str) -> str:
    """The name of the file with the packets of an alarm, by the alarm's id."""
    return f"{alarm}.pcapng"


class PcapngFile:
    """An open file that gets a section. Interfaces are described as the first packet of each comes."""

    def __init__(self, file: BinaryIO, comment: str) -> None:
        self._file = file
        self._interfaces: dict[Interface, int] = {}
        head = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
        self._block(_SECTION, head + _options((_COMMENT, comment.encode("utf-8", "replace")[:60_000])))

    def packet(self, interface: Interface, time: int, frame: bytes, wire: int) -> None:
        """One frame as it was captured, `wire` bytes long when it passed; `time`: ns since 1970."""
        if (number := self._interfaces.get(interface)) is None:
            number = self._describe(interface)
        head = _PACKET.pack(number, time >> 32, time & 0xFFFFFFFF, len(frame), wire)
        self._block(_ENHANCED, head + _padded(frame))

    def _describe(self, interface: Interface) -> int:
        name, link = interface
        options = _options((_NAME, name.encode("utf-8", "replace")), (_TSRESOL, _NANOSECONDS))
        self._block(_INTERFACE, struct.pack("<HHI", link, 0, SNAP) + options)
        return self._interfaces.setdefault(interface, len(self._interfaces))

    def _block(self, kind: int, body: bytes) -> None:
        size = len(body) + 12
        self._file.write(struct.pack("<II", kind, size) + body + struct.pack("<I", size))


def _options(*pairs: tuple[int, bytes]) -> bytes:
    packed = (struct.pack("<HH", code, len(value)) + _padded(value) for code, value in pairs)
    return b"".join(packed) + struct.pack("<HH", _END, 0)


def _padded(value: bytes) -> bytes:
    """Blocks and options end at a multiple of four bytes."""
    return value + bytes(-len(value) % 4)

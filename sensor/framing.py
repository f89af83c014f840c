"""Builds the frames of countermeasures. Scapy makes the headers, once; each frame fills in what is its own.

Apart from `sensor.frames`, since whoever imports this has Scapy in memory: the injector alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6

from sensor.checksums import header_sum
from sensor.frames import Frame, link_of
from sensor.marks import Mark

_TCP = TCP(sport=0, dport=0, flags=0, window=0, chksum=0)
_TCP_SIZE = len(_TCP)
# With "don't fragment", as hosts send: the identification then says nothing to anybody (RFC 6864).
_V4 = bytes(IP(src="0.0.0.0", dst="0.0.0.0", flags="DF", id=0, len=0, ttl=0, proto=6, chksum=0) / _TCP)[:-_TCP_SIZE]
_V6 = bytes(IPv6(src="::", dst="::", plen=0, hlim=0, nh=6) / _TCP)[:-_TCP_SIZE]


def built(frame: Frame, mark: Mark) -> bytes:
    """The frame as it goes out, with its checksums and our mark. Its link header has to be one (`link_of`)."""
    label, window = mark.of(frame.seq, frame.ack, frame.source_port, frame.target_port)
    segment = _segment(frame, window)
    packet = _HEADERS[len(frame.source)](frame, label, len(segment)) + segment
    return _linked(frame.link, len(packet)) + packet


def readdressed(frame: bytes, target: bytes) -> bytes:
    """The frame, sent to another hardware address."""
    return target + frame[len(target) :]


def _segment(frame: Frame, window: int) -> bytes:
    header = bytearray(_SEGMENT if frame.stamp is None else _STAMPED)
    struct.pack_into("!HHII", header, 0, frame.source_port, frame.target_port, frame.seq, frame.ack)
    struct.pack_into("!BH", header, 13, frame.flags, window)
    if frame.stamp is not None:
        struct.pack_into("!II", header, len(header) - 8, *frame.stamp)
    segment = bytes(header) + frame.payload
    pseudo = frame.source + frame.target + struct.pack("!II", len(segment), 6)
    total = header_sum(pseudo + segment + bytes(len(segment) & 1))
    return segment[:16] + total.to_bytes(2, "big") + segment[18:]


def _v4(frame: Frame, label: int, size: int) -> bytes:
    header = bytearray(_V4)
    struct.pack_into("!HH", header, 2, len(_V4) + size, label & 0xFFFF)
    header[8] = frame.hops
    header[12:20] = frame.source + frame.target
    struct.pack_into("!H", header, 10, header_sum(bytes(header)))
    return bytes(header)


def _v6(frame: Frame, label: int, size: int) -> bytes:
    header = bytearray(_V6)
    struct.pack_into("!IH", header, 0, 6 << 28 | label, size)
    header[7] = frame.hops
    header[8:40] = frame.source + frame.target
    return bytes(header)


def _linked(header: bytes, size: int) -> bytes:
    """The link header, for an IP packet of that size."""
    link = link_of(header)
    if link is None or link.length is None:
        return header
    return header[: link.length] + (size + 2).to_bytes(2, "big") + header[link.length + 2 :]


_SEGMENT = bytes(_TCP)
_STAMP = [("NOP", 0), ("NOP", 0), ("Timestamp", (0, 0))]
_STAMPED = bytes(TCP(sport=0, dport=0, flags=0, window=0, chksum=0, options=_STAMP))
_HEADERS: dict[int, Callable[[Frame, int, int], bytes]] = {4: _v4, 16: _v6}

"""How frames of a sender look where the sensor stands: all before the IP header, and the hops that they have left."""

from __future__ import annotations

from sensor.packets import ETHERNET, PacketBatch

_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")  # IEEE 802.1Q and 802.1ad
_PPPOE, _MPLS = b"\x88\x64", (b"\x88\x47", b"\x88\x48")  # RFC 2516, RFC 3032
_IP = (b"\x08\x00", b"\x86\xdd")


def sent_by(batch: PacketBatch, row: int) -> tuple[bytes, int]:
    """The link header of a packet, and its TTL or hop limit; without a header where it came through a tunnel."""
    frame, network = int(batch.frame[row]), int(batch.network[row])
    link = bytes(batch.buffer[frame:network]) if batch.link == ETHERNET and 0 <= network - frame <= 64 else b""
    ip = bytes(batch.buffer[network : network + 9])
    return link if carries_ip(link) else b"", ip[8] if ip[0] >> 4 == 4 else ip[7]


def carries_ip(link: bytes) -> bool:
    """Whether an Ethernet header, with VLAN tags and then PPPoE or MPLS, is all there is before IP."""
    at = 12
    while link[at : at + 2] in _TAGS:
        at += 4
    kind, rest = link[at : at + 2], link[at + 2 :]
    if kind in _MPLS:
        return len(rest) >= 4 and len(rest) % 4 == 0 and bool(rest[-2] & 1)
    return (kind in _IP and not rest) or (kind == _PPPOE and len(rest) == 8)

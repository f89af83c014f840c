"""How frames of a sender look where the sensor stands: all before the IP header, and the hops that they have left."""

from __future__ import annotations

from sensor.frames import link_of
from sensor.packets import ETHERNET, PacketBatch


def sent_by(batch: PacketBatch, row: int) -> tuple[bytes, int]:
    """The link header of a packet, and its TTL or hop limit; without a header where it came through a tunnel."""
    frame, network = int(batch.frame[row]), int(batch.network[row])
    link = bytes(batch.buffer[frame:network]) if batch.link == ETHERNET and 0 <= network - frame <= 64 else b""
    ip = bytes(batch.buffer[network : network + 9])
    return link if link_of(link) else b"", ip[8] if ip[0] >> 4 == 4 else ip[7]

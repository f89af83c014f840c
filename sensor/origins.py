"""How frames of a sender look where the sensor stands: all before the IP header, and the hops that they have left."""

from __future__ import annotations

from sensor.frames import link_of
from sensor.packets import ETHERNET, PacketBatch

AHEAD = 1000  # ticks, a second of most clocks
_TIMESTAMPS = b"\x08\x0a"  # kind and length of the option


def sent_by(batch: PacketBatch, row: int) -> tuple[bytes, int]:
    """The link header of a packet, and its TTL or hop limit; without a header where it came through a tunnel."""
    frame, network = int(batch.frame[row]), int(batch.network[row])
    link = bytes(batch.buffer[frame:network]) if batch.link == ETHERNET and 0 <= network - frame <= 64 else b""
    ip = bytes(batch.buffer[network : network + 9])
    return link if link_of(link) else b"", ip[8] if ip[0] >> 4 == 4 else ip[7]


def answer_stamp(batch: PacketBatch, row: int) -> tuple[int, int] | None:
    """TSval and TSecr of a segment that answers this one; None where it has none (RFC 7323, section 3).

    The other end may have acknowledged it since, and a TSval below that of the acknowledgment would be an old duplicate
    (section 5): it is what was heard of that clock last, and some.
    """
    begin, end = int(batch.transport[row]) + 20, int(batch.payload[row])
    block, at = bytes(batch.buffer[begin:end]), 0
    while at < len(block) and block[at]:
        if block[at] == 1:
            at += 1
            continue
        if at + 2 > len(block) or block[at + 1] < 2:
            break
        if block[at : at + 2] == _TIMESTAMPS and at + 10 <= len(block):
            said, heard = block[at + 2 : at + 6], block[at + 6 : at + 10]
            return (int.from_bytes(heard, "big") + AHEAD) % (1 << 32), int.from_bytes(said, "big")
        at += block[at + 1]
    return None

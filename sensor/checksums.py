"""TCP checksums (RFC 9293, section 3.1), for the rare segments on which something depends."""

from __future__ import annotations

from sensor.packets import PacketBatch

_LARGEST = 0xFFFF


def tcp_checksum_ok(batch: PacketBatch, row: int) -> bool:
    """Whether the TCP checksum of a row holds; True where it can't be told (a packet cut off)."""
    transport, payload = int(batch.transport[row]), int(batch.payload[row])
    if batch.length[row] != batch.wire_length[row] or payload - transport < 20:
        return True
    end = payload + int(batch.length[row])
    whole = bytes(batch.buffer[transport:end])
    if not any(whole[16:18]):
        return True  # left to the network card
    hi, lo = int(batch.src_hi[row]), int(batch.src_lo[row])
    both = (hi, lo, int(batch.dst_hi[row]), int(batch.dst_lo[row]))
    # The mapped prefix ::ffff:0:0/96 of an IPv4 address adds 0xFFFF, which is zero in ones' complement.
    pseudo = sum(both) + 6 + len(whole)
    total = pseudo + int.from_bytes(whole + b"\0" * (len(whole) % 2), "big")
    return total % _LARGEST == 0

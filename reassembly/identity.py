"""Who talks with whom: the `Flow` that a packet begins."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from reassembly.events import Flow
from reassembly.grouping import Groups
from sensor.packets import ACK, ETHERNET, SYN, TCP, PacketBatch, macs, packed_address

PRIVILEGED = 1024  # where a flow is picked up in the middle, the end with such a port is taken for the responder

End = tuple[bytes, int]  # address and port


def flow_of(batch: PacketBatch, row: int, swapped: bool, midstream: bool) -> Flow:
    """The identity of the flow that a packet begins; `swapped`: the packet comes from the responder."""
    source = packed_address(int(batch.src_hi[row]), int(batch.src_lo[row])), int(batch.sport[row])
    target = packed_address(int(batch.dst_hi[row]), int(batch.dst_lo[row])), int(batch.dport[row])
    source_mac, target_mac = macs(batch, row)
    if swapped:
        source, target, source_mac, target_mac = target, source, target_mac, source_mac
    place = int(batch.vlan[row]), int(batch.time[row]), int(batch.protocol[row])
    return _flow(source, target, place, source_mac, target_mac, batch.capture, midstream)


def begun(batch: PacketBatch, row: int) -> tuple[Flow, bool]:
    """The flow that a packet begins, or is the first to be seen of, and whether its responder sent it."""
    if int(batch.protocol[row]) != TCP:
        return flow_of(batch, row, False, False), False
    flags = int(batch.flags[row])
    swapped = flags & (SYN | ACK) == SYN | ACK if flags & SYN else from_responder(batch, row)
    return flow_of(batch, row, swapped, not flags & SYN), swapped


def from_responder(batch: PacketBatch, row: int) -> bool:
    """Whether a packet that begins a flow in the middle comes from its responder, by the ports."""
    return int(batch.sport[row]) < PRIVILEGED <= int(batch.dport[row])


def _flow(
    source: End,
    target: End,
    place: tuple[int, int, int],
    source_mac: bytes,
    target_mac: bytes,
    capture: str,
    midstream: bool,
) -> Flow:
    tags, time, protocol = place
    seed = b"%b%d %b%d %d %d %d" % (*source, *target, tags, time, protocol)
    return Flow(
        hashlib.blake2b(seed, digest_size=10, usedforsecurity=False).hexdigest(),
        *source,
        *target,
        "tcp" if protocol == TCP else "udp",
        (tags & 0xFFF, tags >> 12) if tags > 0xFFF else (tags,) if tags else (),
        source_mac,
        target_mac,
        time,
        capture,
        midstream,
    )


@lru_cache(1024)  # a link has few, which all flows share
def _cards(head: bytes) -> tuple[bytes, bytes]:
    """The addresses that an Ethernet header begins with."""
    return head[:6], head[6:]


class Firsts:
    """The first packet of each group, for the many flows that begin with a SYN."""

    __slots__ = ("_batch", "_columns", "keys", "sides")

    def __init__(self, batch: PacketBatch, groups: Groups) -> None:
        rows = groups.rows[groups.starts[:-1]]
        self._batch = batch
        self.keys = groups.keys
        self.sides: list[int] = groups.side[groups.starts[:-1]].tolist()
        columns = (
            batch.src_hi, batch.src_lo, batch.sport, batch.dst_hi, batch.dst_lo, batch.dport,
            batch.vlan, batch.time, batch.protocol, batch.frame,
        )  # fmt: skip
        self._columns = list(zip(*(column[rows].tolist() for column in columns), strict=True))

    def flow(self, number: int) -> Flow:
        """The flow that the first packet of a group begins, sent by its originator."""
        src_hi, src_lo, sport, dst_hi, dst_lo, dport, vlan, time, protocol, frame = self._columns[number]
        source_mac = target_mac = b""
        if self._batch.link == ETHERNET:
            target_mac, source_mac = _cards(bytes(self._batch.buffer[frame : frame + 12]))
        source, target = (packed_address(src_hi, src_lo), sport), (packed_address(dst_hi, dst_lo), dport)
        return _flow(source, target, (vlan, time, protocol), source_mac, target_mac, self._batch.capture, False)

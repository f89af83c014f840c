"""TCP (RFC 9293, section 3.1) and UDP (RFC 768) headers of many packets at once: the last columns of a batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sensor.columns import gather
from sensor.network import Datagrams, Rows
from sensor.packets import TCP, UDP, PacketBatch
from sensor.records import Records

_TCP = np.dtype([
    ("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1"),
    ("window", ">u2"), ("sum", ">u2"), ("urgent", ">u2"),
])  # fmt: skip
_UDP = np.dtype([("sport", ">u2"), ("dport", ">u2"), ("length", ">u2"), ("sum", ">u2")])

_NAMES = {1: "icmp", 2: "igmp", 4: "ipip", 41: "ip6_in_ip", 47: "gre", 50: "esp", 51: "ah", 58: "icmp6", 59: "none",
          89: "ospf", 103: "pim", 112: "vrrp", 132: "sctp", 136: "udplite"}  # fmt: skip


def batch(
    buffer: bytes, found: Datagrams, records: Records, capture: str, arrived: int, counters: Counter[str]
) -> PacketBatch:
    """The TCP and UDP packets among these datagrams. Others are counted by name."""
    found = _known(found, counters)
    rows = found.row
    is_udp = found.protocol == UDP
    tcp = gather(buffer, found.transport, _TCP)
    header = (tcp["offset"] >> 4).astype(np.int64) * 4
    header[is_udp] = 8
    promised = found.promised.copy()
    if is_udp.any():
        _udp(buffer, found, np.flatnonzero(is_udp), promised, counters)
        tcp["seq"][is_udp] = 0
        tcp["offset"][is_udp] = 0
        for name in ("ack", "flags", "window", "urgent"):
            tcp[name][is_udp] = 0
    payload = np.minimum(found.transport + header, found.end)
    length = np.minimum(found.end, promised) - payload
    wire = promised - found.transport - header
    good = (header >= np.where(is_udp, 8, 20)) & (wire >= 0)
    if not good.all():
        counters["tcp.bad_header"] += int(np.count_nonzero(~good))
        found, tcp, rows = found.only(good), tcp[good], rows[good]
        payload, length, wire = payload[good], length[good], wire[good]
    return PacketBatch(
        buffer=buffer,
        capture=capture,
        arrived=arrived,
        time=records.time[rows],
        src_hi=found.src_hi,
        src_lo=found.src_lo,
        dst_hi=found.dst_hi,
        dst_lo=found.dst_lo,
        sport=tcp["sport"].astype(np.uint16),
        dport=tcp["dport"].astype(np.uint16),
        protocol=found.protocol,
        vlan=found.vlan,
        seq=tcp["seq"].astype(np.uint32),
        ack=tcp["ack"].astype(np.uint32),
        flags=tcp["flags"].copy(),
        window=tcp["window"].astype(np.uint16),
        urgent=tcp["urgent"].astype(np.uint16),
        frame=records.frame[rows],
        network=found.network,
        transport=found.transport,
        payload=payload,
        length=np.maximum(length, 0).astype(np.int32),
        wire_length=wire.astype(np.int32),
        link=records.link,
        trusted=None if records.trusted is None else records.trusted[rows],
    )


def _known(found: Datagrams, counters: Counter[str]) -> Datagrams:
    """Those of TCP and UDP whose fixed header was captured."""
    known = (found.protocol == TCP) | (found.protocol == UDP)
    if not known.all():
        numbers, counts = np.unique(found.protocol[~known], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            counters["decode." + _NAMES.get(number, "unknown_protocol")] += count
    least = np.where(found.protocol == UDP, 8, 20)
    whole = found.transport + least <= found.end
    cut = known & ~whole
    if cut.any():
        counters["transport.header_cut"] += int(np.count_nonzero(cut))
    return found.only(known & whole)


def _udp(buffer: bytes, found: Datagrams, rows: Rows, promised: NDArray[Any], counters: Counter[str]) -> None:
    """Shortens `promised` to what the UDP headers say. 0 stands for a jumbogram: RFC 2675, section 4."""
    length = gather(buffer, found.transport[rows], _UDP)["length"].astype(np.int64)
    end = found.transport[rows] + length
    lies = (length != 0) & ((length < 8) | (end > promised[rows]))
    if lies.any():
        counters["udp.bad_length"] += int(np.count_nonzero(lies))
    promised[rows] = np.where(lies | (length == 0), promised[rows], end)

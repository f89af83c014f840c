"""The first noun of the walk: some thousands of packets as NumPy columns over one buffer.

A packet is never a Python object on the hot path; what comes next (`reassembly.flows`) sorts and slices these columns.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sensor.noun import unique

Column: TypeAlias = NDArray[np.generic]

TCP, UDP = 6, 17
ETHERNET, COOKED, COOKED2 = 1, 113, 276  # LINKTYPE_ registry: Ethernet, Linux cooked capture 1 and 2

# TCP header flags, RFC 9293, section 3.1.
FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_MAPPED = 0xFFFF << 32  # ::ffff:0:0/96, RFC 4291, section 2.5.5.2


@unique
class PacketBatch:
    """N transport packets (TCP and UDP) in the order of the capture.

    Every column has shape (N,). Offsets are bytes into `buffer`. Addresses are 128 bits in two halves; IPv4 stands in
    its IPv4-mapped form (`::ffff:a.b.c.d`). TCP columns hold 0 where `protocol` is UDP. Fragments appear as the
    datagram they make up, at the time of the last one; its bytes lie at the end of `buffer`.
    """

    buffer: bytes | memoryview
    capture: str  # as it was named on the command line
    arrived: int  # monotonic nanoseconds at which the batch was read
    time: NDArray[np.int64]  # nanoseconds since 1970, UTC, on the wire
    src_hi: NDArray[np.uint64]
    src_lo: NDArray[np.uint64]
    dst_hi: NDArray[np.uint64]
    dst_lo: NDArray[np.uint64]
    sport: NDArray[np.uint16]
    dport: NDArray[np.uint16]
    protocol: NDArray[np.uint8]  # TCP or UDP
    vlan: NDArray[np.uint32]  # outer VLAN id | inner VLAN id << 12; 0 without tags
    seq: NDArray[np.uint32]
    ack: NDArray[np.uint32]
    flags: NDArray[np.uint8]
    window: NDArray[np.uint16]
    urgent: NDArray[np.uint16]  # the urgent pointer
    frame: NDArray[np.int64]  # offset of the link-layer frame
    network: NDArray[np.int64]  # offset of the IP header; for a reassembled datagram, of its rebuilt one
    transport: NDArray[np.int64]  # offset of the TCP or UDP header
    payload: NDArray[np.int64]  # offset of the payload
    length: NDArray[np.int32]  # payload bytes captured
    wire_length: NDArray[np.int32]  # payload bytes that the IP header promises; more than `length` when cut off
    link: int  # link type of the frames (LINKTYPE_ registry)
    trusted: NDArray[np.bool_] | None = None  # where the checksums needn't be looked at; None: nowhere

    def __len__(self) -> int:
        return len(self.time)


def address(hi: int, lo: int) -> str:
    """The text form of an address column pair: dotted for IPv4-mapped, RFC 5952 otherwise."""
    if hi == 0 and lo >> 32 == 0xFFFF:
        return f"{lo >> 24 & 255}.{lo >> 16 & 255}.{lo >> 8 & 255}.{lo & 255}"
    return str(ip_address(hi << 64 | lo))


@lru_cache(4096)  # many flows have few hosts, which share it
def packed_address(hi: int, lo: int) -> bytes:
    """The address in network byte order: 4 bytes for IPv4, 16 for IPv6."""
    if hi == 0 and lo >> 32 == 0xFFFF:
        return (lo & 0xFFFFFFFF).to_bytes(4, "big")
    return (hi << 64 | lo).to_bytes(16, "big")


def mapped(ipv4: int) -> int:
    """The low half of the IPv4-mapped address of a 32-bit address."""
    return _MAPPED | ipv4


def macs(batch: PacketBatch, row: int) -> tuple[bytes, bytes]:
    """Source and destination MAC address of a packet; empty where its link type does not give one."""
    frame = int(batch.frame[row])
    head = bytes(batch.buffer[frame : frame + 18])
    if batch.link == ETHERNET:
        return head[6:12], head[:6]
    # The cooked headers hold the sender's address alone, and its length.
    if batch.link == COOKED and head[4:6] == b"\0\6":
        return head[6:12], b""
    if batch.link == COOKED2 and head[11:12] == b"\6":
        return head[12:18], b""
    return b"", b""

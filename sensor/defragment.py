"""Between the IP layer's columns and `sensor.fragments`: rows to fragments, whole datagrams back to rows."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np

from sensor.checksums import header_sum
from sensor.fragments import Fragment, Fragments
from sensor.link import IPV4, IPV6
from sensor.network import Datagrams, Located


def defragment(
    buffer: bytes, pieces: Datagrams, times: list[int], held: Fragments, counters: Counter[str]
) -> tuple[bytes, Located | None]:
    """Feeds fragments, in order. Gives the buffer with the datagrams that became whole behind it, and where they lie.

    Each takes the row of the fragment that completed it.
    """
    extra: list[bytes] = []
    rows, kinds, vlans = [], [], []
    counters["ip.fragments"] += len(pieces)
    for index, time in enumerate(times):
        piece = _fragment(buffer, pieces, index, time)
        if piece is None:
            counters["ip.fragment_cut"] += 1
            continue
        whole = held.add(piece)
        if whole is not None:
            extra.append(_rebuilt(*whole))
            rows.append(int(pieces.row[index]))
            kinds.append(IPV6 if piece.strict else IPV4)
            vlans.append(int(pieces.vlan[index]))
    if not extra:
        return buffer, None
    sizes = np.array([len(datagram) for datagram in extra], np.int64)
    end = len(buffer) + np.cumsum(sizes)
    located = Located(
        np.array(rows, np.int64), end - sizes, np.array(kinds, np.uint32), end, end, np.array(vlans, np.uint32)
    )
    return b"".join([buffer, *extra]), located


def _fragment(buffer: bytes, pieces: Datagrams, index: int, time: int) -> Fragment | None:
    """One row as a fragment; None when not all of it was captured."""
    network, at, end = int(pieces.network[index]), int(pieces.fragment[index]), int(pieces.end[index])
    if end < pieces.promised[index]:
        return None
    vlan, source, target = int(pieces.vlan[index]), _address(pieces, index, "src"), _address(pieces, index, "dst")
    if buffer[network] >> 4 == 4:
        number, field = struct.unpack_from(">HH", buffer, network + 4)
        transport = int(pieces.transport[index])
        key = (vlan, source, target, number, int(pieces.protocol[index]))
        payload = buffer[transport:end]
        return Fragment(
            key, time, (field & 0x1FFF) * 8, bool(field & 0x2000), buffer[network:transport], payload, False
        )
    following, _, field, number = struct.unpack_from(">BBHI", buffer, at)
    # Of what stood before the fragment header only the fixed header matters to the flow: the rest is not rebuilt.
    header = buffer[network : network + 6] + bytes([following]) + buffer[network + 7 : network + 40]
    return Fragment(
        (vlan, source, target, number), time, field & 0xFFF8, bool(field & 1), header, buffer[at + 8 : end], True
    )


def _address(pieces: Datagrams, index: int, side: str) -> tuple[int, int]:
    return int(getattr(pieces, side + "_hi")[index]), int(getattr(pieces, side + "_lo")[index])


def _rebuilt(header: bytes, payload: bytes) -> bytes:
    """The datagram as its sender made it: lengths and checksum set, no fragment fields."""
    if header[0] >> 4 == 6:
        return header[:4] + struct.pack(">H", len(payload)) + header[6:40] + payload
    bare = header[:2] + struct.pack(">H", len(header) + len(payload)) + header[4:6] + b"\0\0" + header[8:10] + b"\0\0"
    bare += header[12:]
    return bare[:10] + struct.pack(">H", header_sum(bare)) + bare[12:] + payload

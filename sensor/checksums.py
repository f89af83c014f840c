"""Checksums: of IPv4 headers, many at once (RFC 1071), and of the rare TCP segments on which something depends."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from sensor.columns import Headers, Offsets, gather
from sensor.packets import PacketBatch

TRUSTED = 10  # so many headers with a good checksum for each bad one: then the bad ones are no sender's habit

_LARGEST = 0xFFFF


class HeaderSums:
    """The IPv4 header checksums of one capture.

    A host that captures its own packets sees them before the network card fills the checksum in. So a bad one is held
    against its packet only where it isn't 0 and nearly all others are good.
    """

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._good = self._bad = 0

    def wrong(self, buffer: bytes, network: Offsets, end: Offsets, header: Headers, size: Offsets) -> NDArray[np.bool_]:
        """The packets to drop: shape (N,), for IPv4 headers at `network`, their first 20 bytes and their sizes."""
        bad: NDArray[np.bool_] = _folded(header) & (size == 20)
        for longer in set(size[size > 20].tolist()):  # np.unique would import numpy.ma: 8 ms
            rows = np.flatnonzero((size == longer) & (network + longer <= end))
            bad[rows] = _folded(gather(buffer, network[rows], np.dtype(f"V{longer}")))
        bad &= header["sum"] != 0
        count = int(np.count_nonzero(bad))
        self._good += len(bad) - count
        self._bad += count
        if not count:
            return bad
        self._counters["ip.bad_checksum"] += count
        return bad if self._good >= TRUSTED * self._bad else np.zeros(len(bad), np.bool_)


def _folded(headers: Headers) -> NDArray[np.bool_]:
    """Where the ones' complement sum of all 16-bit words isn't all ones. The byte order makes no difference to that."""
    words = headers.view(np.uint16).reshape(len(headers), headers.dtype.itemsize // 2)
    sums = words.sum(axis=1, dtype=np.uint32)
    return np.asarray((sums % _LARGEST != 0) | (sums == 0), np.bool_)


def header_sum(header: bytes) -> int:
    """The checksum of an IPv4 header whose own field is 0 (RFC 791, section 3.1)."""
    total = int.from_bytes(header, "big") % _LARGEST
    return _LARGEST - total


def tcp_checksum_ok(batch: PacketBatch, row: int) -> bool:
    """Whether the TCP checksum of a row holds (RFC 9293, section 3.1); True where it can't be told (packet cut off)."""
    transport, payload = int(batch.transport[row]), int(batch.payload[row])
    if batch.trusted is not None and batch.trusted[row]:
        return True
    if batch.length[row] != batch.wire_length[row] or payload - transport < 20:
        return True
    end = payload + int(batch.length[row])
    whole = bytes(batch.buffer[transport:end])
    hi, lo = int(batch.src_hi[row]), int(batch.src_lo[row])
    both = (hi, lo, int(batch.dst_hi[row]), int(batch.dst_lo[row]))
    # The mapped prefix ::ffff:0:0/96 of an IPv4 address adds 0xFFFF, which is zero in ones' complement.
    pseudo = sum(both) + 6 + len(whole)
    total = pseudo + int.from_bytes(whole + b"\0" * (len(whole) % 2), "big")
    return total % _LARGEST == 0

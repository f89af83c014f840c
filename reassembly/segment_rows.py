"""Rows of a batch to segments, for the flows that need the careful path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

from reassembly.tcp import Segment
from sensor.checksums import tcp_checksum_ok
from sensor.packets import PacketBatch

_END, _NOP, _TIMESTAMPS, _MD5, _AO = 0, 1, 8, 19, 29


def segments_of(batch: PacketBatch, rows: NDArray[Any]) -> Iterator[Segment]:
    """The TCP segments of these rows; their `direction` is 0 and yet to be set."""
    columns = zip(
        rows.tolist(),
        batch.time[rows].tolist(),
        batch.seq[rows].tolist(),
        batch.ack[rows].tolist(),
        batch.flags[rows].tolist(),
        batch.window[rows].tolist(),
        batch.urgent[rows].tolist(),
        batch.transport[rows].tolist(),
        batch.payload[rows].tolist(),
        batch.length[rows].tolist(),
        batch.wire_length[rows].tolist(),
        strict=True,
    )
    for row, time, seq, ack, flags, window, urgent, transport, payload, length, wire_length in columns:
        timestamp, signed = options(bytes(batch.buffer[transport + 20 : payload]))
        yield Segment(
            0,
            time,
            seq,
            ack,
            flags,
            window,
            urgent,
            bytes(batch.buffer[payload : payload + length]),
            wire_length,
            timestamp,
            signed,
            tcp_checksum_ok(batch, row),
        )


def options(block: bytes) -> tuple[int | None, bool]:
    """TSval (RFC 7323, section 3.2), and whether the segment is signed (RFC 2385, RFC 5925)."""
    timestamp, signed, at = None, False, 0
    while at < len(block) and block[at] != _END:
        kind = block[at]
        if kind == _NOP:
            at += 1
            continue
        size = block[at + 1] if at + 1 < len(block) else 0
        if size < 2:
            break
        if kind == _TIMESTAMPS and size == 10 and at + 10 <= len(block):
            timestamp = int.from_bytes(block[at + 2 : at + 6], "big")
        signed |= kind in (_MD5, _AO)
        at += size
    return timestamp, signed

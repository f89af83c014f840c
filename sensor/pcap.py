"""The pcap format: a chunk of a capture file becomes the columns of its records.

Follows draft-ietf-opsawg-pcap (PCAP Capture File Format); the modified form with longer record headers is Alexey
Kuznetzov's (magic 0xa1b2cd34).
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import numpy as np

from sensor.columns import Offsets, gather
from sensor.records import LONGEST_RECORD, Records

HEADER_SIZE = 24
# magic: nanoseconds in one unit of the fraction, size of a record header
_VARIANTS = {0xA1B2C3D4: (1000, 16), 0xA1B23C4D: (1, 16), 0xA1B2CD34: (1000, 24)}


def is_pcap(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a pcap file."""
    return any(int.from_bytes(head[:4], order) in _VARIANTS for order in ("little", "big"))


class Pcap:
    """Reads the records behind one file header of 24 bytes."""

    def __init__(self, header: bytes) -> None:
        order = "<" if int.from_bytes(header[:4], "little") in _VARIANTS else ">"
        magic, _, _, _, _, _, link = struct.unpack(order + "IHHiIII", header)
        self._unit, self._size = _VARIANTS[magic]
        self._length = struct.Struct(order + "I")
        self._layout = _record_layout(order, self._size)
        self.link = link & 0xFFFF  # the upper half: "FCS length" and reserved bits, section 4
        self.damaged: str | None = None

    def records(self, chunk: bytes, counters: Counter[str]) -> tuple[list[Records], int]:
        """The whole records at the start of the chunk, and how many bytes they take."""
        starts, used = self._starts(chunk)
        headers = gather(chunk, starts, self._layout)
        captured = headers["captured"].astype(np.int64)
        absurd = np.flatnonzero(captured > LONGEST_RECORD)
        if len(absurd):
            used = int(starts[absurd[0]])
            self.damaged = f"a record claims {captured[absurd[0]]} bytes"
            starts, headers, captured = starts[: absurd[0]], headers[: absurd[0]], captured[: absurd[0]]
        elif used > len(chunk):  # the last one is not whole
            used = int(starts[-1])
            starts, headers, captured = starts[:-1], headers[:-1], captured[:-1]
        time = headers["seconds"].astype(np.int64) * 1_000_000_000 + headers["fraction"].astype(np.int64) * self._unit
        wire = np.maximum(headers["wire"], captured)
        return [Records(self.link, starts + self._size, captured, wire, time)], used

    def _starts(self, chunk: bytes) -> tuple[Offsets, int]:
        """The offsets of the record headers, and where the next one would begin. The loop that every packet costs."""
        found: list[int] = []
        append, unpack, step = found.append, self._length.unpack_from, self._size
        position, last = 8, len(chunk) - step + 8  # of the captured length, which each turn reads
        while position <= last:
            append(position)
            (length,) = unpack(chunk, position)
            position += length + step
        return np.array(found, np.int64) - 8, position - 8


def _record_layout(order: str, size: int) -> np.dtype[Any]:
    fields = [(name, order + "u4") for name in ("seconds", "fraction", "captured", "wire")]
    return np.dtype(fields + ([("more", "V8")] if size == 24 else []))

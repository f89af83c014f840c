"""The packets of single flows out of many: what a person wants to see who looks into an alarm."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import replace
from heapq import heappop, heappush
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sensor.captures import DEFAULT_FRAGMENTS
from sensor.decode import Decoder
from sensor.noun import noun
from sensor.packets import ETHERNET, PacketBatch
from sensor.pcapng_file import Interface, PcapngFile, file_of
from sensor.records import Records
from sensor.segments import Chunk

FTP = 21
SLACK = 10_000_000  # ns by which two sockets may differ on the time of one packet
LATE = 100_000_000  # ns by which a packet may come behind those of another interface


@noun
class Wanted:
    """A flow, and the time of which its packets are wanted. Addresses are packed, 4 or 16 bytes."""

    id: str
    ends: tuple[tuple[bytes, int], tuple[bytes, int]]  # address and port
    protocol: int
    begin: int  # ns since 1970
    end: int
    since: int  # of the flow's first packet
    control: bool = False  # also FTP's control connections between the two hosts
    comment: str = ""

    @property
    def path(self) -> str:
        """Where the packets are written to."""
        return file_of(self.id)


class Picker:
    """Writes the packets of each wanted flow to a file of its own, in the current directory."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self._wanted = tuple(wanted)
        self._files = ExitStack()
        self._written = [(one, self._file(one)) for one in self._wanted]
        counters: Counter[str] = Counter()
        self._decoder = Decoder("", counters, DEFAULT_FRAGMENTS.kept(counters))

    def pick(self, chunks: Iterable[Chunk]) -> None:
        """Raises OSError: the disk is full. Then no file is left that isn't whole."""
        try:
            for chunk in chunks:
                batch = self._decoder.decode(chunk.buffer, chunk.records, 0)
                for wanted, file in self._written if batch is not None else ():
                    assert batch is not None
                    self._write(file, chunk, _rows(batch, chunk.records, wanted))
            for _, file in self._written:
                file.settle(None)
            self._files.close()
        except OSError:
            for wanted in self._wanted:
                Path(wanted.path + ".part").unlink(missing_ok=True)
            raise
        for wanted in self._wanted:
            Path(wanted.path + ".part").replace(wanted.path)

    def _file(self, wanted: Wanted) -> _Sorted:
        made = os.open(wanted.path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        file = self._files.enter_context(os.fdopen(made, "wb"))
        return _Sorted(PcapngFile(file, wanted.comment))

    def _write(self, file: _Sorted, chunk: Chunk, rows: NDArray[np.int64]) -> None:
        records = chunk.records
        interface = chunk.interface, records.link
        for row in rows.tolist():
            begin = int(records.frame[row])
            frame = bytes(chunk.buffer[begin : begin + int(records.captured[row])])
            tag = int(records.tag[row]) if records.tag is not None and records.link == ETHERNET else 0
            if tag:  # the kernel has taken it off
                frame = frame[:12] + tag.to_bytes(4, "big") + frame[12:]
            file.packet(interface, int(records.time[row]), frame, int(records.wire[row]) + 4 * bool(tag))


class _Sorted:
    """Packets of several interfaces, in order of time."""

    def __init__(self, file: PcapngFile) -> None:
        self._file = file
        self._waiting: list[tuple[int, int, Interface, bytes, int]] = []
        self._count = 0

    def packet(self, interface: Interface, time: int, frame: bytes, wire: int) -> None:
        self._count += 1
        heappush(self._waiting, (time, self._count, interface, frame, wire))
        self.settle(time - LATE)

    def settle(self, until: int | None) -> None:
        """Writes what is older; None: all."""
        while self._waiting and (until is None or self._waiting[0][0] < until):
            time, _, interface, frame, wire = heappop(self._waiting)
            self._file.packet(interface, time, frame, wire)


def _rows(batch: PacketBatch, records: Records, wanted: Wanted) -> NDArray[np.int64]:
    """Rows of the records that hold packets of the flow, of either direction."""
    (one, port), (other, far) = wanted.ends
    both = np.zeros(len(batch), np.bool_)
    for (src, sport), (dst, dport) in (((one, port), (other, far)), ((other, far), (one, port))):
        hosts = _is(batch.src_hi, batch.src_lo, src) & _is(batch.dst_hi, batch.dst_lo, dst)
        ports = (batch.sport == sport) & (batch.dport == dport)
        if wanted.control:
            ports |= (batch.sport == FTP) | (batch.dport == FTP)
        both |= hosts & ports
    both &= (batch.protocol == wanted.protocol) & (batch.time >= wanted.begin) & (batch.time <= wanted.end)
    order = np.argsort(records.frame, kind="stable")
    found = np.searchsorted(records.frame[order], batch.frame[both])
    return np.unique(order[found])


def _is(hi: NDArray[np.uint64], lo: NDArray[np.uint64], packed: bytes) -> NDArray[np.bool_]:
    whole = int.from_bytes(packed.rjust(16, b"\0"), "big") | (0xFFFF << 32 if len(packed) == 4 else 0)
    same: NDArray[np.bool_] = (hi == np.uint64(whole >> 64)) & (lo == np.uint64(whole & (1 << 64) - 1))
    return same


def marked(wanted: Wanted, oldest: int | None) -> tuple[Wanted, bool]:
    """With a comment where the packets that are there begin later than the flow, and whether they do."""
    if oldest is not None and oldest <= wanted.since + SLACK:
        return wanted, False
    return replace(wanted, comment=f"{wanted.comment}; the beginning was no longer, or not yet, recorded"), True

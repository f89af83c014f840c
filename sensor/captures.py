"""The first step of the walk: one capture file, or standard input, becomes batches of decoded packets."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from io import FileIO

from sensor.decode import Decoder
from sensor.packets import PacketBatch
from sensor.pcap import HEADER_SIZE, Pcap, is_pcap
from sensor.records import Format, Records
from sensor.sources import File, Source, pipe

BATCH_BYTES = 16 << 20


class CaptureError(Exception):
    """An input that can't be used. The message is one line: what is wrong and what to do."""


class Capture:
    """One capture as batches. `path` "-" is standard input. Raises CaptureError when it can't be used at all.

    While it is iterated (once), `warnings` says what was lost, `counters` what was not decoded, by name.
    """

    def __init__(self, path: str, *, batch_bytes: int = BATCH_BYTES) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.counters: Counter[str] = Counter()
        self.packets = 0
        self.bytes = 0
        self._batch_bytes = batch_bytes
        self._raw, self._source = _opened(path)
        self._format = _format(path, self._source)
        self._decoder = Decoder(path, self.counters)
        self._cut = Counter[str]()

    @property
    def position(self) -> int:
        """Bytes of the file that have been read: of `size`, also when it is compressed."""
        try:
            return self._raw.tell()
        except OSError:
            return self.bytes

    @property
    def size(self) -> int | None:
        """Bytes of the file; None when nobody knows."""
        size = os.fstat(self._raw.fileno()).st_size
        return size if self._raw.seekable() else None

    def __iter__(self) -> Iterator[PacketBatch]:
        try:
            yield from self._batches()
        finally:
            self._raw.close()
            self._report()

    def _batches(self) -> Iterator[PacketBatch]:
        source, want = self._source, self._batch_bytes
        while chunk := source.read(want):
            arrived = time.monotonic_ns()
            found, used = self._format.records(chunk, self.counters)
            if used == 0 and source.ended:
                self.warnings.append(f"the file is cut off in its last record; {len(chunk)} bytes of it are lost")
                return
            want = self._batch_bytes if used else want * 2
            source.keep_from(chunk, used)
            for records in found:
                self._count(records)
                yield from self._decoder.decode(chunk, records, arrived)
            if self._format.damaged is not None:
                self.warnings.append(f"{self._format.damaged}; nothing behind it can be read")
                return

    def _count(self, records: Records) -> None:
        self.packets += len(records)
        self.bytes += int(records.wire.sum())
        lost = records.wire - records.captured
        self._cut["packets"] += int((lost > 0).sum())
        self._cut["bytes"] += int(lost.sum())

    def _report(self) -> None:
        if self._source.damage is not None:
            self.warnings.append(self._source.damage)
        if self._cut["packets"]:
            self.warnings.append(
                f"{self._cut['packets']} packets were captured incomplete (snap length); "
                f"{self._cut['bytes']} bytes of them are lost"
            )


def open_capture(path: str, *, batch_bytes: int = BATCH_BYTES) -> Capture:
    """Opens a capture. Raises CaptureError: no such file, a directory, no permission, empty, not a capture."""
    return Capture(path, batch_bytes=batch_bytes)


def _opened(path: str) -> tuple[FileIO, Source]:
    try:
        raw = FileIO(sys.stdin.fileno(), closefd=False) if path == "-" else FileIO(path)
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise CaptureError(f"{path}: is a directory; name the capture files in it") from None
    except PermissionError:
        raise CaptureError(f"{path}: no permission to read it") from None
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from None
    source: Source = File(raw) if raw.seekable() else pipe(raw)
    return raw, source


def _format(path: str, source: Source) -> Format:
    head = source.read(HEADER_SIZE)
    if not head:
        raise CaptureError(f"{path}: is empty")
    if is_pcap(head) and len(head) == HEADER_SIZE:
        return Pcap(head)
    raise CaptureError(f"{path}: is not a capture (pcap or pcapng, plain, gzip or zstd)")

"""The first step of the walk: one capture file, or standard input, becomes batches of decoded packets."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from io import FileIO

import numpy as np

from sensor.decode import Decoder
from sensor.fragments import DATAGRAMS, HELD_BYTES, TIMEOUT, Fragments
from sensor.noun import noun
from sensor.packets import PacketBatch
from sensor.pcap import HEADER_SIZE as PCAP_HEADER
from sensor.pcap import Pcap, is_pcap
from sensor.pcapng import Pcapng, is_pcapng
from sensor.records import Format, Records
from sensor.sources import GZIP_MAGIC, ZSTD_MAGIC, File, Source, Stream, inflated, pipe, unpacked_zstd

# Read and decoded at once. Larger ones cost more than they save: each new page of memory is a page fault.
BATCH_BYTES = 4 << 20


class CaptureError(Exception):
    """An input that can't be used. The message is one line: what is wrong and what to do."""


@noun
class FragmentLimits:
    """How IP fragments are put together; see `sensor.fragments` for the reasons."""

    policy: str = "linux"
    datagrams: int = DATAGRAMS
    timeout: float = TIMEOUT
    held_bytes: int = HELD_BYTES

    def kept(self, counters: Counter[str]) -> Fragments:
        """Where they wait for each other."""
        made = Fragments(counters)
        self.hold_for(made)
        return made

    def hold_for(self, fragments: Fragments) -> None:
        """They hold from now on."""
        fragments.change(policy=self.policy, datagrams=self.datagrams, timeout=self.timeout, held_bytes=self.held_bytes)


DEFAULT_FRAGMENTS = FragmentLimits()


class Capture:
    """One capture as batches. `path` "-" is standard input. Raises CaptureError when it can't be used at all.

    It is iterated once; meanwhile `warnings` says what was lost, `counters` what was not decoded, by name, `packets`
    and `bytes` (on the wire) how much was seen, `position` of `size` how far it is in the file.
    """

    def __init__(
        self, path: str, *, batch_bytes: int = BATCH_BYTES, fragments: FragmentLimits = DEFAULT_FRAGMENTS
    ) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.counters: Counter[str] = Counter()
        self.packets = 0
        self.bytes = 0
        self.position = 0
        self._batch_bytes = batch_bytes
        with ExitStack() as until_known:
            self._raw = until_known.enter_context(_opened(path))
            self._source = _decoded(_source(self._raw))
            self._format = _format(path, self._source)
            until_known.pop_all()
        self.size = os.fstat(self._raw.fileno()).st_size if self._raw.seekable() else None
        self.fragments = fragments.kept(self.counters)
        self._decoder = Decoder(path, self.counters, self.fragments)
        self._cut = self._lost = 0

    def __iter__(self) -> Iterator[PacketBatch]:
        try:
            for chunk, found in self.chunks():
                yield from self._batches(chunk, found)
                del chunk, found
        finally:
            self.close()
            self._report()

    def close(self) -> None:
        """Who iterates needn't."""
        self._raw.close()
        self.fragments.close()

    def _batches(self, chunk: bytes, found: list[Records]) -> Iterator[PacketBatch]:
        arrived = time.monotonic_ns()
        for records in found:
            self._count(records)
            batch = self._decoder.decode(chunk, records, arrived)
            if batch is not None:
                yield batch

    def chunks(self) -> Iterator[tuple[bytes, list[Records]]]:
        """Some megabytes at a time, each with the whole records at its start; the rest of it comes again.

        Whoever takes them lets go of one before asking for the next: that has its memory then, warm and mapped.
        """
        source, want = self._source, self._batch_bytes
        while chunk := source.read(want):
            self.position = self._raw.tell() if self.size is not None else self.position + len(chunk)
            found, used = self._format.records(chunk, self.counters)
            source.keep_from(chunk, used)
            size = len(chunk)
            yield chunk, found
            del chunk, found
            if self._format.damaged is not None:
                self.warnings.append(f"damaged: {self._format.damaged}; nothing behind it can be read")
                return
            if not used and source.ended:
                self.warnings.append(f"cut off: {size} bytes of the last record are there, not all of it")
                return
            want = self._batch_bytes if used else want * 2
        if source.lacking():
            self.warnings.append(f"cut off: the last block lacks {source.lacking()} bytes")

    def _count(self, records: Records) -> None:
        self.packets += len(records)
        self.bytes += int(records.wire.sum())
        lost = records.wire - records.captured
        self._cut += int(np.count_nonzero(lost))
        self._lost += int(lost.sum())

    def _report(self) -> None:
        if self._source.damage is not None:
            self.warnings.append(self._source.damage)
        if self._cut:
            cut = f"{self._cut} of {self.packets} packets were not captured whole"
            self.warnings.append(f"{cut} (snap length): {self._lost} bytes are lost")


def open_capture(
    path: str, *, batch_bytes: int = BATCH_BYTES, fragments: FragmentLimits = DEFAULT_FRAGMENTS
) -> Capture:
    """Opens a capture. Raises CaptureError: no such file, a directory, no permission, empty, not a capture."""
    return Capture(path, batch_bytes=batch_bytes, fragments=fragments)


def _opened(path: str) -> FileIO:
    try:
        return FileIO(sys.stdin.fileno(), closefd=False) if path == "-" else FileIO(path)
    except FileNotFoundError:
        raise CaptureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise CaptureError(f"{path}: is a directory; name the captures in it") from None
    except PermissionError:
        raise CaptureError(f"{path}: no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise CaptureError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _source(raw: FileIO) -> Source:
    return File(raw) if raw.seekable() else pipe(raw)


def _decoded(source: Source) -> Source:
    """The source itself, or what is compressed in it."""
    head = source.read(4)
    source.keep_from(head, 0)
    if head[:2] == GZIP_MAGIC:
        return Stream(inflated(source.read))
    if head == ZSTD_MAGIC:
        return Stream(unpacked_zstd(source.read))
    return source


def _format(path: str, source: Source) -> Format:
    head = source.read(PCAP_HEADER)
    if not head:
        raise CaptureError(f"{path}: is empty" + (f" ({source.damage})" if source.damage else ""))
    if is_pcapng(head):
        source.keep_from(head, 0)
        return Pcapng()
    if not is_pcap(head):
        raise CaptureError(f"{path}: is not a capture; pcap and pcapng can be read, plain, gzip or zstd")
    if len(head) < PCAP_HEADER:
        raise CaptureError(f"{path}: is cut off in its header of {PCAP_HEADER} bytes")
    return Pcap(head)

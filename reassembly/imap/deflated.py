"""COMPRESS=DEFLATE: each direction is one raw deflate stream from then on (RFC 4978)."""

from __future__ import annotations

from collections.abc import Iterator

from isal import isal_zlib

from reassembly.builder import Memory
from reassembly.inflate import ERROR

_PIECE = 256 << 10  # of output at once
_RATIO = 100  # out / in beyond `decode_free`: lists of flags may come to 30


class Deflated:
    """One direction. Once its bytes make no sense, nothing more comes out: the window is lost with them."""

    __slots__ = ("_came", "_engine", "_gone", "_memory", "broken")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._engine = isal_zlib.decompressobj(-15)
        self._came = 0
        self._gone = 0
        self.broken = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes say, in pieces."""
        self._came += len(data)
        while not self.broken:
            try:
                piece = self._engine.decompress(data, _PIECE)
            except ERROR:
                self.broken = True
                return
            if not piece:
                return
            self._gone += len(piece)
            yield piece
            self._judge()
            data = self._engine.unconsumed_tail

    def _judge(self) -> None:
        limits = self._memory.limits
        if self._engine.eof:
            self.broken = True
        elif self._gone > limits.decode_free + self._came * _RATIO:
            self._memory.counters["decode_ratio"] += 1
            self.broken = True

"""The content codings one by one, as layers of a `Decoder`: coded bytes in, as they arrive; decoded ones out.

Used by `reassembly.codings`. RFC 9110, section 8.4.1 (gzip, deflate); RFC 7932 (br); RFC 8878 (zstd). Each layer has
`findings`, and `applied`: whether the bytes were of its coding at all; if not, they pass as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeAlias

from reassembly.inflate import UNDECIDED, Budget, Stream, best

_PIECE = 1 << 20  # of output at once


class Inflate:
    """gzip or deflate, whichever it turns out to be. `sure`: the coding was really named, not something like it."""

    __slots__ = ("_budget", "_held", "_passing", "_size", "_stream", "_sure", "applied", "findings", "tail")

    def __init__(self, budget: Budget, sure: bool) -> None:
        self.findings: list[str] = []
        self.applied = True
        self.tail = b""  # what followed the end of the stream
        self._budget = budget
        self._sure = sure
        self._held: list[bytes] = []
        self._size = 0
        self._stream: Stream | None = None
        self._passing = False

    def feed(self, data: bytes) -> list[bytes]:
        """The next coded bytes; what comes out may come later."""
        if self._stream is not None:
            self._stream.feed(data)
            return self._taken(self._stream)
        if self._passing:
            return [self._budget.take(data)]
        self._held.append(data)
        self._size += len(data)
        return self._decide(False) if self._size > UNDECIDED else []

    def finish(self) -> list[bytes]:
        """No more comes: the rest of the output."""
        out = [] if self._stream is not None or self._passing or not self._size else self._decide(True)
        if self._stream is not None:
            self._stream.close()
            self.tail = self._stream.tail if self._stream.ended else b""
            self.findings += self._stream.findings
        return out

    def _decide(self, final: bool) -> list[bytes]:
        data = b"".join(self._held) if len(self._held) > 1 else self._held[0]
        self._held.clear()
        stream = best(data, self._budget, final)
        if stream is None or (not self._sure and stream.score < 4 and final):
            self._passing = True
            self.applied = False
            return [self._budget.take(data)]
        if final and not stream.total and not stream.ended:
            self.findings.append("truncated")
            self.applied = False
            return [self._budget.take(data)]
        self._stream = stream
        return self._taken(stream)

    def _taken(self, stream: Stream) -> list[bytes]:
        out, stream.out = stream.out, []
        return out


class Brotli:
    """br (RFC 7932). It has no magic number: what breaks before anything came out was no br."""

    __slots__ = ("_budget", "_done", "_engine", "_error", "_factory", "_given", "_held", "applied", "findings", "tail")

    def __init__(self, budget: Budget) -> None:
        import brotli  # type: ignore[import-untyped]  # here: most processes never see it

        self.findings: list[str] = []
        self.applied = True
        self.tail = b""
        self._budget = budget
        self._factory: Callable[[], Any] = brotli.Decompressor
        self._engine = self._factory()
        self._error: type[Exception] = brotli.error
        self._held: bytes | None = b""  # what was fed, to find where it breaks
        self._given = 0
        self._done = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next coded bytes."""
        if not self.applied:
            yield self._budget.take(data)
        elif self._done:
            self._over()
        else:
            if self._held is not None:
                self._held = self._held + data if len(self._held) < UNDECIDED else None
            try:
                yield from self._process(self._engine, data)
            except self._error:
                yield from self._broken()

    def _process(self, engine: Any, data: bytes) -> Iterator[bytes]:
        while not self._budget.spent:
            piece = engine.process(data, output_buffer_limit=_PIECE)
            if piece:
                self._given += len(piece)
                yield self._budget.take(piece)
            self._done = engine.is_finished()
            if self._done or engine.can_accept_more_data():
                return
            data = b""

    def _broken(self) -> Iterator[bytes]:
        """The failing call kept its output to itself: feeds again, byte by byte, for what came before the break."""
        engine, given = self._factory(), 0
        held = self._held or b""
        with suppress(self._error):
            for at in range(len(held)):
                piece = engine.process(held[at : at + 1])
                given += len(piece)
                if given > self._given:
                    yield self._budget.take(piece[len(piece) - (given - self._given) :])
                    self._given = given
                if engine.is_finished():
                    self._over()
                    return
        self._done = True
        self.applied = self._given > 0
        if self.applied:
            self.findings.append("bad_brotli")
        else:
            yield self._budget.take(held)

    def _over(self) -> None:
        self._done = True
        if "trailing_data" not in self.findings and "bad_brotli" not in self.findings:
            self.findings.append("trailing_data")

    def finish(self) -> Iterable[bytes]:
        """No more comes. A start that gave nothing is kept as it is."""
        if not self.applied or self._done:
            return ()
        if not self._given and self._held:
            self.applied = False
            return (self._budget.take(self._held),)
        self.findings.append("truncated")
        return ()


class Zstd:
    """zstd (RFC 8878), one or several frames."""

    __slots__ = ("_budget", "_engine", "_error", "_factory", "_head", "_open", "applied", "findings", "tail")
    _SLICE = 256  # a block of 128 KiB may take 4 bytes: more at once could be a gigabyte

    def __init__(self, budget: Budget, window: int) -> None:
        import zstandard  # here: most processes never see it

        self.findings: list[str] = []
        self.applied = True
        self.tail = b""
        self._budget = budget
        self._factory = zstandard.ZstdDecompressor(max_window_size=window)
        self._engine: zstandard.ZstdDecompressionObj | None = None
        self._error: type[Exception] = zstandard.ZstdError
        self._head = b""  # of a frame, while it is shorter than its magic number
        self._open = False  # a frame was seen

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next coded bytes."""
        if not self.applied:
            yield self._budget.take(data)
            return
        data = self._head + data
        self._head = b""
        at = 0
        while at < len(data) and self.applied and not self._budget.spent:
            if self._engine is None and not self._begin(data[at : at + 4]):
                yield b"" if self.applied else self._budget.take(data)
                return
            piece = data[at : at + self._SLICE]
            got, used = self._frame(piece)
            at += used
            yield self._budget.take(got)

    def _begin(self, head: bytes) -> bool:
        """Whether a frame begins with `head`. Once the bytes are no frame, all that comes is passed over or through."""
        if "trailing_data" in self.findings or "bad_zstd" in self.findings:
            return False
        if not _zstd_frame(head):
            self.applied = self._open
            if self._open:
                self.findings.append("trailing_data")
            return False
        if len(head) < 4:
            self._head = head
            return False
        self._open = True
        self._engine = self._factory.decompressobj()
        return True

    def _frame(self, piece: bytes) -> tuple[bytes, int]:
        assert self._engine is not None
        try:
            got = self._engine.decompress(piece)
        except self._error:
            self.findings.append("bad_zstd")
            self._engine = None
            return b"", len(piece)
        if not self._engine.eof:
            return got, len(piece)
        used = len(piece) - len(self._engine.unused_data)
        self._engine = None
        return got, used

    def finish(self) -> Iterable[bytes]:
        """No more comes."""
        if self._head and not self._open:
            self.applied = False
            return (self._budget.take(self._head),)
        if self._engine is not None:
            self.findings.append("truncated")
        return ()


def _zstd_frame(head: bytes) -> bool:
    """RFC 8878, sections 3.1.1 and 3.1.2: a frame, or a skippable one; as far as `head` says."""
    return b"\x28\xb5\x2f\xfd".startswith(head[:4]) or (
        head[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(head[1:4])
    )


Layer: TypeAlias = Inflate | Brotli | Zstd

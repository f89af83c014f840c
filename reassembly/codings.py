"""Content and transfer codings undone as the bytes arrive: gzip, deflate, br, zstd, several on top of each other.

Used by the protocol parsers that know codings. RFC 9110, section 8.4; RFC 7932 (br); RFC 8878 (zstd). What was declared
but not applied passes as it is; what breaks gives what came out before it broke. Findings are names without a prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from reassembly.inflate import UNDECIDED, Budget, Meter, Stream, best, continued
from reassembly.limits import Limits

INFLATE = frozenset(("gzip", "deflate", "x-gzip", "x-deflate"))
IDENTITY = frozenset(("", "identity", "none", "chunked", "binary", "7bit", "8bit", "utf-8", "aws-chunked"))
_PIECE = 1 << 20  # of output at once
_SLICE = UNDECIDED  # of input at once


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
        """No more comes."""
        if self.applied and not self._done:
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
        if self._engine is not None:
            self.findings.append("truncated")
        if self._head and not self._open:
            self.applied = False
            return (self._budget.take(self._head),)
        return ()


def _zstd_frame(head: bytes) -> bool:
    """RFC 8878, sections 3.1.1 and 3.1.2: a frame, or a skippable one; as far as `head` says."""
    return b"\x28\xb5\x2f\xfd".startswith(head[:4]) or (
        head[0] & 0xF0 == 0x50 and b"\x2a\x4d\x18".startswith(head[1:4])
    )


class Decoder:
    """Codings on top of each other. `names` as they were applied: the last one is undone first.

    When it is finished, `findings` says what was odd, `applied` which codings were really there, `failed` that
    something did not decode to its end; `limit` names the limit that stopped it.
    """

    __slots__ = ("_layers", "_limits", "_meter", "_names", "findings")

    def __init__(self, names: Sequence[str], limits: Limits) -> None:
        self._limits = limits
        self._meter = Meter(limits)
        self.findings: list[str] = []
        self._layers: list[Inflate | Brotli | Zstd] = []
        self._names: list[str] = []
        for name in reversed(names):
            self._add(name.lower())

    def _add(self, name: str) -> None:
        if name in IDENTITY:
            return
        if len(self._layers) == self._limits.decode_layers:
            self._meter.limit = "decode_layers"
            return
        self._layers.append(self._layer(name))
        self._names.append(name.removeprefix("x-"))

    def _layer(self, name: str) -> Inflate | Brotli | Zstd:
        budget = Budget(self._meter)
        if name in INFLATE:
            return Inflate(budget, True)
        if name == "br":
            return Brotli(budget)
        if name == "zstd":
            return Zstd(budget, self._limits.zstd_window)
        self._find("unknown_coding")
        return Inflate(budget, False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The next coded bytes; gives the decoded ones that are certain by now. To be run to its end."""
        for at in range(0, len(data), _SLICE):
            piece = data[at : at + _SLICE]
            self._meter.came += len(piece)
            yield from self._through(0, piece)

    def _through(self, index: int, data: bytes) -> Iterator[bytes]:
        if index == len(self._layers):
            yield data
            return
        layer = self._layers[index]
        for at in range(0, len(data), _SLICE):
            for piece in layer.feed(data[at : at + _SLICE]):
                yield from self._through(index + 1, piece)

    def finish(self) -> Iterator[bytes]:
        """The coded bytes are over, by their end or because the rest is lost; gives the rest of the decoded ones."""
        for index, layer in enumerate(self._layers):
            for piece in layer.finish():
                yield from self._through(index + 1, piece)
            for finding in layer.findings:
                self._find(finding)
            if not layer.applied:
                self._find("coding_not_applied")

    def _find(self, finding: str) -> None:
        if finding not in self.findings:
            self.findings.append(finding)

    @property
    def limit(self) -> str | None:
        """The name of the limit that stopped it."""
        return self._meter.limit

    @property
    def applied(self) -> tuple[str, ...]:
        """The codings that were there, outermost first."""
        return tuple(name for name, layer in zip(self._names, self._layers, strict=True) if layer.applied)

    @property
    def failed(self) -> bool:
        """Whether something declared did not decode to its end."""
        return any(finding in _FAILURES for finding in self.findings)

    @property
    def tail(self) -> bytes:
        """What followed the end of a single coding, decoded if it can be; some clients append it to the rest."""
        tail = self._layers[0].tail if len(self._layers) == 1 else b""
        return continued(tail, Budget(self._meter)) if tail.strip(_PADDING) else b""


_PADDING = b"\0\r\n \t"
_FAILURES = frozenset(("bad_deflate", "bad_brotli", "bad_zstd", "truncated", "coding_not_applied"))

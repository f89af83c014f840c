"""Content and transfer codings undone as the bytes arrive: gzip, deflate, br, zstd, several on top of each other.

Used by the protocol parsers that know codings. RFC 9110, section 8.4; RFC 7932 (br); RFC 8878 (zstd). What was declared
but not applied passes as it is; what breaks gives what came out before it broke. Findings are names without a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isal import isal_zlib

from reassembly.inflate import ERROR, RATIO_FLOOR, UNDECIDED, Budget, Meter, continued
from reassembly.layers import Brotli, Inflate, Layer, Zstd
from reassembly.limits import Limits

INFLATE = frozenset(("gzip", "deflate", "x-gzip", "x-deflate"))
IDENTITY = frozenset(("", "identity", "none", "chunked", "binary", "7bit", "8bit", "utf-8", "aws-chunked"))
_SLICE = UNDECIDED  # of input at once


def decoded(names: Sequence[str], data: bytes | memoryview) -> bytes | None:
    """A whole body under gzip alone, where all is by the book and no limit near; None: ask a `Decoder`."""
    if names != _GZIP or data[:4] not in _BY_THE_BOOK or int.from_bytes(data[-4:], "little") > RATIO_FLOOR:
        return None  # the last four bytes are the length of the plain ones
    engine = isal_zlib.decompressobj(31)
    try:
        plain = engine.decompress(data, RATIO_FLOOR)  # checks length and checksum
    except ERROR:
        return None
    return plain if engine.eof and not engine.unused_data else None


_GZIP = ("gzip",)
_BY_THE_BOOK = (b"\x1f\x8b\x08\0", b"\x1f\x8b\x08\x08")  # RFC 1952, section 2.3: no flag, or FNAME


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
        self._layers: list[Layer] = []
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

    def _layer(self, name: str) -> Layer:
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

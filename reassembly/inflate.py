"""gzip, zlib and raw deflate as they are really sent: the kind is told by the bytes, not by what the sender calls it.

Used by `reassembly.codings`. Clients take raw deflate for `deflate` and for `gzip`, ignore checksums, and read what a
broken stream gave before it broke; so does this. RFC 1950 (zlib), RFC 1951 (deflate), RFC 1952 (gzip).
"""

from __future__ import annotations

from dataclasses import field

from isal import isal_zlib

from reassembly.limits import Limits
from sensor.noun import state

UNDECIDED = 32 << 10  # input looked at before the kind is settled: most whole bodies
_PIECE = 1 << 20  # of output at once: a bomb is noticed before it fills the memory
RATIO_FLOOR = 1 << 20  # output below which no ratio is a bomb: 20 bytes of br may well be a page of blanks
_TAIL = 64 << 10  # kept of what follows the end of a stream
_FHCRC, _FEXTRA, _FNAME, _FCOMMENT, _RESERVED = 2, 4, 8, 16, 0xE0  # RFC 1952, section 2.3.1
ERROR: type[Exception] = isal_zlib.error  # type: ignore[assignment]  # its stub says an instance
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\r\n"


@state
class Meter:
    """What came in from the wire for one body, and the name of the limit that stopped its decoding."""

    limits: Limits
    came: int = 0
    limit: str | None = None


@state
class Budget:
    """How many bytes may still come out of one layer of a body."""

    meter: Meter
    taken: int = 0

    @property
    def spent(self) -> bool:
        return self.meter.limit is not None

    def take(self, piece: bytes) -> bytes:
        """As much of `piece` as is allowed."""
        taken = self.taken + len(piece)
        if taken > RATIO_FLOOR:
            piece = self._allowed(piece)
        elif self.meter.limit:
            return b""
        self.taken += len(piece)
        return piece

    def _allowed(self, piece: bytes) -> bytes:
        limits = self.meter.limits
        by_ratio = max(self.meter.came * limits.decode_ratio, RATIO_FLOOR)
        most = 0 if self.meter.limit else min(by_ratio, limits.decode_bytes) - self.taken
        if len(piece) > most:
            name = "decode_ratio" if by_ratio < limits.decode_bytes else "decode_bytes"
            self.meter.limit = self.meter.limit or name
        return piece[:most]


@state
class GzipHeader:
    """Where the deflate data of a member can begin (the likeliest first), and what is odd about its header."""

    ends: list[int]
    findings: list[str] = field(default_factory=list)


def gzip_header(data: bytes) -> GzipHeader | None:
    """The header at the start of `data`; None while it is not whole. `data` begins with the two magic bytes."""
    if len(data) < 10:
        return None
    flags = data[3]
    end = 10
    if flags & _FEXTRA:
        end = 12 + int.from_bytes(data[10:12], "little")
    for flag in (_FNAME, _FCOMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1
            if not end:
                return None
    if end > len(data):
        return None
    header = GzipHeader([end], ["gzip_reserved_flags"] if flags & _RESERVED else [])
    if flags & _FHCRC:
        # Some decoders skip two bytes, others never heard of this flag.
        header.ends.insert(0, end + 2)
        if isal_zlib.crc32(data[:end]) & 0xFFFF != int.from_bytes(data[end : end + 2], "little"):
            header.findings.append("gzip_bad_header_checksum")
    return header


def zlib_header(data: bytes) -> bool:
    """RFC 1950, section 2.2: method 8, and CMF * 256 + FLG is a multiple of 31."""
    return len(data) >= 2 and data[0] & 15 == 8 and not (data[0] << 8 | data[1]) % 31


class Stream:
    """One reading of the input: raw deflate with the trailer of its container, and more members where gzip has them."""

    __slots__ = (
        "_budget", "_check", "_engine", "_held", "broken", "checked", "consumed", "ended", "findings", "kind", "out",
        "produced", "tail", "total",
    )  # fmt: skip

    def __init__(self, kind: str, budget: Budget, findings: list[str] | None = None) -> None:
        self.kind = kind  # "gzip", "zlib", "raw"
        self.findings = list(findings or ())
        self.out: list[bytes] = []
        self.produced = 0  # of this member
        self.total = 0
        self.consumed = 0
        self.broken = False  # the deflate data is invalid
        self.ended = False  # a final block was seen
        self.checked = False  # and the trailer agrees
        self.tail = b""  # what follows
        self._budget = budget
        self._engine = isal_zlib.decompressobj(-15)
        self._check = 1 if kind == "zlib" else 0
        self._held: list[bytes] | None = []  # what was fed, to find where it breaks

    def feed(self, data: bytes) -> None:
        """The next input; the output is appended to `out`."""
        if self.broken or self._budget.spent:
            return
        if self.ended:
            data = self._after(self.tail + data) if len(self.tail) < _TAIL else b""
        while data:
            data = self._member(data)

    def _member(self, data: bytes) -> bytes:
        """Takes the bytes of the present member; gives those of the next."""
        if self._held is not None:
            self._held.append(data)
            if self.consumed > UNDECIDED:
                self._held = None
        self.consumed += len(data)
        self._inflate(data)
        return self._after(self._engine.unused_data) if self.ended else b""

    def _inflate(self, data: bytes) -> None:
        while True:
            try:
                piece = self._engine.decompress(data, _PIECE)
            except ERROR:
                self._break()
                return
            self._give(piece)
            if self._engine.eof:
                self.ended = True
                return
            if len(piece) < _PIECE or self._budget.spent:
                return
            data = self._engine.unconsumed_tail

    def _give(self, piece: bytes) -> None:
        piece = self._budget.take(piece)
        if not piece:
            return
        self.produced += len(piece)
        self.total += len(piece)
        if self.kind == "gzip":
            self._check = isal_zlib.crc32(piece, self._check)
        elif self.kind == "zlib":
            self._check = isal_zlib.adler32(piece, self._check)
        self.out.append(piece)

    def _break(self) -> None:
        """The failing call kept its output to itself: feeds again, byte by byte, for what came before the break."""
        self.broken = True
        if self._held is None:
            return
        engine = isal_zlib.decompressobj(-15)
        seen = 0
        whole = b"".join(self._held)
        try:
            for at in range(len(whole)):
                piece = engine.decompress(whole[at : at + 1])
                seen += len(piece)
                if seen > self.produced:
                    self._give(piece[len(piece) - (seen - self.produced) :])
        except ERROR:
            return

    def _after(self, rest: bytes) -> bytes:
        """The trailer; gives the deflate data of one more member, if there is one."""
        self._held = None
        self.tail = rest[:_TAIL]
        if self.kind == "gzip":
            return self._gzip_trailer()
        if self.kind == "zlib" and not self.checked and len(self.tail) >= 4:
            self.checked = int.from_bytes(self.tail[:4], "big") == self._check
            if self.checked:
                self.tail = self.tail[4:]
        return b""

    def _gzip_trailer(self) -> bytes:
        if not self.checked:
            if len(self.tail) < 8 or int.from_bytes(self.tail[:4], "little") != self._check:
                return b""
            if int.from_bytes(self.tail[4:8], "little") != self.produced & 0xFFFFFFFF:
                self._find("gzip_bad_length")
            self.checked = True
            self.tail = self.tail[8:]
        if self.tail[:3] != b"\x1f\x8b\x08" or (header := gzip_header(self.tail)) is None:
            return b""
        self._find("gzip_members")
        rest = self.tail[header.ends[0] :]
        self.tail = b""
        self.ended = self.checked = False
        self.produced = self._check = self.consumed = 0
        self._engine = isal_zlib.decompressobj(-15)
        self._held = []
        return rest

    def _find(self, finding: str) -> None:
        if finding not in self.findings:
            self.findings.append(finding)

    def close(self) -> None:
        """No more input comes: says what is wrong with the end."""
        if self.broken:
            self._find("bad_deflate")
        elif not self.ended:
            self._find("truncated")
        elif self.kind != "raw" and not self.checked:
            size = 8 if self.kind == "gzip" else 4
            missing = len(self.tail) < size
            self._find("missing_trailer" if missing else "bad_checksum")
            if missing:
                self.tail = b""
        if self.tail and self.ended and not (self.kind == "gzip" and not self.checked and len(self.tail) <= 8):
            self._find("trailing_data")

    @property
    def score(self) -> int:
        """What speaks for this reading: 5 whole and checked, 4 whole, 3 and 2 fine so far, 1 something came."""
        if self.ended:
            return 5 if self.checked else 4
        if self.broken:
            return int(self.kind != "raw" and bool(self.out)) or int(sum(map(len, self.out)) >= 512)
        return 2 if self.kind == "raw" else 3


def attempts(data: bytes) -> list[tuple[str, int, list[str]]]:
    """The ways to read `data`: kind, offset of the deflate data, and findings. The likeliest first."""
    ways: list[tuple[str, int, list[str]]] = []
    if data[:2] == b"\x1f\x8b":
        header = gzip_header(data)
        if header is not None:
            ways += [("gzip", end, header.findings) for end in header.ends]
            ways += [("gzip", end + 2, ["gzip_of_zlib"]) for end in header.ends if zlib_header(data[end : end + 2])]
        ways.append(("gzip", 10, ["gzip_bad_header"]))
        return ways
    if zlib_header(data):
        ways.append(("zlib", 2, []))
    ways.append(("raw", 0, []))
    return ways


def continued(tail: bytes, budget: Budget) -> bytes:
    """What a client makes of the bytes behind the end of a stream that reads on: decoded if they are coded, else as is.

    The stream's trailer may be missing, so that they begin where it should be.
    """
    for skip in (0, 4, 8):
        stream = best(tail[skip:], budget, True)
        if stream is not None and stream.score >= 4:
            return b"".join(stream.out)
    return tail


def is_text(data: bytes) -> bool:
    """Whether it is printable ASCII throughout: deflate data of any length is not."""
    return not data[:4096].translate(None, _TEXT)


def best(data: bytes, budget: Budget, final: bool) -> Stream | None:
    """The best reading of `data`, fed to it already; None if it is no deflate data. `final`: no more input comes."""
    chosen: Stream | None = None
    for kind, offset, findings in attempts(data):
        taken = budget.taken
        stream = Stream(kind, budget, findings)
        stream.feed(data[offset:])
        budget.taken = taken
        if chosen is None or stream.score > chosen.score:
            chosen = stream
        if chosen.score == 5 or (chosen.score >= 3 and not final) or budget.spent:
            break
    if chosen is None or not chosen.score or (chosen.kind == "raw" and is_text(data)):
        return None
    budget.taken += chosen.total
    return chosen

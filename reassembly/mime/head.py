"""A header block as it arrives, up to the line that ends it: between the bytes of a message and `Fields`.

RFC 5322, section 2.1: the body is separated "by an empty line"; mail in the wild lacks it, or hides it.
"""

from __future__ import annotations

from collections.abc import Callable

from reassembly.mime.delimiters import Hit
from reassembly.mime.headers import NAMED, Fields
from reassembly.mime.reading import Reading
from reassembly.partial import Partial

_LINE_COST = 64  # what a line costs beyond its bytes
_MOST_JUNK = 2048  # bytes of lines that are no fields, after the last field: so much is a body without its empty line


class Head:
    """The lines of one header block. `feed` until `over`; then `fields`, and `body`: what was taken but belongs there.

    Turns: `cr_lines` 0: if the message's first line ends in CR alone, all may; `bare_cr` 1: any other may as well;
    `blank_header` 1: a line of white space ends the block; `header_end` 1: lines that are no fields begin the body;
    `boundary_in_header` 1: a delimiter before the empty line is none. `cut`: for a limit, something was left away.
    """

    __slots__ = ("_bytes", "_delimits", "_fielded", "_held", "_junk", "_lines", "_partial", "_reading", "_torn", "body",
                 "cr", "cut", "hit", "over")  # fmt: skip

    def __init__(self, reading: Reading, cr: bool | None, delimits: Callable[[bytes], Hit | None]) -> None:
        self._reading = reading
        self._delimits = delimits
        self.cr = cr  # a CR alone ends lines; None: the first line end will tell
        self._partial = bytearray()
        self._held = Partial(reading)  # counts what stays when no more bytes are here
        self._torn = False  # the line that is on its way is none
        self._lines: list[bytes] = []
        self._bytes = 0
        self._fielded = False
        self._junk: list[bytes] = []  # the last lines if they are no fields, with their ends
        self.body = b""
        self.hit: Hit | None = None  # the delimiter that ended the block
        self.over = False
        self.cut = False

    @property
    def empty(self) -> bool:
        """Nothing has come."""
        return not self._lines and not self._partial and not self._torn

    def feed(self, data: bytes, at: int) -> int:
        """Takes lines from `at` on; gives the offset behind what was taken."""
        lines, size = len(self._lines), self._bytes
        while not self.over and at < len(data):
            end, after = self._line_end(data, at)
            if after == at:
                break  # a CR of which the next byte will tell what it is
            self._hold(data[at : after if end < 0 else end])
            if end >= 0:
                self._ended(data[end:after])
            at = after
        if not self.over:
            self._stay(lines, size)
        return at

    def _stay(self, lines: int, size: int) -> None:
        """More bytes have to come for its end. Without room for these they are left away, from line `lines` on."""
        self._held.hold(self._bytes + len(self._partial) + _LINE_COST * (len(self._lines) + len(self._junk)))
        if self._held.full:
            self._torn, self.cut = self._torn or bool(self._partial), True
            self._partial.clear()
            self._junk.clear()
            del self._lines[lines:]
            self._bytes = size
            self._held.hold(size + _LINE_COST * lines)

    def _line_end(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the line ends and the next begins; -1 and what belongs to it when that isn't here."""
        feed = data.find(b"\n", at)
        if self.cr is not False:
            end = data.find(b"\r", at, feed if feed >= 0 else len(data))
            if end >= 0:
                if end + 1 == len(data):
                    return -1, end
                if data[end + 1] != _LF and self._cr_ends():
                    return end, end + 1
        if feed < 0:
            return -1, len(data) - (data[-1:] == b"\r")
        if self.cr is None:
            self.cr = False
        return (feed - 1 if feed > at and data[feed - 1] == _CR else feed), feed + 1

    def _cr_ends(self) -> bool:
        if self.cr is None:
            self.cr = self._reading.turn("cr_lines") == 0
        return self.cr

    def _hold(self, piece: bytes) -> None:
        limits = self._reading.memory.limits
        room = limits.header_bytes - self._bytes - len(self._partial)
        if len(piece) > room:
            self._reading.memory.counters["header_bytes"] += 1
            self.cut = True
            piece = piece[: max(0, room)]
            self._torn = self._torn or not piece  # the line is left away
        self._partial += piece

    def _ended(self, end: bytes) -> None:
        line = bytes(self._partial)
        self._partial.clear()
        self._bytes += len(line)
        if self._torn:
            self._torn = False
        elif b"\r" in line and self._reading.turn("bare_cr") == 1:
            for one in line.split(b"\r"):
                if not self.over:
                    self._line(one, end)
        else:
            self._line(line, end)

    def _line(self, line: bytes, end: bytes) -> None:
        if not line.strip(b"\r") or (not line.strip(b" \t\r") and self._reading.turn("blank_header") == 1):
            self._empty_line(end)
        elif line[:2] == b"--" and self._delimited(line):
            self._close()
        elif NAMED.match(line) is not None:
            self._fielded = True
            self._junk.clear()
            self._keep(line)
        elif line[:1] in (b" ", b"\t") and not self._junk:
            self._keep(line)
        elif self._junk or self._lines or not line.startswith((b"From ", b">From ")):  # a mailbox's separator, RFC 4155
            self._no_field(line, end)

    def _keep(self, line: bytes) -> None:
        if len(self._lines) < self._reading.memory.limits.header_lines:
            self._lines.append(line)
        else:
            self._reading.memory.counters["header_lines"] += 1
            self.cut = True

    def _no_field(self, line: bytes, end: bytes) -> None:
        self._junk.append(line + end)
        self._keep(line)
        if sum(map(len, self._junk[-200:])) > _MOST_JUNK or len(self._junk) > 200:
            self.body = b"".join(self._junk)
            self.over = True

    def _empty_line(self, end: bytes) -> None:
        """Lines that are no fields stand last: mostly junk, but a body if there is no field at all."""
        if self._junk and (not self._fielded or self._reading.turn("header_end") == 1):
            self.body = b"".join(self._junk) + end
        self.over = True

    def _delimited(self, line: bytes) -> bool:
        hit = self._delimits(line)
        if hit is None or (self._lines and self._reading.turn("boundary_in_header") == 1):
            return False
        self.hit = hit
        return True

    def _close(self) -> None:
        """The block ends without an empty line: lines that are no fields were a body."""
        self.body = b"".join(self._junk).removesuffix(b"\n").removesuffix(b"\r")
        self.over = True

    def gap(self) -> None:
        """Bytes are missing: the line ends here, and what comes until the next line end belongs to none."""
        if self._partial:
            self._ended(b"")
        self._torn = not self.over

    def finish(self) -> None:
        """No more bytes come."""
        if self._partial and not self.over:
            self._ended(b"")
        if not self.over:
            self._close()

    @property
    def fields(self) -> Fields:
        return Fields(self._lines)


_CR, _LF = b"\r\n"

"""uuencode and yEnc to bytes as they arrive: transfer encodings that are older than MIME, or stand inside text.

POSIX.1-2017, uuencode (historical algorithm); yEnc draft 1.3.
"""

from __future__ import annotations

import binascii
import re

BEGIN = re.compile(rb"begin[ \t]+[0-7]{3,4}[ \t]+([^\r\n]*)")
YBEGIN = re.compile(rb"=ybegin [^\r\n]*?name=([^\r\n]*)")
_END = re.compile(rb"end[ \t\r]*$")
_LONGEST_LINE = 8192  # uuencode has 61 characters, yEnc 128 or 256; a longer one is read in pieces
_DOWN_42 = bytes((value - 42) % 256 for value in range(256))
_ESCAPE = re.compile(rb"=(.)", re.DOTALL)


class _Linewise:
    """Cuts whole lines out of what arrives; `over` once the last line was seen."""

    __slots__ = ("_partial", "over")

    def __init__(self) -> None:
        self._partial = b""
        self.over = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of the lines that are complete with `data`."""
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        if len(self._partial) > _LONGEST_LINE:
            lines.append(self._partial)
            self._partial = b""
        return b"".join([self._line(line.rstrip(b"\r")) for line in lines if not self.over])

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: what was left, and about how many decoded bytes are missing."""
        return self.finish(), length

    def finish(self) -> bytes:
        """What is left."""
        line, self._partial = self._partial.rstrip(b"\r"), b""
        return self._line(line) if line and not self.over else b""

    def _line(self, line: bytes) -> bytes:
        raise NotImplementedError


class Uuencode(_Linewise):
    """uuencode; the `begin` line may be missing, and gives `name` when it is there."""

    __slots__ = ("_torn", "name")

    def __init__(self) -> None:
        super().__init__()
        self.name: bytes | None = None
        self._torn = False  # the line that comes lacks its beginning

    def _line(self, line: bytes) -> bytes:
        if self._torn:
            self._torn = False
            return b""
        if _END.match(line):
            self.over = True
            return b""
        begin = BEGIN.match(line)
        if begin is not None:
            self.name = self.name or begin[1].strip()
            return b""
        return uu_line(line)

    def finish(self) -> bytes:
        """What is left. A line without its end may lack bytes, which are not made up."""
        there = max(0, len(self._partial.rstrip(b"\r")) - 1) // 4 * 3
        return super().finish()[:there]

    def gap(self, length: int) -> tuple[bytes, int]:
        """As of all; 63 bytes of text carry 45."""
        left = self.finish()
        self._torn = True
        return left, length * 45 // 63


def uu_line(line: bytes) -> bytes:
    """One line's bytes. Spaces at its end, which are zeros, may have been lost; what is too long is cut."""
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        pass
    size = (line[0] - 32) & 63 if line else 0
    text = line[: 1 + (size * 4 + 2) // 3]
    try:
        return binascii.a2b_uu(text)
    except binascii.Error:
        return b""


class YEnc(_Linewise):
    """yEnc: every byte 42 higher, `=` before one that is 64 higher still."""

    __slots__ = ("name",)

    def __init__(self) -> None:
        super().__init__()
        self.name: bytes | None = None

    def _line(self, line: bytes) -> bytes:
        if line[:2] == b"=y":
            begin = YBEGIN.match(line)
            if begin is not None:
                self.name = self.name or begin[1].strip()
            self.over = line.startswith(b"=yend")
            return b""
        return _ESCAPE.sub(_lowered, line).translate(_DOWN_42)


def _lowered(match: re.Match[bytes]) -> bytes:
    return bytes(((match[1][0] - 64) % 256,))

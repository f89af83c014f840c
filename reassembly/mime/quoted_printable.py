"""Quoted-printable to bytes as it arrives: one of the transfer encodings of a part (RFC 2045, section 6.7).

Bad escapes stay as they are, as its note (2) proposes; clients that drop them are further readings. Soft line breaks
are taken out first, so one inside of an escape, which no encoder makes, doesn't break it.
"""

from __future__ import annotations

import binascii
import re

from reassembly.mime.base64_text import Turn
from reassembly.mime.line_ends import LineEnds

# "Any trailing white space on a Line [...] must be deleted": transports added it.
_TRAILING = re.compile(rb"(?<![ \t])[ \t]{1,1024}+(?=\r?\n)")
_BAD = re.compile(rb"=(?![0-9A-Fa-f]{2})")
_LOWER = re.compile(rb"=(?:[0-9A-F][a-f]|[a-f][0-9A-Fa-f])")
_UPPER = re.compile(rb"=(?:[0-9][A-F]|[A-F][0-9A-F])")
_BAD_WITH_DIGITS = re.compile(rb"=(?![0-9A-Fa-f]{2})[^=\r\n]{0,2}")
_UP_TO_LOWER = re.compile(rb"=[0-9A-F]?[^0-9A-F\r\n=]")
_LONGEST_TAIL = 1024  # white space that may turn out to end a line


class QuotedPrintable:
    """Turns: `quoted_escape` 0 keep, 1 drop with what follows, 2 drop the `=` alone; `quoted_case` 1: lower-case digits
    are no digits, where both are in use; `line_ends` as of `LineEnds`, for what is `binary`.
    """

    __slots__ = ("_carry", "_choices", "_ends", "_long", "_lower", "_open", "_turn", "_upper")

    def __init__(self, turn: Turn, choices: dict[str, int], binary: bool = False) -> None:
        self._turn = turn
        self._ends = LineEnds(turn, choices) if binary else None
        self._choices = choices
        self._carry = b""  # white space and what else may end a line
        self._open = b""  # an escape, without soft line breaks, that isn't whole
        self._long = False
        self._lower = self._upper = False

    def feed(self, data: bytes) -> bytes:
        """The bytes of what is complete with `data`."""
        data = self._carry + data if self._carry else data
        passed = b""
        if self._long:  # white space that went on too long to be held: the rest of it goes the same way
            rest = data.lstrip(b" \t")
            passed, data = data[: len(data) - len(rest)], rest
            self._long = not data
        held = _tail(data)
        self._carry = data[held:]
        if len(self._carry) > _LONGEST_TAIL:
            self._long, self._carry, held = True, b"", len(data)
        return passed + self._lines(data[:held])

    def _lines(self, data: bytes, last: bool = False) -> bytes:
        data = _TRAILING.sub(b"", data)
        if b"=" in data:
            data = data.replace(b"=\r\n", b"=\n").replace(b"=\n", b"")
        data = self._open + data if self._open else data
        whole = len(data) if last else _whole(data)
        self._open = data[whole:]
        return self._decode(data[:whole])

    def _decode(self, data: bytes) -> bytes:
        if self._choices.get("quoted_case") and b"=" in data:
            data = _UP_TO_LOWER.sub(b"", data)
        if self._ends is not None:
            data = self._ends.encoded(data)
        if b"=" in data:
            self._look_at_case(data)
            data = binascii.a2b_qp(self._escapes(data))  # each `=` is followed by two digits now
        if self._ends is not None:
            self._ends.decoded(data)
        return data

    def _escapes(self, data: bytes) -> bytes:
        if _BAD.search(data) is None:
            return data
        self._turn("quoted_escape")
        choice = self._choices.get("quoted_escape", 0)
        if choice == 0:
            return _BAD.sub(b"=3D", data)
        return _BAD_WITH_DIGITS.sub(b"", data) if choice == 1 else _BAD.sub(b"", data)

    def _look_at_case(self, data: bytes) -> None:
        if self._lower and self._upper:
            return
        self._lower = self._lower or _LOWER.search(data) is not None
        self._upper = self._upper or _UPPER.search(data) is not None or _BAD.search(data) is not None
        if self._lower and self._upper:
            self._turn("quoted_case")

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: what was left, and about how many decoded bytes are missing."""
        return self.finish(), length

    def finish(self) -> bytes:
        """What is left: a soft line break at the end is none."""
        left, self._carry = self._carry, b""
        return self._lines(b"" if left.rstrip(b" \t\r") == b"=" else left.rstrip(b" \t"), last=True)


def _tail(data: bytes) -> int:
    """Where bytes begin that mean something else if a line end follows."""
    end = len(data.rstrip(b" \t\r"))
    return end - (data[end - 1 : end] == b"=")


def _whole(data: bytes) -> int:
    """Where an escape or a line end begins that may go on."""
    mark = data.find(b"=", max(0, len(data) - 2))
    return mark if mark >= 0 else len(data) - (data[-1:] == b"\r")

"""Base64 to bytes as it arrives: one of the transfer encodings of a part (RFC 2045, section 6.8).

"Any characters outside of the base64 alphabet are to be ignored"; what padding in the middle means is left open, so do
blank lines and lines of odd lengths. Those are doubts, each read again the other ways (`reassembly.mime.reading`).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import TypeAlias

Turn: TypeAlias = Callable[[str], int]  # a doubt's name to the choice

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_WHITE = b"\r\n \t"
_JUNK = bytes(set(range(256)) - set(_LETTERS) - set(b"="))
_NO_JUNK = _LETTERS + b"=" + _WHITE
_URL_SAFE = bytes.maketrans(b"-_", b"+/")  # RFC 4648, section 5
_MOST_ODD = 100_000  # groups with padding inside a part that are read one at a time, a microsecond each
_LONGEST_LINE = 64 << 10  # where lines count, a longer one counts as several
_BLANK = re.compile(rb"(?:(?<=\n)|^)[ \t\r]*+\n")
_FROM_JUNK = re.compile(rb"[^A-Za-z0-9+/=\r\n \t][^\n]*+")
_GROUPS = re.compile(rb"=*+(?:((?:[A-Za-z0-9+/]{4})++)|([A-Za-z0-9+/][A-Za-z0-9+/=]{3}))")


class Base64:
    """The likely reading: letters make groups of four across lines, junk is skipped.

    Padding inside a group shortens it, between groups it means nothing: so padded blocks can follow each other.
    """

    __slots__ = ("_carry", "_chars", "_held", "_lines", "_odd", "_padded", "_skip", "_turn")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._lines = _LineShape(turn)
        self._held = b""  # the CR of a line end that came in two
        self._carry = b""  # of a group
        self._chars = 0
        self._skip = 0
        self._padded = False
        self._odd = 0

    def feed(self, data: bytes) -> bytes:
        """The bytes of what is complete with `data`."""
        data = self._held + data if self._held else data
        self._held = b"\r" if data[-1:] == b"\r" else b""
        if self._held:
            data = data[:-1]
        text = data.translate(None, _WHITE)
        self._lines.see(data, text)
        self._chars += len(text)
        if self._skip:
            text, self._skip = text[self._skip :], max(0, self._skip - len(text))
        return self._decode(text)

    def _decode(self, text: bytes) -> bytes:
        other = text.translate(None, _LETTERS)
        if other.strip(b"="):
            self._turn("base64_junk")
            text = text.translate(None, _JUNK)
        if not text:
            return b""
        if self._padded and text.strip(b"="):
            self._turn("base64_padding")
        text = self._carry + text
        if b"=" in text:
            return self._groups(text)
        whole = len(text) & ~3
        self._carry = text[whole:]
        return binascii.a2b_base64(text[:whole])

    def _groups(self, text: bytes) -> bytes:
        self._padded = True
        if b"=" in text.rstrip(b"="):
            self._turn("base64_padding")
        if self._odd > _MOST_ODD:
            text = text.replace(b"=", b"")
        out: list[bytes] = []
        end = 0
        for match in _GROUPS.finditer(text):
            end = match.end()
            if match[1] is not None:
                out.append(binascii.a2b_base64(match[1]))
            else:
                out.append(_group(match[2]))
                self._odd += 1
        self._carry = text[end:].lstrip(b"=")
        return b"".join(out)

    def gap(self, length: int) -> tuple[bytes, int]:
        """`length` bytes are missing: what was left, and how many decoded bytes are missing.

        What comes is lined up again by the length of the lines before.
        """
        left = _group(self._carry)
        known = (self._chars - len(self._carry)) // 4 * 3 + len(left)
        self._chars += self._lines.chars_in(length, len(self._held))
        self._carry = self._held = b""
        following = (self._chars + 3) // 4
        self._skip = following * 4 - self._chars
        return left, max(0, following * 3 - known)

    def finish(self) -> bytes:
        """What is left; padding may be missing. Turn `base64_end` 1: such a group is dropped."""
        left, self._carry = _group(self._carry), b""
        return b"" if left and self._turn("base64_end") == 1 else left


def _group(letters: bytes) -> bytes:
    letters = letters.replace(b"=", b"")
    return binascii.a2b_base64(letters + b"==") if len(letters) > 1 else b""


class _LineShape:
    """Watches how long the lines are: for gaps, and for the doubts that depend on lines."""

    __slots__ = ("_blank", "_column", "_data", "_line", "_odd", "_turn")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._column = 0  # characters of the line that is on its way
        self._line: tuple[int, int] | None = None  # characters of the first line, and its length with its end
        self._data = False  # a line with data has ended
        self._blank = False  # and a blank one after it
        self._odd = False  # or it had no whole groups

    def see(self, data: bytes, text: bytes) -> None:
        """The next bytes, and the same without white space."""
        end = b"\r\n" if b"\r\n" in data else b"\n"
        lines = data.split(end)
        plain = self._line is not None and len(data) - len(text) == len(end) * (len(lines) - 1)
        if len(lines) > 2 and plain and all(length and not length % 4 for length in set(map(len, lines[1:-1]))):
            self._ended(len(lines[0]))
            self._ended(len(lines[1]))
            self._goes_on(len(lines[-1]))
        else:
            self._each(data.split(b"\n"), len(end))

    def _each(self, lines: list[bytes], end: int) -> None:
        for line in lines[:-1]:
            length = len(line.translate(None, _WHITE))
            if self._line is None and (length or self._column):
                self._line = (self._column + length, self._column + len(line.rstrip(b"\r")) + end)
            self._ended(length)
        self._goes_on(len(lines[-1].translate(None, _WHITE)))

    def _goes_on(self, length: int) -> None:
        if not length:
            return
        self._column += length
        if self._blank:
            self._turn("base64_blank")
        if self._odd:
            self._turn("base64_lines")

    def _ended(self, length: int) -> None:
        self._goes_on(length)
        if self._column:
            self._data = True
            self._odd = self._odd or self._column % 4 != 0
        elif self._data:
            self._blank = True
        self._column = 0

    def chars_in(self, length: int, ended: int) -> int:
        """How many characters the next `length` bytes hold if the lines go on as they began.

        `ended`: so many bytes of the present line's end have come.
        """
        if self._line is None:
            self._column += length
            return length
        chars, total = self._line
        start, end = self._column, self._column + ended + length
        self._column = min(end % total, chars)
        return end // total * chars + self._column - min(start, chars)


class LinewiseBase64:
    """The readings in which lines count: by `choices`, the turns of `Base64` that were taken another way.

    `base64_junk` 1: junk ends its line, 2: a line with junk is dropped, 3: `-` and `_` are letters (RFC 4648, section
    5). `base64_padding` 1: padding ends the data, 2: padding before letters is zeros. `base64_blank` 1: a blank line
    ends the data, 2: groups begin anew behind it. `base64_lines` 1: groups begin anew on each line.
    """

    __slots__ = ("_choices", "_inner", "_partial", "_started", "_stopped", "_zeros")

    def __init__(self, turn: Turn, choices: dict[str, int]) -> None:
        self._inner = Base64(turn)
        self._choices = choices
        self._partial = b""
        self._started = False
        self._stopped = False
        self._zeros = 0  # padding that is zeros if letters follow

    def feed(self, data: bytes) -> bytes:
        """The bytes of the lines that are complete with `data`."""
        data = self._partial + data
        end = data.rfind(b"\n") + 1
        if len(data) - end > _LONGEST_LINE:
            end = len(data)
        self._partial = data[end:]
        return self._read(data[:end])

    def _read(self, data: bytes) -> bytes:
        if self._stopped or not data:
            return b""
        data = self._junk(data)
        if not self._choices.get("base64_blank"):
            return self._paragraph(data)
        out: list[bytes] = []
        for at, paragraph in enumerate(_BLANK.split(data)):
            if at and self._started:
                self._blank_line()
            if not self._stopped:
                out.append(self._paragraph(paragraph))
        return b"".join(out)

    def _blank_line(self) -> None:
        if self._choices.get("base64_blank") == 1:
            self._stopped = True
        else:
            self._inner.finish()

    def _junk(self, data: bytes) -> bytes:
        choice = self._choices.get("base64_junk", 0)
        if choice == 3:
            return data.translate(_URL_SAFE)
        if not choice or not data.translate(None, _NO_JUNK):
            return data
        if choice == 1:
            return _FROM_JUNK.sub(b"", data)
        return b"".join(line for line in data.splitlines(True) if not line.translate(None, _NO_JUNK))

    def _paragraph(self, data: bytes) -> bytes:
        if self._choices.get("base64_lines"):
            lines = [line.translate(None, _WHITE) for line in data.split(b"\n")]
            data = b"".join([line[: len(line) & ~3] for line in lines])
        text = self._padding(data.translate(None, _WHITE))
        self._started = self._started or bool(text)
        return self._inner.feed(text) if text else b""

    def _padding(self, text: bytes) -> bytes:
        choice = self._choices.get("base64_padding", 0)
        if choice == 1 and b"=" in text:
            self._stopped = True
            return text.partition(b"=")[0]
        if choice == 2:
            body = text.rstrip(b"=")
            zeros, self._zeros = self._zeros, len(text) - len(body) + (0 if body else self._zeros)
            return b"A" * zeros + body.replace(b"=", b"A") if body else b""
        return text

    def gap(self, length: int) -> tuple[bytes, int]:
        """As of `Base64`; these readings have no use for a precise place."""
        left = self._read(self._partial)
        self._partial = b""
        more, missing = self._inner.gap(length)
        return left + more, missing

    def finish(self) -> bytes:
        """What is left."""
        left, self._partial = self._partial, b""
        return self._read(left) + self._inner.finish()

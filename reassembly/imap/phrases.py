"""One direction of IMAP cut into commands or responses, and these into lines and literals (RFC 9051, section 4.3).

Behind missing bytes it goes on at the next line that surely begins a command or response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from reassembly.builder import Origin
from reassembly.events import Data
from reassembly.imap.grammar import LITERAL, SPOKEN
from reassembly.lines import Lines
from sensor.noun import noun


@noun
class Line:
    """A piece of text with its line end. `first` begins a command or response, `literal` bytes follow."""

    text: bytes
    first: bool
    literal: int | None


@noun
class Literal:
    """The next bytes of a literal, and whether they are its last."""

    data: bytes
    over: bool


class Phrases:
    """`at`: offset in the payload that is being read, after the piece that was given last."""

    __slots__ = ("_begins", "_inside", "_left", "_lines", "_lost", "_untouched", "at")

    def __init__(self, origin: Origin, begins: re.Pattern[bytes]) -> None:
        self._begins = begins  # what a line is that surely begins one
        self._lines = Lines(origin, "imap_line_bytes")
        self._left: int | None = None  # of a literal
        self._untouched = False  # nothing of it came yet
        self._inside = False  # the next line goes on
        self._lost = origin.flow.midstream
        self.at = 0

    @property
    def idle(self) -> bool:
        """Between two commands or responses."""
        return not self._inside and self._left is None

    @property
    def in_literal(self) -> bool:
        return self._left is not None

    def read(self, data: Data) -> Iterator[Line | Literal]:
        """The pieces of this payload."""
        payload = data.payload
        self.at = 0
        while self.at < len(payload) or self._left == 0:
            if self._left is not None:
                yield self._literal(payload)
                continue
            text, self.at = self._lines.take(payload, self.at)
            if text is not None and not self._skips(text):
                yield self._line(text)

    def _literal(self, payload: bytes) -> Literal:
        left = self._left or 0
        begin, self.at = self.at, min(len(payload), self.at + left)
        self._untouched = False
        return self._took(left - (self.at - begin), payload[begin : self.at])

    def _took(self, left: int, data: bytes) -> Literal:
        self._left = left or None
        return Literal(data, not left)

    def _skips(self, text: bytes) -> bool:
        if self._lost:
            self._lost = self._begins.match(text) is None
        return self._lost

    def _line(self, text: bytes) -> Line:
        first = not self._inside
        literal = None if first and SPOKEN.match(text) else LITERAL.search(text, max(0, len(text) - 64))
        self._left = int(literal[1]) if literal is not None else None
        self._untouched = self._inside = literal is not None
        return Line(text, first, self._left)

    def miss(self, length: int) -> tuple[int, bool]:
        """So many bytes are missing: how many of them in the literal, and whether it is over with them."""
        if self._left is None:
            self._lose()
            return 0, False
        inside = min(length, self._left)
        over = self._left == inside
        self._left = None if over else self._left - inside
        self._untouched = False
        if length > inside:
            self._lose()
        return inside, over

    def _lose(self) -> None:
        self._lines.torn()
        self._lost, self._inside = True, False

    def close(self) -> None:
        """The line on its way will not end."""
        self._lines.torn()

    def refuse(self) -> None:
        """The literal that was announced will not come: a new command does."""
        if self._untouched:
            self._left, self._inside, self._untouched = None, False, False

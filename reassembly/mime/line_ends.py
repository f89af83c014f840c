"""Line ends of bytes that are no text but travelled as text: CRLF on the wire, the system's own once they are saved."""

from __future__ import annotations

import re
from collections.abc import Callable

_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


class LineEnds:
    """Turn `line_ends` 1: CRLF was LF, in a file with bytes that no text has (RFC 2045, section 6.6: to be coded)."""

    __slots__ = ("_binary", "_breaks", "_short", "_turn")

    def __init__(self, turn: Callable[[str], int], choices: dict[str, int]) -> None:
        self._turn = turn
        self._short = choices.get("line_ends") == 1
        self._binary = self._breaks = False

    def encoded(self, data: bytes) -> bytes:
        """What is left of line ends, which are never cut in two here."""
        if b"\r\n" not in data:
            return data
        self._breaks = True
        self._look()
        return data.replace(b"\r\n", b"\n") if self._short else data

    def decoded(self, data: bytes) -> None:
        """The bytes that come out."""
        if not self._binary and _NO_TEXT.search(data) is not None:
            self._binary = True
            self._look()

    def _look(self) -> None:
        if self._binary and self._breaks:
            self._turn("line_ends")

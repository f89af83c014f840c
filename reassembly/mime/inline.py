"""Files that stand inside the text of a part: uuencode, yEnc, BinHex, and multiparts that no header announces.

Between a part's decoded bytes and objects of their own. The text itself stays an object as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from reassembly.builder import Builder, Origin
from reassembly.mime.binhex import END as BINHEX_END
from reassembly.mime.binhex import MARK as BINHEX
from reassembly.mime.binhex import BinHex
from reassembly.mime.charsets import text
from reassembly.mime.delimiters import LONGEST_BOUNDARY
from reassembly.mime.leaf import Inside
from reassembly.mime.line_starts import LineStarts, end_of_line
from reassembly.mime.names import LONGEST_NAME
from reassembly.mime.reading import Reading
from reassembly.mime.uuencode import BEGIN, YBEGIN, Uuencode, YEnc

_LONGEST_LINE = LONGEST_BOUNDARY + 256  # of one that begins a file
_MARKS = (b"begin", b"=ybegin ", b"--", BINHEX)
_HEADER_NAME = 64  # of a delimiter's next line
_UU_END = re.compile(rb"^end[ \t]*\r?\n", re.MULTILINE)
_Y_END = re.compile(rb"^=yend[^\r\n]*\r?\n", re.MULTILINE)
_ENDS: dict[type, re.Pattern[bytes]] = {Uuencode: _UU_END, YEnc: _Y_END, BinHex: BINHEX_END}
_HEADER = re.compile(rb"content-[a-z-]{1,40}[ \t]*:", re.IGNORECASE)
_SPACE = b" \t\r\n"
FileDecoder: TypeAlias = Uuencode | YEnc | BinHex


class Inline:
    """Looks at lines that begin in one of a few ways, and at the first one. `hidden` makes what reads the parts between
    delimiters, or for None a header and its body.

    A multipart without an announced boundary (`expected`) is believed without a header behind its first delimiter.
    """

    __slots__ = (
        "_at", "_begun", "_data", "_decoder", "_expected", "_file", "_found", "_fresh", "_hidden", "_origin",
        "_reading", "_starts",
    )  # fmt: skip

    def __init__(
        self, reading: Reading, origin: Origin, hidden: Callable[[bytes | None], Inside], expected: bool = False
    ) -> None:
        self._reading = reading
        self._origin = origin
        self._hidden = hidden
        self._expected = expected
        self._data = b""
        self._at = 0  # what lies before this offset of the data is done with
        self._starts = LineStarts(b"", _MARKS)
        self._fresh = True  # the data begins a line
        self._begun = False  # its first line was looked at
        self._file: Builder | None = None
        self._decoder: FileDecoder | None = None
        self._found: Inside | None = None

    def feed(self, data: bytes) -> None:
        """The next decoded bytes."""
        if self._found is not None:
            self._found.feed(data)
            return
        self._put(self._data[self._at :] + data if self._at < len(self._data) else data)
        while self._step(False):
            pass

    def _put(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._starts = LineStarts(data, _MARKS)

    def _step(self, last: bool) -> bool:
        """Passes one line that may begin a file, or the whole of one that is open."""
        if self._decoder is not None:
            return self._inside_file()
        if not self._begun:
            return self._begin(last)
        data = self._data
        start = self._at if self._fresh and data.startswith(_MARKS, self._at) else self._starts.next(self._at)
        if start < 0:
            self._leave_tail(last)
            return False
        end = end_of_line(data, start, _LONGEST_LINE)
        if not last and self._waits(start, end):
            self._at, self._fresh = start, True
            return False
        if end < 0 and len(data) - start >= _LONGEST_LINE:
            self._at, self._fresh = start + 1, False
        else:
            self._marked(start, end if end >= 0 else len(data))
        return self._found is None and self._at < len(self._data)

    def _begin(self, last: bool) -> bool:
        """A text that begins like a header: an empty line too many stood before it."""
        line = self._data[:_HEADER_NAME]
        if not last and len(line) < _HEADER_NAME and b"\n" not in line:
            return False
        self._begun = True
        if _HEADER.match(line) is not None:
            self._found = self._hidden(None)
            self._found.feed(self._data)
            self._at = len(self._data)
        return self._found is None

    def _waits(self, start: int, end: int) -> bool:
        """The line is not complete, or it may be a delimiter and the next line will tell."""
        if end < 0:
            return len(self._data) - start < _LONGEST_LINE
        delimiter = self._data.startswith(b"--", start)
        return delimiter and len(self._data) - end < _HEADER_NAME and end_of_line(self._data, end, _HEADER_NAME) < 0

    def _leave_tail(self, last: bool) -> None:
        """All but the beginning of what may become such a line is let go."""
        data = self._data
        start = max(data.rfind(b"\n", self._at), data.rfind(b"\r", self._at)) + 1
        at_line_start = start > 0 or self._fresh
        start = max(start, self._at)
        tail = data[start:]
        if not last and at_line_start and len(tail) < len(BINHEX) and any(mark.startswith(tail) for mark in _MARKS):
            self._at, self._fresh = start, True
        else:
            self._at, self._fresh = len(data), False

    def _marked(self, start: int, end: int) -> None:
        line = self._data[start:end].rstrip(_SPACE)
        self._at, self._fresh = end, True
        if (begin := BEGIN.match(line)) is not None:
            self._open(Uuencode(), "uuencode", begin[1])
        elif (begin := YBEGIN.match(line)) is not None:
            self._open(YEnc(), "yenc", begin[1])
        elif line.startswith(BINHEX):
            self._open(BinHex(), "binhex", b"")
        elif line[:2] == b"--" and self._delimits(line, end):
            self._found = self._hidden(line[2:].strip())
            self._found.feed(self._data[start:])
            self._at = len(self._data)

    def _delimits(self, line: bytes, end: int) -> bool:
        boundary = line[2:].strip()
        if not boundary.strip(b"-_= ") or boundary.endswith(b"--"):
            return False
        if _HEADER.match(self._data, end):
            return True
        return self._expected and not self._data[end : end + 1].strip(_SPACE)

    def _open(self, decoder: FileDecoder, coding: str, name: bytes) -> None:
        self._decoder = decoder
        self._file = self._reading.open(self._origin, text(name.strip())[:LONGEST_NAME] or None, None)
        if self._file is not None:
            self._file.codings = (coding,)

    def _inside_file(self) -> bool:
        """Whole lines to the decoder, up to the one that says it is over."""
        decoder = self._decoder
        assert decoder is not None
        match = _ENDS[type(decoder)].search(self._data, self._at)
        end = match.end() if match is not None else self._data.rfind(b"\n", self._at) + 1
        if end <= self._at:
            return False
        self._write(decoder.feed(self._data[self._at : end]))
        self._at = end
        if decoder.over:
            self._close(None)
        return decoder.over and self._at < len(self._data)

    def _write(self, decoded: bytes) -> None:
        if self._file is not None:
            self._file.write(decoded)

    def _close(self, cut: str | None) -> None:
        file, decoder = self._file, self._decoder
        self._file = self._decoder = None
        if file is None or decoder is None:
            return
        if not file.name and decoder.name:
            file.name = text(decoder.name)[:LONGEST_NAME]
        if file.size or file.missing:
            self._reading.done.append(file.finish(self._reading.time, cut))
        else:
            file.drop()

    def gap(self, length: int) -> None:
        """So many decoded bytes are missing."""
        if self._found is not None:
            self._found.gap(length)
        elif self._decoder is not None:
            left, missing = self._decoder.gap(length)
            self._write(left)
            if self._file is not None:
                self._file.gap(missing)
        self._put(b"")
        self._fresh, self._begun = False, True

    def finish(self, cut: str | None) -> None:
        """The text is over."""
        while self._found is None and self._step(True):
            pass
        if self._found is not None:
            self._found.finish(cut)
        if self._decoder is not None:
            self._write(self._decoder.feed(self._data[self._at :]) + self._decoder.finish())
            self._close(cut)
        self._put(b"")

    def drop(self) -> None:
        """The text is no part after all; nor is what it was about to hold."""
        if self._found is not None:
            self._found.drop()
        if self._file is not None:
            self._file.drop()
            self._file = None

"""Files that stand inside the text of a part: uuencode, yEnc, and multiparts that no header announces.

Between a part's decoded bytes and objects of their own. The text itself stays an object as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from reassembly.builder import Builder, Origin
from reassembly.mime.charsets import text
from reassembly.mime.leaf import Inside
from reassembly.mime.names import LONGEST_NAME
from reassembly.mime.reading import Reading
from reassembly.mime.uuencode import BEGIN, YBEGIN, Uuencode, YEnc

_LONGEST_LINE = 1024  # of one that begins a file
_MARKS = (b"begin", b"=ybegin ", b"--")
_LINE = re.compile(rb"[^\r\n]*")
_BREAK = re.compile(rb"\r\n|\n|\r")
_HEADER = re.compile(rb"content-[a-z-]{1,40}[ \t]*:", re.IGNORECASE)
_SPACE = b" \t\r\n"


class Inline:
    """Looks at lines that begin in one of a few ways. `multipart` makes what reads the parts between delimiters.

    A multipart without an announced boundary (`expected`) is believed without a header behind its first delimiter.
    """

    __slots__ = ("_data", "_decoder", "_expected", "_file", "_found", "_fresh", "_multipart", "_origin", "_reading")

    def __init__(
        self, reading: Reading, origin: Origin, multipart: Callable[[bytes], Inside], expected: bool = False
    ) -> None:
        self._reading = reading
        self._origin = origin
        self._multipart = multipart
        self._expected = expected
        self._data = b""
        self._fresh = True  # the data begins a line
        self._file: Builder | None = None
        self._decoder: Uuencode | YEnc | None = None
        self._found: Inside | None = None

    def feed(self, data: bytes) -> None:
        """The next decoded bytes."""
        if self._found is not None:
            self._found.feed(data)
            return
        self._data = self._data + data if self._data else data
        while self._step(False):
            pass

    def _step(self, last: bool) -> bool:
        if self._decoder is not None:
            return self._inside_file()
        start = self._next_mark()
        if start < 0:
            return False
        end = _end_of_line(self._data, start)
        if end < 0 and not last and len(self._data) - start < _LONGEST_LINE:
            self._leave(start)
            return False
        after = _end_of_line(self._data, end) if end >= 0 else -1
        if after < 0 and not last and self._data[start : start + 2] == b"--" and len(self._data) - end < _LONGEST_LINE:
            self._leave(start)
            return False
        self._marked(start, end if end >= 0 else len(self._data))
        return self._found is None and bool(self._data)

    def _next_mark(self) -> int:
        """The offset of the first line that may begin a file; without one, all but the last line's begin is let go."""
        data = self._data
        if self._fresh and data.startswith(_MARKS):
            return 0
        found = [at + 1 for mark in _MARKS for brk in (b"\n", b"\r") if (at := data.find(brk + mark)) >= 0]
        if found:
            return min(found)
        last = max(data.rfind(b"\n"), data.rfind(b"\r"))
        tail = data[last + 1 :]
        if (last >= 0 or self._fresh) and any(mark.startswith(tail) for mark in _MARKS):
            self._leave(last + 1)
        else:
            self._data, self._fresh = b"", False
        return -1

    def _leave(self, start: int) -> None:
        self._data, self._fresh = self._data[start:], True

    def _marked(self, start: int, end: int) -> None:
        line = self._data[start:end].rstrip(_SPACE)
        if (begin := BEGIN.match(line)) is not None:
            self._open(Uuencode(), begin[1], end)
        elif (begin := YBEGIN.match(line)) is not None:
            self._open(YEnc(), begin[1], end)
        elif line[:2] == b"--" and self._delimits(line, end):
            self._found = self._multipart(line[2:].strip())
            self._found.feed(self._data[start:])
            self._data = b""
        else:
            self._data, self._fresh = self._data[end:], True

    def _delimits(self, line: bytes, end: int) -> bool:
        boundary = line[2:].strip()
        if not boundary.strip(b"-_= ") or boundary.endswith(b"--"):
            return False
        if _HEADER.match(self._data, end):
            return True
        return self._expected and not self._data[end : end + 1].strip(_SPACE)

    def _open(self, decoder: Uuencode | YEnc, name: bytes, end: int) -> None:
        self._decoder = decoder
        self._file = self._reading.open(self._origin, text(name.strip())[:LONGEST_NAME] or None, None)
        if self._file is not None:
            self._file.codings = ("uuencode" if isinstance(decoder, Uuencode) else "yenc",)
        self._data, self._fresh = self._data[end:], True

    def _inside_file(self) -> bool:
        """Whole lines to the decoder, up to the one that says it is over."""
        decoder = self._decoder
        assert decoder is not None
        end = self._data.rfind(b"\n") + 1
        if not end:
            return False
        at = _file_end(self._data, end, isinstance(decoder, YEnc))
        self._write(decoder.feed(self._data[:at]))
        self._data = self._data[at:]
        if decoder.over:
            self._close(None)
        return decoder.over and bool(self._data)

    def _write(self, decoded: bytes) -> None:
        if self._file is not None:
            self._file.write(decoded)

    def _close(self, cut: str | None) -> None:
        file, self._file, self._decoder = self._file, None, None
        if file is None:
            return
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
        self._data, self._fresh = b"", False

    def finish(self, cut: str | None) -> None:
        """The text is over."""
        while self._found is None and self._step(True):
            pass
        if self._found is not None:
            self._found.finish(cut)
        if self._decoder is not None:
            self._write(self._decoder.feed(self._data) + self._decoder.finish())
            self._close(cut)
        self._data = b""

    def drop(self) -> None:
        """The text is no part after all; nor is what it was about to hold."""
        if self._found is not None:
            self._found.drop()
        if self._file is not None:
            self._file.drop()
            self._file = None


def _end_of_line(data: bytes, start: int) -> int:
    """The offset behind the line's end, -1 if that isn't here."""
    match = _LINE.match(data, start)
    assert match is not None
    end = _BREAK.match(data, match.end())
    if end is None or (end[0] == b"\r" and end.end() == len(data)):
        return -1
    return end.end()


_UU_END = re.compile(rb"^end[ \t]*\r?\n", re.MULTILINE)
_Y_END = re.compile(rb"^=yend[^\r\n]*\r?\n", re.MULTILINE)


def _file_end(data: bytes, end: int, yenc: bool) -> int:
    """The offset behind the line that ends a file, at most `end`."""
    match = (_Y_END if yenc else _UU_END).search(data, 0, end)
    return match.end() if match is not None else end

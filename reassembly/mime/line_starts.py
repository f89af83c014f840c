"""Where lines begin and end in bytes of which most are passed over at once. A CR alone ends a line as well."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"[\r\n]")
_LF = 10
_NONE = -2


class LineStarts:
    """The offsets at which a line begins with one of `marks`, in order; linear, however many there are."""

    __slots__ = ("_data", "_found", "_needles")

    def __init__(self, data: bytes, marks: tuple[bytes, ...] = (b"--",)) -> None:
        self._data = data
        self._needles = [end + mark for mark in marks for end in (b"\n", b"\r")]
        self._found = [-1] * len(self._needles)  # the line end before the next of each

    def next(self, at: int) -> int:
        """The first offset behind `at`, -1 without. `at` must not decrease."""
        first = _NONE
        for kind, found in enumerate(self._found):
            if -1 <= found < at:
                found = self._data.find(self._needles[kind], at)
                self._found[kind] = found = found if found >= 0 else _NONE
            if found >= 0 and (first < 0 or found < first):
                first = found
        return first + 1 if first >= 0 else -1


def end_of_line(data: bytes, start: int, longest: int) -> int:
    """The offset behind the end of the line, -1 if that isn't here or its CR may be followed by LF."""
    match = _LINE_END.search(data, start, start + longest)
    if match is None:
        return -1
    end = match.end()
    if data[end - 1] == _LF:
        return end
    if end == len(data):
        return -1
    return end + 1 if data[end] == _LF else end

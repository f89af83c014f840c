"""The walk through the parts of one message: header, body, delimiter, header ... Between its bytes and its parts.

RFC 2046, section 5.1. Bytes may come in any pieces; the same parts come out.
"""

from __future__ import annotations

import re

from reassembly.builder import Builder, Origin
from reassembly.mime.delimiters import LONGEST_BOUNDARY, Delimiters, Hit, Level
from reassembly.mime.encodings import PLAIN
from reassembly.mime.facts import facts_of
from reassembly.mime.head import Head
from reassembly.mime.inline import Inline
from reassembly.mime.leaf import Inside, Leaf
from reassembly.mime.line_starts import LineStarts, end_of_line
from reassembly.mime.part import PLAIN_TEXT, Part, described
from reassembly.mime.reading import Reading

_LONGEST_LINE = LONGEST_BOUNDARY + 256  # of a delimiter: hyphens and white space around its boundary
_BREAK_AT_END = re.compile(rb"(?:\r\n|\n|\r)-?\Z")


class Walk:
    """One message, or one multipart inside text. Finished parts go to the reading.

    `feed` and `gap` in order, then `finish` or `drop`.
    """

    __slots__ = (
        "_at", "_cr", "_data", "_delimiters", "_depth", "_fresh", "_head", "_holed", "_leaf", "_origin",
        "_over", "_path", "_preamble", "_reading", "_root", "_starts",
    )  # fmt: skip

    def __init__(
        self, reading: Reading, origin: Origin, path: str = "", depth: int = 0, boundary: bytes | None = None
    ) -> None:
        self._reading = reading
        self._origin = origin
        self._path = path  # of the message, without the number of its parts
        self._depth = depth  # messages around this one
        self._data = b""
        self._at = 0  # what lies before this offset of the data is done with
        self._starts = LineStarts(b"")
        self._fresh = True  # the data at the offset begins a line
        self._cr: bool | None = None
        self._delimiters = Delimiters(reading)
        self._leaf: Leaf | None = None
        self._preamble = False  # the leaf is what stands before the first delimiter
        self._root = boundary is None and not path
        self._holed = False  # bytes of the header are missing
        self._over = False  # there were too many parts
        self._head: Head | None = None
        if boundary is None:
            self._head = Head(reading, None, self._delimiters.match)
        else:
            self._delimiters.push(Level((boundary,), path, found=True))

    def feed(self, data: bytes) -> None:
        """The next bytes."""
        if not self._over:
            self._put(self._data[self._at :] + data if self._at < len(self._data) else data)
            while self._at < len(self._data) and self._step(False):
                pass

    def _put(self, data: bytes) -> None:
        self._data, self._at = data, 0
        self._starts = LineStarts(data)

    def _step(self, last: bool) -> bool:
        return self._header(last) if self._head is not None else self._text(last)

    def _header(self, last: bool) -> bool:
        head = self._head
        assert head is not None
        self._at = head.feed(self._data, self._at)
        if last and not head.over:
            if self._at < len(self._data):
                head.feed(self._data[self._at :] + b"\n", 0)
                self._at = len(self._data)
            if head.empty:
                self._head = None
                return False
            head.finish()
        if not head.over:
            return False
        self._cr = head.cr
        self._head = None
        self._begin(head)
        return not self._over

    def _begin(self, head: Head) -> None:
        fields = head.fields
        levels = self._delimiters.levels
        default = "message/rfc822" if levels and levels[-1].digest and not levels[-1].closed else PLAIN_TEXT
        part = described(fields, self._reading, default, self._next_path())
        if self._root and not levels and not self._reading.addressed:
            self._reading.addressed = True
            self._reading.facts.update(facts_of(fields))
        self._open(part, head.cut)
        if head.hit is not None:
            self._give(head.body)
            self._delimited(head.hit)
        elif head.body:
            self._put(head.body + self._data[self._at :])
        self._fresh = True

    def _next_path(self) -> str:
        """RFC 3501, section 6.4.5: parts are counted from 1 at each level."""
        levels = self._delimiters.levels
        if levels:
            return f"{levels[-1].path}.{levels[-1].parts}" if levels[-1].path else str(levels[-1].parts)
        return f"{self._path}.1" if self._path else "1"

    def _open(self, part: Part, cut: bool) -> None:
        levels = self._delimiters.levels
        limits = self._reading.memory.limits
        nested = part.multipart and len(levels) < limits.mime_depth
        path = str(part.facts["tapscan.mime.path"])
        self._leaf = leaf = Leaf(self._reading, self._origin, part)
        if cut and leaf.builder is not None:
            leaf.builder.find("mime.header_limit")
        leaf.turns.holed = self._holed
        if self._holed and leaf.builder is not None:
            leaf.builder.cut = leaf.builder.cut or "gap"
            leaf.builder.find("mime.gap_in_header")
        self._holed = False
        if part.multipart and not nested and leaf.builder is not None:
            leaf.builder.limit("mime_depth")
        self._preamble = nested
        leaf.inside = self._inside(leaf.builder, part, path)
        if nested:
            digest = part.type == "multipart/digest"
            self._delimiters.push(Level(part.boundaries, path if levels else self._path, digest))

    def _inside(self, builder: Builder | None, part: Part, path: str) -> Inside | None:
        """What looks for more inside a part: a walk through a message, or for files in text."""
        if builder is None:
            return None
        if not (part.text or part.message or part.encoding == PLAIN):
            return None
        if self._depth >= self._reading.memory.limits.mime_messages:
            if part.message:
                builder.limit("mime_messages")
            return None
        origin = self._origin if part.multipart else self._origin.inside(builder)
        reading, depth = self._reading, self._depth + 1
        if part.message:
            return Walk(reading, origin, path, depth)

        def hidden(boundary: bytes | None) -> Walk:  # keeps nothing that keeps it
            builder.find("mime.hidden_multipart" if boundary is not None else "mime.hidden_header")
            return Walk(reading, origin, "" if part.multipart else path, depth, boundary)

        return Inline(reading, origin, hidden, part.multipart and not part.boundaries)

    def _text(self, last: bool) -> bool:
        """A body up to a delimiter, or as much of it as is sure to be no delimiter."""
        if not self._delimiters.levels:
            self._keep_from(len(self._data))
            return False
        data = self._data
        at = self._at if self._fresh and data.startswith(b"--", self._at) else self._starts.next(self._at)
        while at >= 0:
            if self._delimiters.possible(data, at):
                end = end_of_line(data, at, _LONGEST_LINE)
                short = len(data) - at < _LONGEST_LINE
                if end < 0 and short and not last:
                    self._keep_from(self._before_break(at))
                    return False
                if (end >= 0 or short) and self._ended_by(at, end if end >= 0 else len(data)):
                    return True
            at = self._starts.next(at)
        self._rest(last)
        return False

    def _ended_by(self, at: int, end: int) -> bool:
        """Whether the line from `at` to `end` is a delimiter; then the body before it is over.

        A CR alone ends a line for some clients. Turn `bare_cr` 1: not here.
        """
        hit = self._delimiters.match(self._data[at:end].rstrip(b"\r\n"))
        bare = at > self._at and self._data[at - 1] == _CR and not self._cr
        if hit is None or (bare and self._reading.turn("bare_cr") == 1):
            return False
        self._give(self._data[self._at : self._before_break(at)])
        self._at = end
        self._delimited(hit)
        return True

    def _rest(self, last: bool) -> None:
        """No delimiter is here; the line end before the next one belongs to it and is not given away."""
        data = self._data
        match = None if last else _BREAK_AT_END.search(data, max(self._at, len(data) - 3))
        if match is not None:
            self._keep_from(match.start())
        elif last or not (self._fresh and data[self._at :] == b"-"):
            self._keep_from(len(data))

    def _keep_from(self, start: int) -> None:
        if start > self._at:
            self._give(self._data[self._at : start])
            self._at = start
            self._fresh = False

    def _before_break(self, at: int) -> int:
        """Where the line end before `at` begins: it belongs to the delimiter (RFC 2046, section 5.1.1)."""
        if at - 2 >= self._at and self._data[at - 2 : at] == b"\r\n":
            return at - 2
        return max(self._at, at - 1)

    def _give(self, data: bytes) -> None:
        if self._leaf is not None and data:
            self._leaf.feed(data)

    def _delimited(self, hit: Hit) -> None:
        """A delimiter line: what is inside its multipart ends, a part begins unless it was the last."""
        self._end_leaf(None)
        levels = self._delimiters.levels
        while len(levels) - 1 > hit.index:
            self._delimiters.pop()
        self._fresh = True
        level = levels[hit.index]
        level.closed = hit.closes
        if self._reading.full:
            self._over = True
        elif not hit.closes:
            level.parts += 1
            self._head = Head(self._reading, self._cr, self._delimiters.match)

    def _end_leaf(self, cut: str | None, last: bool = False) -> None:
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            return
        levels = self._delimiters.levels
        if self._preamble and levels and levels[-1].hits:
            leaf.drop()  # "implementations must ignore anything that appears before the first boundary delimiter line"
        else:
            leaf.finish(cut, bool(levels) and not self._preamble, last)
        self._preamble = False

    def gap(self, length: int) -> None:
        """So many bytes are missing."""
        if self._head is not None:
            self._head.gap()
            self._holed = True
            return
        self._keep_from(len(self._data))
        self._fresh = False
        if self._leaf is not None:
            self._leaf.gap(length)

    def finish(self, cut: str | None) -> None:
        """No more bytes come; `cut`: why, when the message is not over."""
        while not self._over and (self._head is not None or self._at < len(self._data)) and self._step(True):
            pass
        self._end_leaf(cut, last=cut is None)

    def drop(self) -> None:
        """What was about to come is no part after all."""
        leaf, self._leaf = self._leaf, None
        if leaf is not None:
            leaf.drop()


_CR = 13

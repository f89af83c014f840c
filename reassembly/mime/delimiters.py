"""The multiparts that are open, and which line delimits which: RFC 2046, section 5.1.1."""

from __future__ import annotations

from collections import Counter
from dataclasses import field

from reassembly.mime.reading import Reading
from sensor.noun import noun, state

LONGEST_BOUNDARY = 8 << 10  # RFC 2046, section 5.1.1, allows 70; clients compare what is there


@state
class Level:
    """One multipart. `boundaries`: all readings of its boundary."""

    boundaries: tuple[bytes, ...]
    path: str  # of its parts, without their number
    digest: bool = False  # its parts are messages by default (RFC 2046, section 5.1.5)
    parts: int = 0
    closed: bool = False
    found: bool = False  # the boundary was taken from the body
    hits: set[bytes] = field(default_factory=set)


@noun
class Hit:
    """A delimiter line: of the level at `index` of the stack."""

    index: int
    closes: bool


class Delimiters:
    """The stack of open multiparts, outermost first."""

    __slots__ = ("_at", "_begins", "_lengths", "_reading", "levels")

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.levels: list[Level] = []
        self._at: dict[bytes, list[int]] = {}  # boundary to the levels that have it
        self._lengths: Counter[int] = Counter()  # of boundaries
        self._begins: tuple[bytes, ...] = ()  # what a delimiter has after its hyphens

    def push(self, level: Level) -> None:
        """One more multipart inside the last."""
        choice = self._reading.choices.get("boundary", 0)
        if choice and len(level.boundaries) >= choice:
            level.boundaries = level.boundaries[choice - 1 : choice]
        level.boundaries = tuple(dict.fromkeys(self._compared(one) for one in level.boundaries))
        for boundary in level.boundaries:
            self._at.setdefault(boundary, []).append(len(self.levels))
            self._lengths[len(boundary)] += 1
        self.levels.append(level)
        self._look()

    def _look(self) -> None:
        found = any(level.found for level in self.levels)
        self._begins = (b"",) if found else (b" ", b"\t", b"\r", b"\v", b"\f", *self._at)

    def possible(self, data: bytes, at: int) -> bool:
        """Whether the line at `at` may be a delimiter: most that begin with two hyphens are none."""
        return data.startswith(self._begins, at + 2) or at + 2 + LONGEST_BOUNDARY > len(data)

    def _compared(self, boundary: bytes) -> bytes:
        """Turn `boundary_space`: 0 the white space around a boundary does not count, 1 it does."""
        stripped = boundary.strip()
        if stripped != boundary and self._reading.turn("boundary_space") == 1:
            return boundary.rstrip(b"\r\n")
        return stripped

    def pop(self) -> None:
        """The innermost is over."""
        level = self.levels.pop()
        for boundary in level.boundaries:
            self._at[boundary].pop()
            if not self._at[boundary]:
                del self._at[boundary]
            self._lengths[len(boundary)] -= 1
            if not self._lengths[len(boundary)]:
                del self._lengths[len(boundary)]
        self._look()

    def match(self, line: bytes) -> Hit | None:
        """What this line, which begins with two hyphens and comes without its end, delimits."""
        rest = line[2:] if self._reading.choices.get("boundary_space") else line[2:].strip()
        hit = self._exact(rest) or self._prefixed(rest)
        if hit is None or not self._outer_wins(hit):
            return None
        return hit

    def _exact(self, rest: bytes) -> Hit | None:
        if rest in self._at:
            return self._named(rest, False)
        if rest.endswith(b"--"):
            for boundary in (rest[:-2].strip(), rest[:-2]):
                if boundary in self._at:
                    return self._named(boundary, True)
        return self._cut_short(rest)

    def _named(self, boundary: bytes, closes: bool) -> Hit:
        indexes = self._at[boundary]
        index = next((one for one in reversed(indexes) if not self.levels[one].closed), indexes[-1])
        level = self.levels[index]
        level.hits.add(boundary)
        if len(level.hits) > 1:
            self._reading.turn("boundary")
        return Hit(index, closes)

    def _cut_short(self, rest: bytes) -> Hit | None:
        """The end of a multipart whose boundary was found, not told: what followed the boundary is not part of it."""
        if not self.levels or not self.levels[-1].found or not rest.endswith(b"--") or len(rest) < 6:
            return None
        known = self.levels[-1].boundaries[0]
        return Hit(len(self.levels) - 1, True) if known.startswith(rest[:-2]) else None

    def _prefixed(self, rest: bytes) -> Hit | None:
        """RFC 2046: "An exact match of the entire candidate line is not required; it is sufficient that the boundary
        appear in its entirety following the CRLF." Many clients do require it."""
        for length in sorted(self._lengths, reverse=True):
            boundary = rest[:length]
            if len(rest) > length and boundary in self._at:
                if self._reading.turn("boundary_prefix"):
                    return None
                return self._named(boundary, rest[length : length + 2] == b"--")
        return None

    def _outer_wins(self, hit: Hit) -> bool:
        """A delimiter of an outer multipart ends the inner one; in the other reading only once that was closed."""
        if all(level.closed for level in self.levels[hit.index + 1 :]):
            return True
        return self._reading.turn("nesting") == 0

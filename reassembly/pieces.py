"""Files that come in pieces, by several messages of one or more flows: their bytes, until all of one are there.

Between finished objects and the one that they are together. What belongs together, the protocol says.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from contextlib import suppress
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, TypeAlias

from reassembly.limits import Limits
from reassembly.objects import Content

SMALLEST_FILE = 64 << 10  # of a whole that is put together on disk

Span: TypeAlias = tuple[int, int]  # half-open
Key: TypeAlias = tuple[object, ...]


class Puzzle:
    """One file. `spans`: what is there, in order, none touching the next."""

    __slots__ = ("_total", "bytes", "held", "spans")

    def __init__(self, total: int, directory: str | None) -> None:
        self._total = total
        self.bytes: IO[bytes] = BytesIO() if total < SMALLEST_FILE else TemporaryFile(dir=directory)  # noqa: SIM115 - closed by who takes it
        self.spans: list[Span] = []
        self.held = 0  # bytes that are there

    @property
    def solved(self) -> bool:
        return self.spans == [(0, self._total)]

    def add(self, begin: int, content: Content) -> None:
        """A piece; where another one was before, the last one counts."""
        self.bytes.seek(begin)
        for chunk in content.chunks():
            self.bytes.write(chunk)
        end = begin + content.size
        first = bisect_left(self.spans, begin, key=lambda span: span[1])
        behind = bisect_right(self.spans, end, key=lambda span: span[0])
        known = self.spans[first:behind]
        whole = min([begin, *(span[0] for span in known)]), max([end, *(span[1] for span in known)])
        self.spans[first:behind] = [whole]
        self.held += whole[1] - whole[0] - sum(span[1] - span[0] for span in known)


class Pieces:
    """All files of which pieces came; over the limits, the one that grew longest ago goes."""

    __slots__ = ("_counters", "_directory", "_files", "held", "limits")

    def __init__(self, limits: Limits, counters: Counter[str], directory: str | None = None) -> None:
        self.limits = limits
        self._counters = counters
        self._directory = directory
        self._files: dict[Key, Puzzle] = {}
        self.held = 0

    def __len__(self) -> int:
        return len(self._files)

    def add(self, key: Key, begin: int, total: int, content: Content) -> IO[bytes] | None:
        """A piece of the file of this key and size. Gives the whole file when it is there; the taker closes it."""
        if total > self.limits.joined_bytes:
            return None
        if (puzzle := self._grown(key, begin, total, content)) is None:
            return None
        if puzzle.solved:
            puzzle.bytes.seek(0)
            return puzzle.bytes
        self._files[key] = puzzle
        self.held += puzzle.held
        self._shrink()
        return None

    def _grown(self, key: Key, begin: int, total: int, content: Content) -> Puzzle | None:
        """The file with its new piece, for now kept by nobody; None when there is no room for it on the disk."""
        puzzle = self._files.pop(key, None)
        self.held -= puzzle.held if puzzle else 0
        try:
            puzzle = puzzle or Puzzle(total, self._directory)
            puzzle.add(begin, content)
            puzzle.bytes.flush()
        except OSError:
            self._counters["disk"] += 1
            if puzzle is not None:
                with suppress(OSError):  # what is in its buffer finds no room either
                    puzzle.bytes.close()
            return None
        return puzzle

    def _shrink(self) -> None:
        limits = self.limits
        while len(self._files) > limits.joined_files or self.held > limits.joined_bytes:
            self._counters["joined_files" if len(self._files) > limits.joined_files else "joined_bytes"] += 1
            self._drop(next(iter(self._files)))

    def clear(self) -> None:
        """No more pieces come."""
        for key in [*self._files]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        puzzle = self._files.pop(key)
        self.held -= puzzle.held
        puzzle.bytes.close()

"""Where the bytes of a capture come from: a file, standard input, or a gzip or zstd stream of either.

All give the same: `read` some megabytes, then `keep_from` the offset behind the last whole record.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from io import FileIO
from typing import IO, Protocol, TypeAlias, cast

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
SMALLEST_READ = 256 << 10  # of a pipe or a compressed stream at once
IDLE = 0.05  # seconds without a byte on a pipe after which what has come is handed on: a live capture waits no longer

Fetch: TypeAlias = Callable[[int], bytes]  # at most so many bytes; none at the end


class Source(Protocol):
    """Bytes in order. `ended`: the last `read` reached the end. `damage`: why the stream ended before its end."""

    ended: bool
    damage: str | None

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end, or where a pipe stays silent."""
        ...

    def keep_from(self, chunk: bytes, used: int) -> None:
        """The next `read` begins `used` bytes behind the start of the last chunk, inside it or beyond."""
        ...

    def lacking(self) -> int:
        """How many bytes of what was to be passed over the source did not have, once it has ended."""
        ...


class File:
    """A plain file: what was not used is read again, not copied."""

    def __init__(self, raw: FileIO) -> None:
        self._raw = raw
        self.ended = False
        self.damage: str | None = None

    def read(self, size: int) -> bytes:
        chunk = self._raw.read(size) or b""
        self.ended = len(chunk) < size
        return chunk

    def keep_from(self, chunk: bytes, used: int) -> None:
        self._raw.seek(used - len(chunk), os.SEEK_CUR)

    def lacking(self) -> int:
        return max(0, self._raw.tell() - os.fstat(self._raw.fileno()).st_size)


class Stream:
    """What can be read only once. Holds the rest of the last chunk."""

    def __init__(self, fetch: Fetch, silent: Callable[[], bool] = lambda: False) -> None:
        self._fetch = fetch
        self._silent = silent
        self._rest = b""
        self._skip = 0
        self.ended = False
        self.damage: str | None = None

    def read(self, size: int) -> bytes:
        self._pass_over()
        parts, held = [self._rest], len(self._rest)
        while held < size and not self.ended and not (held > len(self._rest) and self._silent()):
            part = self._more(min(size - held, max(SMALLEST_READ, size // 4)))
            self.ended = not part
            parts.append(part)
            held += len(part)
        self._rest = b""
        return b"".join(parts)

    def keep_from(self, chunk: bytes, used: int) -> None:
        self._rest = chunk[used:]
        self._skip = max(0, used - len(chunk))

    def lacking(self) -> int:
        return self._skip

    def _pass_over(self) -> None:
        while self._skip and not self.ended:
            part = self._more(min(self._skip, SMALLEST_READ))
            self._skip -= len(part)
            self.ended = not part

    def _more(self, size: int) -> bytes:
        try:
            return self._fetch(size)
        except (EOFError, ValueError) as damage:  # what a broken coding raises, see `inflated` and `unpacked_zstd`
            self.damage = str(damage)
            return b""


def pipe(raw: FileIO) -> Stream:
    """Standard input or a FIFO."""

    def silent() -> bool:
        return not select.select([raw], [], [], IDLE)[0]

    return Stream(lambda size: raw.read(size) or b"", silent)


def inflated(fetch: Fetch) -> Fetch:
    """A gzip stream decoded, member after member (RFC 1952, section 2.2). EOFError: cut off; ValueError: damaged."""
    from isal import isal_zlib  # costs some milliseconds, as zstandard does: only where it is needed

    state = isal_zlib.decompressobj(31)
    waiting = b""

    def more(size: int) -> bytes:
        nonlocal state, waiting
        while True:
            if state.eof:
                waiting = (state.unused_data or fetch(SMALLEST_READ)).lstrip(b"\0")  # padding of tapes and blocks
                if not waiting:
                    return b""
                if not GZIP_MAGIC.startswith(waiting[:2]):
                    raise ValueError("what follows the gzip stream is none; it is ignored")
                state = isal_zlib.decompressobj(31)
            waiting = waiting or fetch(SMALLEST_READ)
            try:
                out: bytes = state.decompress(waiting, size)
            except isal_zlib.error as damage:  # type: ignore[misc]  # its stub has a variable there
                raise ValueError(f"the gzip stream is damaged ({damage})") from None
            ended, waiting = not waiting, state.unconsumed_tail
            if out:
                return out
            if ended and not state.eof:
                raise EOFError("the gzip stream is cut off")

    return more


def unpacked_zstd(fetch: Fetch) -> Fetch:
    """A zstd stream decoded, frame after frame (RFC 8878). EOFError: cut off; ValueError: damaged."""
    from zstandard import ZstdDecompressor, ZstdError

    class Input:
        """What the stream reader reads from; it remembers nothing but the position in the frames."""

        def read(self, size: int) -> bytes:
            return fetch(max(size, 1))

    reader = ZstdDecompressor().stream_reader(cast(IO[bytes], Input()), read_across_frames=True)

    def more(size: int) -> bytes:
        try:
            return reader.read(size)
        except ZstdError as damage:
            raise ValueError(f"the zstd stream is damaged ({damage})") from None

    return more

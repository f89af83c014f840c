"""What a capture format gives to decoding: the frames of one chunk, their lengths and when they passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sensor.noun import unique

LONGEST_RECORD = 1 << 20  # bytes; libpcap ends at 256 KiB, Linux's BIG TCP at 512 KiB: more is a damaged file


@unique
class Records:
    """N frames of one link type, in the order of the capture. Every column has shape (N,)."""

    link: int  # LINKTYPE_ registry
    frame: NDArray[np.int64]  # offset of the frame in the chunk
    captured: NDArray[np.int64]  # bytes of it in the chunk
    wire: NDArray[np.int64]  # bytes it had on the wire; never less than `captured`
    time: NDArray[np.int64]  # nanoseconds since 1970, UTC
    tag: NDArray[np.uint32] | None = None  # type << 16 | control, where the kernel took the outermost off; or 0
    trusted: NDArray[np.bool_] | None = None  # its checksums are good, or not filled in yet, says the kernel

    def __len__(self) -> int:
        return len(self.frame)

    def only(self, rows: NDArray[np.int64], moved: int = 0) -> Records:
        """These rows, in this order; `moved`: how far their chunk has moved on."""
        columns = self.frame[rows] + moved, self.captured[rows], self.wire[rows], self.time[rows]
        tag = None if self.tag is None else self.tag[rows]
        trusted = None if self.trusted is None else self.trusted[rows]
        return Records(self.link, *columns, tag, trusted)


def together(parts: Sequence[tuple[bytes, Records]]) -> tuple[bytes, Records]:
    """Chunks one after the other, of one link type, and their records."""
    if len(parts) == 1:
        return parts[0]
    records = [one for _, one in parts]
    base = np.cumsum([0, *(len(chunk) for chunk, _ in parts[:-1])])
    return b"".join([chunk for chunk, _ in parts]), Records(
        records[0].link,
        np.concatenate([one.frame + start for one, start in zip(records, base.tolist(), strict=True)]),
        np.concatenate([one.captured for one in records]),
        np.concatenate([one.wire for one in records]),
        np.concatenate([one.time for one in records]),
        _all([one.tag for one in records], records, np.uint32),
        _all([one.trusted for one in records], records, np.bool_),
    )


def _all(columns: Sequence[NDArray[Any] | None], records: Sequence[Records], kind: type[Any]) -> NDArray[Any] | None:
    """A column that not all have: zeros where it lacks; None where nobody has it."""
    if all(column is None for column in columns):
        return None
    filled = (np.zeros(len(one), kind) if it is None else it for it, one in zip(columns, records, strict=True))
    return np.concatenate([*filled])


class Format(Protocol):
    """The reader of one capture format. It holds what the headers said; the bytes come from outside."""

    damaged: str | None  # why nothing after the last record can be read

    def records(self, chunk: bytes, counters: Counter[str]) -> tuple[list[Records], int]:
        """The whole records at the start of the chunk, and how many bytes they take (more: pass over)."""
        ...

"""What a capture format gives to decoding: the frames of one chunk, their lengths and when they passed."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

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

    def __len__(self) -> int:
        return len(self.frame)


class Format(Protocol):
    """The reader of one capture format. It holds what the headers said; the bytes come from outside."""

    damaged: str | None  # why nothing after the last record can be read

    def records(self, chunk: bytes, counters: Counter[str]) -> tuple[list[Records], int]:
        """The whole records at the start of the chunk, and how many bytes they take (more: pass over)."""
        ...

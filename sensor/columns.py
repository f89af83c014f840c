"""Header fields of many packets at once: the one primitive that every decoding stage of the sensor stands on."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Offsets: TypeAlias = NDArray[np.int64]
Headers: TypeAlias = NDArray[Any]  # of a structured type


def gather(buffer: bytes, offsets: Offsets, layout: np.dtype[Any]) -> Headers:
    """The header of `layout` at each offset, shape (N,). What reaches beyond the buffer reads as zero bytes.

    A window of one header's size slides over the buffer in steps of one byte, and is indexed: one copy of some bytes
    for each packet, aligned or not.
    """
    size = layout.itemsize
    if len(buffer) < size:
        buffer = buffer.ljust(size, b"\0")
    last = len(buffer) - size
    windows: NDArray[np.void] = np.ndarray((last + 1,), f"V{size}", buffer, 0, (1,))
    if not len(offsets) or offsets.max() <= last:
        return windows[offsets].view(layout)
    found = windows[np.minimum(offsets, last)].view(layout)
    for row in np.flatnonzero(offsets > last).tolist():
        start = int(offsets[row])
        found[row : row + 1] = np.frombuffer(buffer[start : start + size].ljust(size, b"\0"), layout)
    return found

"""Quantiles of many numbers in little memory: once full, every second number is dropped and every second one taken."""

from __future__ import annotations

from array import array

KEPT = 1 << 16  # numbers: half a megabyte, and a 99th percentile good to a few thousandths of rank


class Quantiles:
    """Numbers seen one by one. Which are kept depends on their order alone, so a run can be repeated."""

    __slots__ = ("_kept", "_skip", "_stride", "count", "largest")

    def __init__(self) -> None:
        self._kept = array("d")
        self._stride = 1
        self._skip = 0
        self.count = 0
        self.largest = 0.0

    def add(self, number: float) -> None:
        """One more."""
        self.count += 1
        self.largest = max(self.largest, number)
        if self._skip:
            self._skip -= 1
            return
        self._skip = self._stride - 1
        self._kept.append(number)
        if len(self._kept) >= KEPT:
            self._kept = self._kept[::2]
            self._stride *= 2

    def at(self, share: float) -> float:
        """The number below which `share` (0 to 1) of all lie; 0.0 when there are none."""
        if not self._kept:
            return 0.0
        ordered = sorted(self._kept)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def merge(self, other: Quantiles) -> None:
        """Takes the other's numbers too, each standing for as many as it does there."""
        count, largest = self.count + other.count, max(self.largest, other.largest)
        stride = max(self._stride, other._stride)
        self._kept = self._kept[:: stride // self._stride] + other._kept[:: stride // other._stride]
        self._stride = stride
        while len(self._kept) >= KEPT:
            self._kept, self._stride = self._kept[::2], self._stride * 2
        self.count, self.largest, self._skip = count, largest, 0

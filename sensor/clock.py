"""The system's clock, which gives packets their time, watched: somebody may set it while flows go on.

Beside it runs one that nobody sets (CLOCK_BOOTTIME, clock_gettime(2); it also goes on while the machine sleeps).
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sensor.noun import noun

JUMP = 1_000_000_000  # ns between two looks that are no correction any more, but somebody who has set it


@noun
class Jump:
    """The clock was set ahead, or back, by so many ns: all times that are kept are others now."""

    by: int


def boot_time() -> int:
    """Ns since the machine started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """`wall`: ns since 1970; `steady`: ns since whenever."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = boot_time) -> None:
        self.now = wall
        self._steady = steady
        self._offset = wall() - steady()

    def jumped(self) -> Jump | None:
        """Whether it has been set since the last look."""
        before, self._offset = self._offset, self.now() - self._steady()
        by = self._offset - before
        return Jump(by) if abs(by) > JUMP else None

    def corrected(self, times: NDArray[np.int64], jump: Jump) -> NDArray[np.int64]:
        """Of packets that came about when it was set: those from before get the time that they would have had."""
        before = np.abs(times + jump.by - self.now()) < np.abs(times - self.now())
        return np.where(before, times + jump.by, times)

"""A capture at the pace at which it was recorded, as if it passed by now: for demonstrations and for regressions."""

from __future__ import annotations

import time
from collections.abc import Iterator

from sensor.captures import DEFAULT_FRAGMENTS, Capture, FragmentLimits
from sensor.packets import PacketBatch

BATCH_BYTES = 64 << 10  # what comes together: of so much the last packet is waited for
TICK = 0.1  # seconds at most between two words on the time


class Replay(Capture):
    """The packets keep the time that they had. `speed`: how much faster; 0: as fast as they are taken.

    Raises CaptureError.
    """

    lost = 0
    backlog = 0.0

    def __init__(self, path: str, speed: float, fragments: FragmentLimits = DEFAULT_FRAGMENTS) -> None:
        super().__init__(path, batch_bytes=BATCH_BYTES, fragments=fragments)
        self.speed = speed
        self._first: int | None = None  # ns since 1970 of the first packet
        self._begun = 0  # monotonic ns when it was played
        self._last = 0
        self._stopping = False

    def __iter__(self) -> Iterator[PacketBatch | int]:  # type: ignore[override]  # the time goes on between them
        for batch in super().__iter__():
            last = int(batch.time[-1])
            if self._first is None:
                self._first, self._begun = int(batch.time[0]), time.monotonic_ns()
            while self.speed and not self._stopping and (left := (last - self.now()) / self.speed / 1e9) > 0:
                time.sleep(min(left, TICK))
                yield self.now()
            if self._stopping:
                return
            self._last = max(self._last, last)
            yield batch

    def now(self) -> int:
        """Where the playing is, ns since 1970."""
        if self._first is None or not self.speed:
            return self._last
        return self._first + int((time.monotonic_ns() - self._begun) * self.speed)

    def stop(self) -> None:
        """Nothing more comes."""
        self._stopping = True

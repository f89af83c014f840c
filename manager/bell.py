"""Wakes who waits for workers when something else is to be seen to (eventfd(2))."""

from __future__ import annotations

import contextlib
import os


class Bell:
    """Rung by any thread; `select` on it wakes up."""

    def __init__(self) -> None:
        self._number = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._number

    def ring(self) -> None:
        os.eventfd_write(self._number, 1)

    def silence(self) -> None:
        """It was heard."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._number)

    def close(self) -> None:
        os.close(self._number)

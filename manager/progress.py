"""How far the reading is, on standard error, when that is a terminal: rate, share done, time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PAUSE = 0.1  # seconds between two looks


class Watcher(Protocol):
    """Hears where each worker is: its number, the capture, bytes read of how many (None: nobody knows)."""

    def __call__(self, worker: int, capture: str, position: int, size: int | None) -> None: ...

    def stop(self) -> None:
        """The end: takes the display away."""
        ...


class Silence:
    """Nobody watches."""

    def __call__(self, worker: int, capture: str, position: int, size: int | None) -> None:
        pass

    def stop(self) -> None:
        pass


class Telling:
    """In a worker: tells the parent, now and then."""

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell
        self._next = 0.0

    def __call__(self, worker: int, capture: str, position: int, size: int | None) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + PAUSE
            self._tell(worker, capture, position, size)

    def stop(self) -> None:
        pass


class Bar:
    """One line that changes. With several workers, the one furthest back counts."""

    def __init__(self, captures: int) -> None:
        self._captures = captures
        self._at: dict[int, tuple[str, int]] = {}
        self._order: dict[str, int] = {}
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._shown: str | None = None
        self._next = time.monotonic() + PAUSE  # what is over sooner needs no bar

    def __call__(self, worker: int, capture: str, position: int, size: int | None) -> None:
        self._at[worker] = capture, position
        self._order.setdefault(capture, len(self._order))
        if (now := time.monotonic()) < self._next:
            return
        self._next = now + PAUSE
        capture, position = min(self._at.values(), key=lambda at: (self._order[at[0]], at[1]))
        self._show(capture, position, size)

    def stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _show(self, capture: str, position: int, size: int | None) -> None:
        progress = self._progress or self._begin()
        if self._shown != capture:
            if self._task is not None:
                progress.remove_task(self._task)
            self._shown = capture
            self._task = progress.add_task(self._words(capture), total=size)
        assert self._task is not None
        progress.update(self._task, completed=position)

    def _words(self, capture: str) -> str:
        from rich.markup import escape

        from manager.visible import visible

        number = f"{self._order[capture] + 1}/{self._captures} " if self._captures > 1 else ""
        return escape(number + visible(capture, 40))

    def _begin(self) -> Progress:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = BarColumn(bar_width=None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(compact=True)
        console = Console(stderr=True)
        self._progress = Progress(TextColumn("{task.description}"), *columns, console=console, transient=True)
        self._progress.start()
        return self._progress


def watcher(captures: int, quiet: bool) -> Watcher:
    """The bar, when a person looks at standard error."""
    return Bar(captures) if sys.stderr.isatty() and not quiet else Silence()

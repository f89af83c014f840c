"""Looks at objects that are still arriving, with the engines of this host that take a part for what it is.

A window is what has come since the last one, with some of what came before. What is found in it is found; that nothing
is, says nothing: the whole object goes to all engines at its end. Rules whose condition asks for the size of the file
would be wrong about a part, so what they find doesn't count here.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, Full, Queue
from threading import Thread

from engines.verdicts import Engine, Verdict
from engines.yara import Yara
from manager.precedence import go_first
from reassembly.objects import Object
from sensor.noun import noun

log = logging.getLogger(__name__)

WAITING = 256  # windows; of more, the newest are not looked at


@noun
class Sighting:
    """What was found before the end of an object."""

    window: Object
    verdict: Verdict


class Early:
    """A thread that scans windows. `told` is called by it when something was found; `precedence`: as of `go_first`."""

    def __init__(self, engines: Sequence[Engine], told: Callable[[], None], precedence: int = 0) -> None:
        self.skipped = 0
        self._told = told
        self._windows: Queue[Object | None] = Queue(WAITING)
        self._found: deque[Sighting] = deque()
        self.change(engines)
        self._thread = Thread(target=self._run, name="early", daemon=True)
        self._thread.start()
        go_first(precedence, self._thread.native_id or 0)

    def change(self, engines: Sequence[Engine]) -> None:
        """Others are asked from now on."""
        self._engines = tuple(engine for engine in engines if isinstance(engine, Yara))

    def take(self, window: Object) -> None:
        """The next one."""
        try:
            self._windows.put_nowait(window)
        except Full:
            self.skipped += 1

    def found(self) -> list[Sighting]:
        """Since the last call."""
        some = []
        while self._found:
            some.append(self._found.popleft())
        return some

    def close(self) -> None:
        """Ends the thread; what waits is not looked at."""
        while not self._windows.empty():
            try:
                self._windows.get_nowait()
            except Empty:
                break
        self._windows.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (window := self._windows.get()) is not None:
            try:
                self._scan(window)
            except Exception:  # one scan
                log.exception("a window of object %s could not be looked at", window.id)

    def _scan(self, window: Object) -> None:
        for engine in self._engines:
            verdict = engine.scan_part(window)
            if verdict.status in ("malicious", "suspicious"):
                self._found.append(Sighting(window, verdict))
                self._told()

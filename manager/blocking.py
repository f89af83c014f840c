"""What is blocked, as a live sensor has it: the list on disk and the feeds, told to the workers when they change."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from manager.blocklist import Blocklist, Entry, known_of
from manager.feeds import read_feeds
from reassembly.known import Known

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks at the list: somebody may have lifted something


class Blocking:
    """`tell`: takes what is known from now on. `folder`: of the list."""

    def __init__(self, folder: Path, feeds: Sequence[str], tell: Callable[[Known], None]) -> None:
        self._list = Blocklist(folder)
        self._tell = tell
        self._named: list[Entry] = []  # by feeds
        self._told: list[Entry] = []
        self._stale = False  # feeds have changed since it was told
        self._looked = 0.0
        self.renew(feeds)

    def renew(self, feeds: Sequence[str]) -> None:
        """The settings were read again, and so are the feeds: they may have changed under the same name."""
        if (named := read_feeds(feeds)) != self._named:
            self._named, self._stale = named, True
        self._looked = 0.0
        self.look()

    def look(self) -> None:
        """Called again and again."""
        if time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        try:
            self._list.changed()
        except OSError as error:
            log.warning("what is blocked can't be read: %s", error)
        live = self._list.live(time.time_ns())
        if live != self._told or self._stale:
            self._told, self._stale = live, False
            self._tell(known_of([*live, *self._named]))

    def add(self, entries: Sequence[Entry]) -> str | None:
        """From now on they are blocked; why they aren't."""
        try:
            self._list.add(entries)
        except OSError as error:
            return f"it can't be written down: {error.strerror}"
        self._looked = 0.0
        self.look()
        return None

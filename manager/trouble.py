"""What goes wrong with what this host lends: said once in a while, by what the workers count."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

TELL = 60.0  # seconds between two words on the same trouble
SAID = {
    "cut_frames": "%d frames are larger than the ring's blocks and were cut: ethtool -K IFACE gro off lro off",
    "disk": "no room for temporary files: %d large objects have been cut short",
    "flows": "more flows than limits.flows: %d have been evicted",
    "flows_crowded": "many flows are open, as limits.flows has it: %d that were silent have been ended early",
    "total_out_of_order": "more bytes behind holes than limits.total_out_of_order: %d flows have been evicted",
}


class Trouble:
    """`counted`: by the workers until now."""

    def __init__(self, counted: Callable[[], Counter[str]]) -> None:
        self._counted = counted
        self._known: Counter[str] = Counter()
        self._next = dict.fromkeys(SAID, 0.0)

    def look(self) -> None:
        """Called again and again."""
        counted, now = self._counted(), time.monotonic()
        for name, text in SAID.items():
            if counted[name] > self._known[name] and now >= self._next[name]:
                self._known[name], self._next[name] = counted[name], now + TELL
                log.error(text, counted[name])

"""When there is too much: which new flows are still taken, by budgets that are shares of what there is.

Over a budget flows to ports marked low are let go by; halfway from there to the whole, all new flows. One look says
nothing: whoever was kept from looking for a moment finds much, and the next time little.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from manager.settings import OverloadSettings
from reassembly.bystanders import Admitted

log = logging.getLogger(__name__)

HOLD = 2.0  # seconds without cause after which more is admitted again
LEVELS: tuple[Admitted, ...] = ("all", "important", "none")
WORDS = {
    "all": "overload is over: new flows are read again",
    "important": "overload (%s): new flows to ports that are marked low are not read",
    "none": "overload (%s): new flows are not read",
}


class Overload:
    """What is admitted at present. `budgets`: a share each, by the name under which it is asked for."""

    def __init__(self, settings: OverloadSettings) -> None:
        self.level = 0
        self._budgets = {name: float(getattr(settings, name)) for name in ("packets", "flows", "bytes", "queue")}
        self._before = 0  # what the last look would have had
        self._caused = 0.0  # when there was last cause for the level

    def look(self, shares: Mapping[str, float], now: float) -> int:
        """The level (of `LEVELS`). `shares`: what is in use of each, 0 to 1; `now`: monotonic seconds."""
        wanted = max(map(self._wanted, shares, shares.values()))
        cause, self._before = min(wanted, self._before), wanted
        if wanted >= self.level:
            self._caused = now
        if cause > self.level:
            self._change(cause, shares)
        elif self.level and now - self._caused > HOLD:
            self._change(self.level - 1, shares)
            self._caused = now
        return self.level

    def _wanted(self, name: str, share: float) -> int:
        budget = self._budgets[name]
        return 0 if share < budget else 1 if share < (1 + budget) / 2 else 2

    def _change(self, level: int, shares: Mapping[str, float]) -> None:
        self.level = level
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items() if share >= self._budgets[name])
        words = WORDS[LEVELS[level]]
        log.warning(words, told or "as before") if level else log.warning(words)

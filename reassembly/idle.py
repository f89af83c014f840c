"""When the flow table looks whether a flow has fallen silent, and how long silence may last.

Each flow is looked at now and then, a share of all at a time: a look at all of them would stop the walk meanwhile.
While many flows are open patience is less, as with the adaptive timeouts of pf.conf(5) or Suricata's emergency mode.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator

from reassembly.bystanders import SECOND
from reassembly.entry import Entry
from reassembly.events import CloseHow
from reassembly.limits import Limits

LOOK = 5 * SECOND  # of packet time between two looks at one flow
ACTIVE = 5 * SECOND  # an established flow that has said something within has its time, however many there are
EVICTED_SHARE = 16  # over a limit, one flow in so many goes at once: sorting them all is seldom needed then


class Idle:
    """Which of `entries`, the flow table's, are to be looked at when."""

    __slots__ = ("_counters", "_due", "_entries", "_new", "limits")

    def __init__(self, limits: Limits, entries: dict[int, Entry], counters: Counter[str]) -> None:
        self.limits = limits
        self._counters = counters
        self._entries = entries
        self._due: defaultdict[int, list[int]] = defaultdict(list)  # keys by the second at which to look
        self._new: deque[int] = deque()  # keys of TCP flows that may not be established yet, the oldest first

    @property
    def patience(self) -> float:
        """Which share of its timeout a silent flow is given: all of it, unless the table is crowded."""
        most, there = self.limits.flows, len(self._entries)
        many = most * self.limits.flows_crowded
        if there <= many:
            return 1.0
        return (max(most - there, 0) / (most - many)) ** 2 if many < most else 0.0

    def enter(self, entry: Entry) -> None:
        """A flow has begun."""
        self.watch(entry, entry.last + LOOK)
        if entry.connection is not None:
            self._new.append(entry.key)

    def watch(self, entry: Entry, at: int) -> None:
        """It is to be looked at then (ns since 1970)."""
        entry.due = at // SECOND
        self._due[entry.due].append(entry.key)

    def due(self, now: int) -> Iterator[Entry]:
        """Flows to look at; each is watched again, or leaves the table."""
        for second in sorted(second for second in self._due if second <= now // SECOND):
            for key in self._due.pop(second):
                entry = self._entries.get(key)
                if entry is not None and entry.due == second:  # else it is of a flow that is gone
                    yield entry
        self._new = deque(key for key in self._new if self._unanswered(key) is not None)

    def again(self, now: int) -> None:
        """The clock was set: all are looked at soon."""
        self._due.clear()
        for entry in self._entries.values():
            self.watch(entry, now)

    def over(self, entry: Entry, now: int, patience: float) -> CloseHow | None:
        """How a flow ends that has been silent for too long; None: it goes on, and is watched again."""
        silence, timeout = now - entry.last, int(entry.timeout * SECOND)
        if silence > timeout:
            return "timeout"
        if silence > timeout * patience and (silence > ACTIVE or not entry.established):
            self._counters["flows_crowded"] += 1
            return "eviction"
        if silence > self.limits.rest * SECOND:
            entry.slim()
        self.watch(entry, min(now + LOOK, entry.last + timeout))
        return None

    def excess(self, too_much_held: Callable[[], bool]) -> Iterator[tuple[Entry, str]]:
        """Flows that have to leave, each with the limit that was reached: those never established go first, then those
        with the most bytes behind holes, then the longest silent.

        Dharmapurikar and Paxson (USENIX Security 2005): neither the oldest nor a random flow may pay for a flood.
        """
        most, entries = self.limits.flows, self._entries
        while len(entries) > most and self._new:
            if (entry := self._unanswered(self._new.popleft())) is not None:
                yield entry, "flows"
        if len(entries) > most or too_much_held():
            limit = "flows" if len(entries) > most else "total_out_of_order"
            order = sorted(entries.values(), key=lambda one: (not one.ended, one.established, -one.held, one.last))
            for entry in order[: max(len(order) // EVICTED_SHARE, 1)]:
                yield entry, limit

    def _unanswered(self, key: int) -> Entry | None:
        entry = self._entries.get(key)
        return None if entry is None or entry.ended or entry.established else entry

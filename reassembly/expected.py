"""Flows that other flows announce (FTP data), whichever of the two is seen first."""

from __future__ import annotations

from collections import deque

from reassembly.entry import Entry
from reassembly.events import Expect, Flow
from reassembly.grouping import Groups
from reassembly.limits import Limits

Place = tuple[bytes, int]  # address and port of the responder


class Expected:
    """Announcements without a flow, and flows without an announcement; both bounded, the oldest go first."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._announced: dict[Place, deque[Expect]] = {}
        self._waiting: dict[Place, Entry] = {}
        self.leaders: set[int] = set()  # keys of flows that announce others

    def __bool__(self) -> bool:
        return bool(self._announced)

    def ordered(self, groups: Groups) -> list[int]:
        """Groups by time; those that announce other flows before all others."""
        if not self.leaders:
            return groups.order
        return sorted(groups.order, key=lambda number: groups.keys[number] not in self.leaders)

    def announce(self, expect: Expect) -> Entry | None:
        """Keeps the announcement, or gives the flow that has been waiting for it."""
        place = expect.ip, expect.port
        waiting = self._waiting.pop(place, None)
        if waiting is not None and waiting.claimable:
            return waiting
        if len(self._announced) >= self.limits.expectations:
            self._announced.pop(next(iter(self._announced)))
        queue = self._announced.setdefault(place, deque(maxlen=16))
        queue.append(expect)
        return None

    def announces(self, flow: Flow) -> bool:
        """Whether there is an announcement of a flow that begins."""
        return (flow.resp_ip, flow.resp_port) in self._announced

    def take(self, flow: Flow) -> Expect | None:
        """The announcement of a flow that begins."""
        place = flow.resp_ip, flow.resp_port
        queue = self._announced.get(place)
        if not queue:
            return None
        expect = queue.popleft()
        if not queue:
            del self._announced[place]
        return expect

    def wait(self, entry: Entry) -> None:
        """This flow has said something that nobody reads; it may be announced yet."""
        if len(self._waiting) >= self.limits.expectations:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[entry.flow.resp_ip, entry.flow.resp_port] = entry

    def forget(self, entry: Entry) -> None:
        """This flow is over."""
        place = entry.flow.resp_ip, entry.flow.resp_port
        if self._waiting.get(place) is entry:
            del self._waiting[place]
        self.leaders.discard(entry.key)

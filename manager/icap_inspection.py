"""What engines and policy say of messages that a proxy holds: the walk `Object -> Verdict -> Alarm`, in one thread.

Connections hand their objects in and wait; documents, alarms and actions come out as they do of a sensor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field, replace
from queue import Empty, Full, Queue
from threading import Condition
from typing import TYPE_CHECKING, TypeAlias

from engines.verdicts import Verdict, integrate
from manager.action import Action, Mode, Outcome, decided
from manager.alarms import Alarm, Alarms
from manager.pipeline import Arrived, Item, rest, scanned
from manager.policy import Decision, Policy
from manager.sinks import Sink
from reassembly.events import Flow, FlowEnd
from reassembly.objects import Object
from sensor.noun import state

if TYPE_CHECKING:
    from engines.outcome import AnyPool, Scanned

WAITING = 64  # objects that wait for their way to the engines
TICK = 0.005  # seconds between two looks while something is held: a cluster wakes nobody
LOOK = 0.5  # and while nothing is
BLOCKS = frozenset(("reset", "block_page", "block_next"))  # what of a [[policy]] means here that it doesn't go on

Handed: TypeAlias = "tuple[int, Object | FlowEnd | None]"


class Busy(Exception):
    """There was no room for an object in time."""


@state
class Hold:
    """One message that is held. `unsure`: why nobody can call it clean; `large`: a limit that kept bytes away."""

    flow: Flow
    changed: Condition = field(default_factory=Condition)
    open: int = 0  # objects with the engines
    complete: bool = False  # no more of them come
    released: bool = False  # nobody waits for the verdict any longer
    sent: int = 0  # bytes that were let go in advance
    acted: set[str] = field(default_factory=set)  # what was done about it: each kind once
    blocked: Verdict | None = None  # for which it isn't let through
    unsure: str | None = None
    large: str | None = None

    @property
    def settled(self) -> bool:
        return self.blocked is not None or (self.complete and not self.open)

    def wait(self, until: float) -> bool:
        """Whether it was settled by then (monotonic seconds)."""
        with self.changed:
            self.released = not self.changed.wait_for(lambda: self.settled, max(until - time.monotonic(), 0))
            return not self.released

    def release(self) -> None:
        """Whatever is found from now on comes too late."""
        with self.changed:
            self.released = self.blocked is None

    def block(self, verdict: Verdict) -> bool:
        """Whether that still does something."""
        with self.changed:
            if not self.released:
                self.blocked = verdict
                self.changed.notify_all()
            return not self.released


class Inspection:
    """`run` by one thread; all else may be called by any.

    `spared`: why nothing is done to a flow, or None. `acted`: called with what was done. `look`: called again and
    again, says whether to go on.
    """

    def __init__(
        self, policy: Policy, alarms: Alarms, mode: Mode, spared: Callable[[Flow], str | None],
        acted: Callable[[Action], None], look: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._policy = policy
        self._alarms = alarms
        self._mode: Mode = mode
        self._spared = spared
        self._acted = acted
        self._look = look
        self._queue: Queue[Handed] = Queue(WAITING)
        self._holds: dict[str, Hold] = {}

    @property
    def holding(self) -> bool:
        """Whether engines have something."""
        return bool(self._holds)

    def hold(self, flow: Flow) -> Hold:
        """A message has come."""
        made = self._holds[flow.id] = Hold(flow)
        return made

    def submit(self, hold: Hold, target: Object, until: float) -> None:
        """Hands an object to the engines; waits for room until then (monotonic seconds). Raises Busy."""
        if (left := until - time.monotonic()) <= 0:
            raise Busy
        with hold.changed:
            hold.open += 1
        try:
            self._queue.put((time.monotonic_ns(), target), timeout=left)
        except Full:
            with hold.changed:
                hold.open -= 1
            raise Busy from None

    def end(self, hold: Hold) -> None:
        """No more objects come of it."""
        none = (0, 0)  # of a flow's packets and bytes nobody is told
        self._queue.put((0, FlowEnd(hold.flow, "http", "fin", time.time_ns(), none, none, none, 0, (), {})))

    def wake(self) -> None:
        """An engine has answered, or something else has happened."""
        with suppress(Full):  # then it is awake
            self._queue.put_nowait((0, None))

    def run(self, pool: AnyPool, sinks: Sequence[Sink]) -> None:
        """As long as `look` says."""
        for items in scanned(self._handed(), pool, self._alarms), rest((), self._alarms):
            for item in items:
                self.take(item)
                for sink in sinks:
                    sink.take(item)

    def _handed(self) -> Iterator[Arrived]:
        while self._look():
            try:
                yield self._queue.get(timeout=TICK if self._holds else LOOK)
            except Empty:
                yield 0, None

    def take(self, item: Item) -> None:
        """A sink: what it means for the message."""
        if isinstance(item, FlowEnd):
            self._note(self._holds[item.flow.id], complete=True)
        elif not isinstance(item, Object | Alarm):
            hold = self._holds[item.target.flow.id]
            self._judge(hold, item)
            self._note(hold, came=1)

    def _note(self, hold: Hold, came: int = 0, complete: bool = False) -> None:
        with hold.changed:
            hold.open -= came
            hold.complete = hold.complete or complete
            hold.changed.notify_all()
            if hold.complete and not hold.open:
                del self._holds[hold.flow.id]

    def _judge(self, hold: Hold, scanned: Scanned) -> None:
        target = scanned.target
        if decision := self._policy.decide(scanned, time.time()):
            self._act(hold, scanned, decision)
        elif integrate(scanned.verdicts, target.complete) == "unknown":
            hold.unsure = next((f"{v.engine}: {v.reason}" for v in scanned.verdicts if v.reason), "no engine could say")
        if (target.cut or "").startswith("limit:"):
            hold.large = str(target.cut)

    def _act(self, hold: Hold, scanned: Scanned, decision: Decision) -> None:
        hit = next(verdict for verdict in scanned.verdicts if verdict.status in ("malicious", "suspicious"))
        kinds = {"block_page" if kind in BLOCKS else kind for kind in decision.do}
        if decision.rule == 0:  # nobody has said what is wanted: what is found doesn't go on
            kinds = {"block_page"}
        for kind in sorted(kinds - hold.acted):
            hold.acted.add(kind)
            outcome, reason = self._done(kind, hold, hit)
            made = decided(kind, self._mode, outcome, scanned.target, hit, decision)
            delivered = hold.sent if outcome == "confirmed" else None
            self._acted(replace(made, reason=reason, bytes_delivered=delivered))

    def _done(self, kind: str, hold: Hold, hit: Verdict) -> tuple[Outcome, str | None]:
        if kind == "observe" or self._mode == "observe":
            return "observed", None
        if kind != "block_page":
            return "begun", None
        if why := self._spared(hold.flow):
            return "refused", why
        return ("confirmed", None) if hold.block(hit) else ("late", "it was let through before the verdict")

"""What is done about flows in which something was found, as soon as one engine says so, and what came of it.

The policy decides, a capture worker makes the frames, the injector sends them. Whether the flow was stopped is told by
the flow itself: an object that never came to its end was, one that did was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from engines.outcome import Latency, Scanned
from engines.verdicts import Verdict
from manager.action import Action, Mode, Outcome, Report, decided
from manager.blocklist import Entry, address_of, beginnings
from manager.early import Sighting
from manager.pipeline import Arrived, Item
from manager.policy import Decision, Policy
from reassembly.acting import Order
from reassembly.events import Flow, FlowEnd
from reassembly.known import Met
from reassembly.objects import Content, Object
from reassembly.windows import FIRST_WINDOW
from sensor.noun import state

BLOCKS = frozenset(("block_page", "block_next"))
BLOCKLIST = "blocklist"  # in the place of an engine
BLOCKED = "blocked"  # why there is nothing of it
HOUR = 3600 * 1_000_000_000
RETRY = 600 * 1_000_000_000  # ns for which a stopped transfer is remembered
MOST = 10_000  # flows and transfers that are remembered
_NONE = Latency(0, 0, 0, 0, 0, 0, None)


@state
class _Tried:
    """A flow on which something is being done. `whole`: the object that was to be stopped, when it came."""

    action: Action
    seen: int  # bytes of it that were there at the verdict
    report: Report | None = None
    whole: Object | None = None


class Countermeasures:
    """`end`: tells workers to end a flow. `goes_on`: whether it does. `reports`: of the injector, since the last call.
    `block`: makes things known, or says why not.

    Actions that are settled come by `finished`.
    """

    def __init__(
        self,
        mode: Mode,
        policy: Policy,
        end: Callable[[Order], None],
        goes_on: Callable[[Flow], bool],
        reports: Callable[[], Iterable[Report]] = tuple,
        block: Callable[[Sequence[Entry]], str | None] = lambda entries: None,
    ) -> None:
        self.mode = mode
        self.policy = policy
        self._end = end
        self._goes_on = goes_on
        self._reports = reports
        self._block = block
        self._later: dict[str, Entry] = {}  # by object: to be known by its beginning
        self._unclaimed: dict[str, Report] = {}  # by action
        self._open: dict[str, _Tried] = {}  # by flow
        self._acted: dict[str, None] = {}  # flows: each once
        self._over: dict[str, Object] = {}  # by id: objects that have ended, while a window of them is looked at
        self._stopped: dict[tuple[str, str], Action] = {}  # by client and what it wanted
        self._finished: list[Action] = []

    def watch(self, walk: Iterator[Arrived]) -> Iterator[Arrived]:
        """Passes on what workers say, and follows the flows on which something is being done."""
        for arrived, product in walk:
            if isinstance(product, Object):
                self._follow(product)
            elif isinstance(product, FlowEnd) and product.flow.id in self._open:
                self.hear()
                if (tried := self._open.pop(product.flow.id, None)) is not None:
                    self._settle(tried, product)
            yield arrived, product

    def take(self, item: Item) -> None:
        """A sink: acts on what engines found."""
        if isinstance(item, Scanned):
            self._found(item)

    def sighted(self, sighting: Sighting) -> None:
        """Something was found in an object that is still arriving."""
        self._found(Scanned(sighting.window, (sighting.verdict,), _NONE))

    def hear(self) -> None:
        """What the injector has sent, or refused."""
        for report in self._reports():
            self._reported(report)

    def _reported(self, report: Report) -> None:
        if (tried := self._open.get(report.flow)) is None or tried.action.id != report.action:
            self._unclaimed[report.action] = report  # the worker's word on it may come later
            _bound(self._unclaimed)
            return
        if tried.report is not None:
            tried.report = replace(tried.report, frames=tried.report.frames + report.frames)
            return
        tried.report = report
        if report.refused is not None or self.mode == "dry_run":
            del self._open[report.flow]
            self._settle(tried, None)

    def finished(self) -> list[Action]:
        """Since the last call."""
        done, self._finished = self._finished, []
        return done

    def rest(self) -> list[Action]:
        """Those of flows of which no end was heard."""
        self.hear()
        for tried in self._open.values():
            self._settle(tried, None)
        self._open.clear()
        return self.finished()

    def _found(self, scanned: Scanned) -> None:
        target = scanned.target
        if target.flow.id in self._acted or (decision := self.policy.decide(scanned, time.time())) is None:
            return
        if decision.rule == 0:  # nobody has asked for anything
            return
        self._acted[target.flow.id] = None
        _bound(self._acted)
        hit = next(verdict for verdict in scanned.verdicts if verdict.status in ("malicious", "suspicious"))
        for kind in decision.do:
            if kind != "block_next" or "block_page" not in decision.do:  # the page is more
                self._begin(kind, decision, target, hit)

    def _begin(self, kind: str, decision: Decision, target: Object, hit: Verdict) -> None:
        flow, action = target.flow, decided(kind, self.mode, "observed", target, hit, decision)
        if kind == "observe" or self.mode == "observe":
            self._finished.append(action)
        elif kind in BLOCKS:
            self._finished.append(self._blocked(action, decision, target))
        elif kind != "reset":
            self._finished.append(replace(action, outcome="begun" if self.mode == "enforce" else "dry_run"))
        elif flow.transport != "tcp":
            self._finished.append(replace(action, outcome="refused", reason="only TCP can be reset"))
        elif not self._goes_on(flow) and target.cut != "window":
            self._finished.append(replace(action, outcome="late", reason="the flow was over by then"))
        else:
            begin = target.missing[0][1] if target.cut == "window" and target.missing else 0
            whole = self._over.get(target.parent or "") or self._over.get(target.id)
            self._open[flow.id] = _Tried(action, begin + target.size, whole=whole)
            self._end(Order(action.id, flow, target.direction))

    def _blocked(self, action: Action, decision: Decision, target: Object) -> Action:
        """From now on it is known. What a file begins with is, once enough of it is there."""
        if action.mode == "dry_run":
            return replace(action, outcome="dry_run")
        until = action.time + int(decision.settings.block_hours * HOUR)
        entry = Entry("url", "", _said_of(action.hit), action.kind == "block_page", until, action.id)
        address = address_of(target)
        entries = [replace(entry, what=address)] if address is not None else []
        entries += _beginning(entry, target)
        if target.cut == "window":
            self._later[target.id] = entry
            _bound(self._later)
        why = self._block(entries) if entries else None
        said = "its beginning is blocked, once there is enough of it" if address is None else f"{address} is blocked"
        return replace(action, outcome="failed" if why else "done", reason=why or said)

    def met(self, action: str, met: Met) -> None:
        """A worker has met something known, and acts on it."""
        if met.flow.id in self._open:
            return
        self._acted[met.flow.id] = None
        _bound(self._acted)
        hit = Verdict(BLOCKLIST, "malicious", met.listed.reason, (met.listed.reason,))
        kind = "block_page" if met.asked else "reset"
        why = f"{met.what} is blocked"
        made = Action(action, 1, kind, self.mode, "observed", met.flow, met.time, _asked_for(action, met), hit, 0, why)
        self._open[met.flow.id] = _Tried(made, 0)
        if (report := self._unclaimed.pop(action, None)) is not None:
            self._reported(report)

    def _follow(self, product: Object) -> None:
        if product.size >= FIRST_WINDOW:  # of others there are no windows
            self._over[product.id] = replace(product, content=Content(product.size))
            _bound(self._over)
        if self._later and (entry := self._later.pop(product.id, None)) and (known := _beginning(entry, product)):
            self._block(known)
        if (tried := self._open.get(product.flow.id)) is not None and _is_whole(tried.action.target, product):
            tried.whole = product
        if self._stopped and product.complete and (first := self._stopped.get(_wanted(product))) is not None:
            if product.time - first.time < RETRY and product.flow.id != first.flow.id:
                self._finished.append(replace(first, revision=first.revision + 1, evaded_by_retry=True))
            del self._stopped[_wanted(product)]

    def _settle(self, tried: _Tried, end: FlowEnd | None) -> None:
        action, report, whole = tried.action, tried.report, tried.whole
        outcome, reason = _judged(action, report, whole, end)
        if report is not None and report.refused is None:
            latency = report.time - action.target.time
            action = replace(action, frames=report.frames, sent=report.time, latency=max(latency, 0))
        if whole is not None:
            action = replace(action, bytes_delivered=whole.size)
            if action.target.id == whole.id:
                bare = replace(whole, content=Content(whole.size))
                action = replace(action, target=bare, bytes_past=max(whole.size - tried.seen, 0))
        elif action.target.cut == BLOCKED:
            action = replace(action, bytes_delivered=0)
        action = replace(action, outcome=outcome, reason=reason)
        self._finished.append(action)
        if action.target.cut == BLOCKED:  # it will be blocked again
            return
        if outcome == "confirmed" and (wanted := _wanted(whole or action.target))[1]:
            self._stopped[wanted] = action
            _bound(self._stopped)


def _judged(
    action: Action, report: Report | None, whole: Object | None, end: FlowEnd | None
) -> tuple[Outcome, str | None]:
    """What came of it, and why where it isn't what was wanted."""
    if report is None:
        over = end is not None and end.time <= action.time
        return ("late", "the flow was over by then") if over else ("refused", "its ends were not seen to agree to it")
    if report.refused is not None:
        return "refused", report.refused
    if action.mode == "dry_run":
        return "dry_run", None
    last = whole if whole is not None else action.target
    if whole is not None and whole.missing:  # it may have come to its end all the same
        return "failed", "bytes of it passed unseen: nobody knows that it was stopped"
    if not last.complete:
        begun = whole is not None and action.kind == "block_page"
        return "confirmed", "the answer began before the page: it was reset" if begun else None
    if last.time <= report.time:
        return "late", "its last byte was there before the frame"
    return "failed", "the flow went on to the last byte"


def _is_whole(target: Object, product: Object) -> bool:
    """Whether this is what was to be stopped: the object itself, the mail that it is a part of, or the answer."""
    if target.cut == BLOCKED:
        return product.direction == target.direction
    return product.id == target.id or (target.depth > 0 and product.kind == "email")


def _beginning(entry: Entry, target: Object) -> list[Entry]:
    """By which it is known again."""
    return [replace(entry, kind="prefix", what=one) for one in beginnings(target)]


def _asked_for(action: str, met: Met) -> Object:
    """What was asked for, of which nothing is there yet."""
    name = met.what.partition("?")[0].rpartition("/")[2] if met.protocol == "http" else None
    facts = {"url.original": met.what} if met.protocol == "http" else None
    return Object(
        action, met.flow, met.direction, "file", met.protocol, Content(0), "", "", met.time, met.time, name or None,
        cut=BLOCKED, facts=facts,
    )  # fmt: skip


def _wanted(product: Object) -> tuple[str, str]:
    """Who was to get something, and what."""
    facts = product.facts or {}
    return product.flow.ip(1 - product.direction), str(facts.get("url.original") or product.name or "")


def _said_of(hit: Verdict) -> str:
    """What was found, and by whom."""
    return f"{hit.signature or hit.status} ({hit.engine})"


def _bound(kept: dict[Any, Any]) -> None:
    if len(kept) > MOST:
        del kept[next(iter(kept))]

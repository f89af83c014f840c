"""The fifth noun of the walk: one `Alarm` a flow, all engines and all objects of it integrated.

Severity is one of Kibana's steps:

| step | when |
| --- | --- |
| 99 critical | two or more engines say malicious, or a list of known-bad hashes does: an exact match leaves no doubt |
| 73 high | one engine says malicious |
| 47 medium | two or more engines say suspicious |
| 21 low | one engine says suspicious |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import field, replace
from typing import TYPE_CHECKING

from engines.verdicts import Verdict
from manager.sentences import sentence
from reassembly.events import Facts, Flow
from reassembly.objects import Content, Object
from sensor.noun import noun, state

if TYPE_CHECKING:
    from engines.outcome import Scanned

CRITICAL, HIGH, MEDIUM, LOW = 99, 73, 47, 21

OBJECTS = 100  # listed in one alarm, the worst kept; a document over a few hundred kilobytes helps nobody

_WEIGHT = {"malicious": 5, "suspicious": 4, "error": 3, "timeout": 2, "skipped": 1, "clean": 0}


@noun
class Alarm:
    """What was found in one flow. Times are ns since 1970 on the wire; `found` has the worst object first."""

    id: str
    revision: int
    flow: Flow
    began: int  # first byte of the first object in which something was found
    time: int  # last byte of the last
    severity: int
    verdict: str  # malicious or suspicious
    hit: Verdict  # the best one
    verdicts: tuple[Verdict, ...]  # one an engine: the worst it said of any object
    found: tuple[Scanned, ...]  # without the bytes
    more: int  # objects found beyond those listed
    facts: Facts
    sender: str
    recipients: tuple[str, ...]
    message: str

    @property
    def worst(self) -> Scanned:
        return self.found[0]

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of those that found it, sorted."""
        return tuple(sorted(verdict.engine for verdict in self.verdicts if verdict.status == self.verdict))


@state
class _OpenFlow:
    """What is known of a flow that has scans outstanding or findings."""

    flow: Flow
    outstanding: int = 0
    ended: bool = False
    found: list[Scanned] = field(default_factory=list)
    more: int = 0


class Alarms:
    """Gathers what was found until a flow is over. Remembers only flows with findings or with scans outstanding.

    `exact`: names of the engines whose hit is a known-bad hash.
    """

    def __init__(self, exact: Collection[str] = ()) -> None:
        self._flows: dict[str, _OpenFlow] = {}
        self.change(exact)

    def change(self, exact: Collection[str]) -> None:
        """Other engines are asked from now on."""
        self._exact = frozenset(exact)

    def __len__(self) -> int:
        return len(self._flows)

    def expect(self, target: Object) -> None:
        """An object of the flow has gone to the engines."""
        self._open(target.flow).outstanding += 1

    def goes_on(self, flow: Flow) -> bool:
        """Whether a flow of which an object is expected has not been over yet."""
        return (kept := self._flows.get(flow.id)) is not None and not kept.ended

    def scanned(self, scanned: Scanned) -> Alarm | None:
        """It came back. The alarm, when the flow is over and this was its last object."""
        flow = self._open(scanned.target.flow)
        flow.outstanding -= 1
        if any(verdict.status in ("malicious", "suspicious") for verdict in scanned.verdicts):
            self._keep(flow, scanned)
        return self._settle(flow)

    def ended(self, flow: Flow) -> Alarm | None:
        """The flow is over. Its alarm, when nothing of it is with the engines any more."""
        if (kept := self._flows.get(flow.id)) is None:
            return None
        kept.ended = True
        return self._settle(kept)

    def rest(self) -> Iterator[Alarm]:
        """Alarms of flows whose end was never heard of (an interrupt)."""
        for flow in self._flows.values():
            if flow.found:
                yield raise_alarm(flow.flow, flow.found, flow.more, self._exact)
        self._flows.clear()

    def _open(self, flow: Flow) -> _OpenFlow:
        if (kept := self._flows.get(flow.id)) is None:
            kept = self._flows[flow.id] = _OpenFlow(flow)
        return kept

    def _keep(self, flow: _OpenFlow, scanned: Scanned) -> None:
        flow.found.append(replace(scanned, target=replace(scanned.target, content=Content(scanned.target.size))))
        if len(flow.found) > OBJECTS:
            flow.found.sort(key=_badness)
            flow.found.pop()
            flow.more += 1

    def _settle(self, flow: _OpenFlow) -> Alarm | None:
        if flow.outstanding == 0 and (flow.ended or not flow.found):
            del self._flows[flow.flow.id]
            if flow.found:
                return raise_alarm(flow.flow, flow.found, flow.more, self._exact)
        return None


def raise_alarm(flow: Flow, found: Iterable[Scanned], more: int = 0, exact: Collection[str] = ()) -> Alarm:
    """The alarm of a flow in which something was found; `found` isn't empty."""
    ordered = tuple(sorted(found, key=_badness))
    worst = ordered[0]
    verdicts = worst_by_engine(verdict for scanned in ordered for verdict in scanned.verdicts)
    severity, verdict = rate(verdicts, exact)
    hit = min((v for v in worst.verdicts if v.status == verdict), key=lambda v: (v.engine not in exact, not v.rule))
    facts = worst.target.facts or {}
    sender, recipients = correspondents(worst.target)
    return Alarm(
        id=flow.id,
        revision=1,
        flow=flow,
        began=min(scanned.target.began for scanned in ordered),
        time=max(scanned.target.time for scanned in ordered),
        severity=severity,
        verdict=verdict,
        hit=hit,
        verdicts=verdicts,
        found=ordered,
        more=more,
        facts=facts,
        sender=sender,
        recipients=recipients,
        message=sentence(worst.target, hit, verdicts, sender, recipients, len(ordered) + more),
    )


def _badness(scanned: Scanned) -> tuple[int, int, int, str]:
    """Sorts the worst object first; among equals the outermost that was sent first."""
    said = [verdict.status for verdict in scanned.verdicts]
    return -said.count("malicious"), -said.count("suspicious"), scanned.target.depth, scanned.target.id


def worst_by_engine(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """One verdict an engine: the worst that it gave."""
    worst: dict[str, Verdict] = {}
    for verdict in verdicts:
        held = worst.get(verdict.engine)
        if held is None or _WEIGHT[verdict.status] > _WEIGHT[held.status]:
            worst[verdict.engine] = verdict
    return tuple(worst.values())


def rate(verdicts: Iterable[Verdict], exact: Collection[str] = ()) -> tuple[int, str]:
    """`event.severity` and the integrated verdict of verdicts, one an engine."""
    said: dict[str, list[str]] = {"malicious": [], "suspicious": []}
    for verdict in verdicts:
        said.setdefault(verdict.status, []).append(verdict.engine)
    if bad := said["malicious"]:
        return (CRITICAL if len(bad) > 1 or not frozenset(exact).isdisjoint(bad) else HIGH), "malicious"
    return (MEDIUM if len(said["suspicious"]) > 1 else LOW), "suspicious"


def correspondents(target: Object) -> tuple[str, tuple[str, ...]]:
    """Who sent an object, and to whom: mailboxes of the envelope, else of the header, else addresses of the hosts."""
    facts = target.facts or {}
    sender = _texts(facts, "tapscan.smtp.mail_from") or _texts(facts, "email.from.address")
    recipients = _texts(facts, "tapscan.smtp.rcpt_to") or (
        _texts(facts, "email.to.address") + _texts(facts, "email.cc.address")
    )
    flow, direction = target.flow, target.direction
    return (sender or (flow.ip(direction),))[0], recipients or (flow.ip(1 - direction),)


def _texts(facts: Facts, name: str) -> tuple[str, ...]:
    value = facts.get(name)
    if isinstance(value, list):
        return tuple(item for item in value if item)
    return (value,) if isinstance(value, str) and value else ()

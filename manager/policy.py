"""What is done about what was found: the first [[policy]] of which every condition holds.

Severity and verdict are those an alarm would have (`manager.alarms`), but of one object: a flow can only be acted on
while it goes on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, TypeAlias

from engines.verdicts import Verdict
from manager.alarms import rate
from manager.observer import Observer, networks
from manager.settings import PolicySettings, PolicyWhen
from reassembly.objects import Object
from sensor.noun import noun

if TYPE_CHECKING:
    from engines.outcome import Scanned

# 08:00-18:00; over midnight 22:00-06:00; to the end of the day 18:00-24:00
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24(?=:00)):([0-5]\d)", re.ASCII)
OBSERVE = PolicySettings(PolicyWhen(verdict="malicious"), ("observe",))


@noun
class Decision:
    """What shall be done. `rule`: number of the [[policy]], from 1; 0 where there is none."""

    rule: int
    do: tuple[str, ...]
    why: str
    settings: PolicySettings


@noun
class Answer:
    """What one rule says: whether it fires, and why or why not. `failed`: the first condition that doesn't hold."""

    rule: int
    fires: bool
    failed: str | None
    why: str


@noun
class Finding:
    """What conditions are asked about. `hits`: verdicts that agree with the integrated one."""

    target: Object
    verdict: str
    severity: int
    hits: tuple[Verdict, ...]
    direction: str | None
    minute: int  # of the day, local time


class Policy:
    """`exact`: names of the engines whose hit is a known-bad hash."""

    def __init__(self, rules: Sequence[PolicySettings], observer: Observer, exact: Collection[str] = ()) -> None:
        self._rules = tuple(enumerate(rules, 1)) or ((0, OBSERVE),)
        self._observer = observer
        self._exact = frozenset(exact)

    def decide(self, scanned: Scanned, now: float) -> Decision | None:
        """The first rule that fires; None when nothing was found, or none does. `now`: seconds since 1970."""
        if (found := self._finding(scanned, now)) is None:
            return None
        for number, rule in self._rules:
            if (answer := _answer(number, rule.when, found)).fires:
                return Decision(number, rule.do or ("observe",), answer.why, rule)
        return None

    def explain(self, scanned: Scanned, now: float) -> tuple[Answer, ...]:
        """What each rule says; of those that fire the first wins. Nothing when nothing was found."""
        if (found := self._finding(scanned, now)) is None:
            return ()
        return tuple(_answer(number, rule.when, found) for number, rule in self._rules)

    def _finding(self, scanned: Scanned, now: float) -> Finding | None:
        if not any(verdict.status in ("malicious", "suspicious") for verdict in scanned.verdicts):
            return None
        severity, verdict = rate(scanned.verdicts, self._exact)
        hits = tuple(hit for hit in scanned.verdicts if hit.status == verdict)
        clock = time.localtime(now)
        direction = self._observer.direction(scanned.target.flow)
        return Finding(scanned.target, verdict, severity, hits, direction, clock.tm_hour * 60 + clock.tm_min)


def _answer(number: int, when: PolicyWhen, found: Finding) -> Answer:
    said = []
    for name, holds, words in _conditions(when, found):
        if not holds:
            return Answer(number, False, name, f"{_called(number)}: {words}")
        said.append(words)
    return Answer(number, True, None, f"{_called(number)}: {', '.join(said)}")


def _called(number: int) -> str:
    return f"policy {number}" if number else "no policy"


def _conditions(when: PolicyWhen, found: Finding) -> Iterator[tuple[str, bool, str]]:
    """Name, whether it holds, and how things are. What always tells something is said though nobody asked."""
    for name, condition in CONDITIONS.items():
        asked = getattr(when, name)
        if asked not in (None, ()):
            yield name, *condition(asked, found)
        elif told := TOLD[name](found) if name in TOLD else None:
            yield name, True, told


def _verdict(asked: str, found: Finding) -> Held:
    return _same(found.verdict, asked)


def _severity(asked: int, found: Finding) -> Held:
    holds = found.severity >= asked
    return holds, f"severity {found.severity} {'>=' if holds else '<'} {asked}"


def _agree(asked: int, found: Finding) -> Held:
    count = len({hit.engine for hit in found.hits})
    return count >= asked, f"{count} {'>=' if count >= asked else '<'} {asked} engines"


def _engine(asked: str, found: Finding) -> Held:
    names = [hit.engine for hit in found.hits]
    return asked in names, f"found by {asked}" if asked in names else f"found by {', '.join(names)}, not by {asked}"


def _signature(asked: str, found: Finding) -> Held:
    names = [name for hit in found.hits for name in hit.signatures or (hit.signature or "",) if name]
    for name in names:
        if re.search(asked, name):
            return True, f"signature {name} has {asked!r}"
    return False, f"no signature has {asked!r}"


def _protocol(asked: tuple[str, ...], found: Finding) -> Held:
    return _same(found.target.protocol, *asked)


def _direction(asked: str, found: Finding) -> Held:
    return _same(found.direction or "direction unknown, as sensor.home is not set", asked)


def _networks(asked: tuple[str, ...], found: Finding) -> Held:
    flow = found.target.flow
    for packed in (flow.orig_ip, flow.resp_ip):
        for network in networks(asked):
            if ip_address(packed) in network:
                return True, f"{ip_address(packed)} in {network}"
    return False, f"neither {flow.ip(0)} nor {flow.ip(1)} in {', '.join(asked)}"


def _type(asked: str, found: Finding) -> Held:
    mime = found.target.mime_type
    return (True, f"{mime} is {asked!r}") if re.match(asked, mime) else (False, f"{mime} isn't {asked!r}")


def _hours(asked: str, found: Finding) -> Held:
    begin, end = span(asked)
    minute = found.minute
    holds = begin <= minute < end if begin < end else minute >= begin or minute < end
    return holds, f"{minute // 60:02}:{minute % 60:02}{'' if holds else ' not'} in {asked}"


@cache
def span(text: str) -> tuple[int, int]:
    """Minutes of the day of a text such as 08:00-18:00. Raises ValueError."""
    if (match := HOURS.fullmatch(text)) is None:
        raise ValueError(text)
    begin, begin_minute, end, end_minute = map(int, match.groups())
    return begin * 60 + begin_minute, end * 60 + end_minute


def _same(there: str, *asked: str) -> Held:
    return (True, there) if there in asked else (False, f"{there}, not {' or '.join(asked)}")


Held: TypeAlias = tuple[bool, str]
# By the keys of `PolicyWhen`, in the order in which they are asked.
CONDITIONS: dict[str, Callable[..., Held]] = {
    "verdict": _verdict,
    "severity": _severity,
    "agree": _agree,
    "engine": _engine,
    "signature": _signature,
    "protocol": _protocol,
    "direction": _direction,
    "networks": _networks,
    "type": _type,
    "hours": _hours,
}
TOLD: dict[str, Callable[[Finding], str | None]] = {
    "verdict": lambda found: found.verdict,
    "severity": lambda found: f"severity {found.severity}",
    "protocol": lambda found: found.target.protocol,
    "direction": lambda found: found.direction,
}

"""The counts of a run, for the report and the exit code. Workers each keep one; they are merged at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import field
from heapq import nlargest
from typing import TYPE_CHECKING

from engines.verdicts import Engine, Verdict, integrate
from manager.alarms import Alarm
from manager.coverage import Coverage
from manager.quantiles import Quantiles
from reassembly.events import FlowEnd
from reassembly.objects import Object
from sensor.noun import state

if TYPE_CHECKING:
    from engines.outcome import Scanned
    from manager.pipeline import Item

ALARMS = 1000  # kept for the report, the gravest; all are printed with --json
NAMES = 10_000  # server names of TLS flows counted; hostile ones could be as many as flows
REASONS = 100  # different words of one engine's trouble
MESSAGES = 1000  # warnings kept

TROUBLE = ("error", "timeout")

SERVER_NAME = "tls.client.server_name"


@state
class EngineCounts:
    """What one engine did in this run."""

    said: Counter[str] = field(default_factory=Counter)  # verdicts by status
    seconds: Quantiles = field(default_factory=Quantiles)
    reasons: Counter[str] = field(default_factory=Counter)  # of error and timeout
    version: str | None = None
    database_version: str | None = None

    def add(self, verdict: Verdict) -> None:
        self.said[verdict.status] += 1
        self.version = verdict.engine_version or self.version
        self.database_version = verdict.database_version or self.database_version
        if verdict.status not in ("skipped", "error"):
            self.seconds.add(verdict.seconds)
        if verdict.status in TROUBLE and verdict.reason:
            reason = verdict.reason.partition("; ")[0]  # what follows counts seconds or tries
            self.reasons[reason if reason in self.reasons or len(self.reasons) < REASONS else "other reasons"] += 1

    def merge(self, other: EngineCounts) -> None:
        self.said += other.said
        self.reasons += other.reasons
        self.seconds.merge(other.seconds)
        self.version = self.version or other.version
        self.database_version = self.database_version or other.database_version

    @property
    def unusable(self) -> bool:
        """It was asked and never had an answer."""
        return bool(self.said["error"]) and not any(self.said[word] for word in ("clean", "malicious", "suspicious"))


@state
class Summary:
    """Everything counted. `packets` and `bytes` are of the captures, whoever read them."""

    packets: int = 0
    bytes: int = 0
    captures: int = 0
    seconds: float = 0.0
    first: int | None = None  # ns since 1970 of the first packet of any flow
    last: int | None = None
    objects: Counter[tuple[str, str]] = field(default_factory=Counter)  # by protocol and type
    object_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    incomplete: Counter[tuple[str, str]] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)  # integrated, by object
    alarm_count: int = 0
    alarms: list[Alarm] = field(default_factory=list)
    coverage: Coverage = field(default_factory=Coverage)
    names: Counter[str] = field(default_factory=Counter)  # of TLS servers
    engines: dict[str, EngineCounts] = field(default_factory=dict)
    ratio: Quantiles = field(default_factory=Quantiles)  # total / slowest engine
    overhead: Quantiles = field(default_factory=Quantiles)  # seconds
    findings: Counter[str] = field(default_factory=Counter)
    counters: Counter[str] = field(default_factory=Counter)  # limits reached, parsers failed
    warnings: list[str] = field(default_factory=list)
    unusable_inputs: list[str] = field(default_factory=list)
    unusable_engines: dict[str, str] = field(default_factory=dict)  # name: why
    interrupted: bool = False

    def take(self, item: Item) -> None:
        """Counts one item of the pipeline."""
        if isinstance(item, Object):
            self._object(item, None)
        elif isinstance(item, FlowEnd):
            self._flow(item)
        elif isinstance(item, Alarm):
            self._alarm(item)
        else:
            self._object(item.target, item)
            self._scanned(item)

    def warn(self, text: str) -> None:
        """Keeps a warning, once."""
        if text not in self.warnings and len(self.warnings) < MESSAGES:
            self.warnings.append(text)

    def settle_engines(self, engines: Iterable[Engine]) -> None:
        """Names the engines that never answered; those that had nothing to scan are asked whether they are there."""
        for engine in engines:
            if (counts := self.engines.get(engine.name)) is None:
                why = engine.check()
            else:
                why = next(iter(counts.reasons), "no answer") if counts.unusable else None
            if why is not None:
                self.unusable_engines.setdefault(engine.name, why)

    def exit_code(self) -> int:
        """2 an input or engine could not be used, 1 something malicious, 0 neither; 130 interrupted."""
        if self.interrupted:
            return 130
        if self.unusable_inputs or self.unusable_engines:
            return 2
        return 1 if self.verdicts["malicious"] else 0

    def merge(self, other: Summary) -> None:
        """Adds what another worker counted of the same captures."""
        for name in ("objects", "object_bytes", "incomplete", "verdicts", "names", "findings", "counters"):
            getattr(self, name).update(getattr(other, name))
        self.packets += other.packets
        self.bytes += other.bytes
        self.captures += other.captures
        self._span(other.first, other.last)
        self.alarm_count += other.alarm_count
        self.alarms += other.alarms
        self.coverage.merge(other.coverage.rows())
        for engine, counts in other.engines.items():
            self.engines.setdefault(engine, EngineCounts()).merge(counts)
        self.ratio.merge(other.ratio)
        self.overhead.merge(other.overhead)
        for warning in other.warnings:
            self.warn(warning)
        self.unusable_inputs = list(dict.fromkeys(self.unusable_inputs + other.unusable_inputs))
        self.unusable_engines |= other.unusable_engines
        self.interrupted |= other.interrupted

    def gravest(self, number: int) -> list[Alarm]:
        """Alarms by severity, then by time."""
        return sorted(self.alarms, key=lambda alarm: (-alarm.severity, alarm.time, alarm.id))[:number]

    def _object(self, target: Object, scanned: Scanned | None) -> None:
        key = target.protocol, target.mime_type
        self.objects[key] += 1
        self.object_bytes[key] += target.size
        if not target.complete:
            self.incomplete[key] += 1
        if target.findings:
            self.findings.update(target.findings)
        self.coverage.object(target, scanned)

    def _flow(self, end: FlowEnd) -> None:
        self.coverage.flow(end)
        if end.findings:
            self.findings.update(end.findings)
        self._span(end.flow.time, end.time)
        name = end.facts.get(SERVER_NAME)
        if isinstance(name, str) and (name in self.names or len(self.names) < NAMES):
            self.names[name] += 1

    def _span(self, first: int | None, last: int | None) -> None:
        if first is not None:
            self.first = first if self.first is None else min(self.first, first)
        if last is not None:
            self.last = last if self.last is None else max(self.last, last)

    def _alarm(self, alarm: Alarm) -> None:
        self.alarm_count += 1
        self.alarms.append(alarm)
        if len(self.alarms) >= 2 * ALARMS:
            self.alarms = nlargest(ALARMS, self.alarms, key=lambda one: one.severity)

    def _scanned(self, scanned: Scanned) -> None:
        self.verdicts[integrate(scanned.verdicts, scanned.target.complete)] += 1
        for verdict in scanned.verdicts:
            if (counts := self.engines.get(verdict.engine)) is None:
                counts = self.engines[verdict.engine] = EngineCounts()
            counts.add(verdict)
        if scanned.latency.slowest > 0:
            self.ratio.add(scanned.latency.total / scanned.latency.slowest)
            self.overhead.add(scanned.latency.overhead / 1e9)

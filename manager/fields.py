"""The parts of documents that tell of one noun: `tapscan.object`, `.verdicts`, `.alarm`, `.action` ..., and `rule`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from engines.verdicts import Verdict, integrate
from manager.ecs import Document, severity_name, timestamp
from reassembly.objects import Object

if TYPE_CHECKING:
    from engines.outcome import Scanned
    from engines.status import EngineStatus
    from manager.action import Action
    from manager.alarms import Alarm
    from manager.quantiles import Quantiles
    from manager.summary import EngineCounts

RANGES = 1000  # missing ranges listed; `missing_bytes` counts all


def best_hit(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The hit that stands in `rule.*`: malicious before suspicious, one that describes its rule before a bare name."""
    hits = [verdict for verdict in verdicts if verdict.status in ("malicious", "suspicious")]
    return min(hits, key=lambda hit: (hit.status != "malicious", not hit.rule), default=None)


def rule_fields(hit: Verdict) -> Document:
    """ECS rule.* of a hit."""
    rule = {key: value for key, value in (hit.rule or {}).items() if value}
    return {"name": hit.signature or hit.status, "ruleset": hit.engine} | rule


def object_fields(target: Object) -> Document:
    """`tapscan.object`. Ranges of `missing` are half-open offsets, like those of the noun: `0-10` are ten bytes."""
    fields: Document = {
        "id": target.id,
        "kind": target.kind,
        "depth": target.depth,
        "complete": target.complete,
        "missing_bytes": target.missing_bytes,
    }
    if target.parent:
        fields["parent"] = target.parent
    if target.declared_type:
        fields["declared_type"] = target.declared_type
    if target.cut:
        fields["cut"] = target.cut
    if target.missing:
        fields["missing"] = [f"{start}-{end}" for start, end in target.missing[:RANGES]]
    if target.findings:
        fields["findings"] = list(target.findings)
    if target.codings:
        fields["codings"] = list(target.codings)
    return fields


def outcome(verdicts: Iterable[Verdict]) -> str:
    """ECS event.outcome: whether every engine that was asked could say something."""
    said = {verdict.status for verdict in verdicts}
    return "failure" if said & {"error", "timeout"} else "success" if said - {"skipped"} else "unknown"


def verdict_fields(verdict: Verdict) -> Document:
    """One element of `tapscan.verdicts`."""
    fields = {
        "engine": verdict.engine,
        "status": verdict.status,
        "signature": verdict.signature,
        "signatures": list(verdict.signatures) if len(verdict.signatures) > 1 else None,
        "reason": verdict.reason,
        "engine_version": verdict.engine_version,
        "database_version": verdict.database_version,
        "seconds": round(verdict.seconds, 6),
        "queued": round(verdict.queued, 6),
        "host": verdict.host,
    }
    return {key: value for key, value in fields.items() if value is not None and value != ""}


def engine_fields(verdicts: Iterable[Verdict]) -> Document:
    """`tapscan.engines`: names by what they said, flat for Kibana."""
    said: dict[str, list[str]] = {}
    for verdict in verdicts:
        names = said.setdefault(verdict.status, [])
        if verdict.engine not in names:
            names.append(verdict.engine)
    fields: Document = dict(said)
    if found := said.get("malicious", said.get("suspicious")):
        fields["agreement"] = "+".join(sorted(found))
    return fields


def scanned_fields(scanned: Scanned) -> Iterator[tuple[str, Any]]:
    """`tapscan.verdict`, `.verdicts`, `.engines` and `.latency` of an object."""
    yield "verdict", integrate(scanned.verdicts, scanned.target.complete)
    if scanned.verdicts:
        yield "verdicts", [verdict_fields(verdict) for verdict in scanned.verdicts]
        yield "engines", engine_fields(scanned.verdicts)
    yield "latency", latency_fields(scanned)


def latency_fields(scanned: Scanned) -> Document:
    """`tapscan.latency`, nanoseconds."""
    latency = scanned.latency
    fields: Document = {
        "transfer": latency.transfer,
        "reassembly": latency.reassembly,
        "queue": latency.queue,
        "slowest": latency.slowest,
        "total": latency.total,
        "overhead": latency.overhead,
    }
    if latency.slowest_engine:
        fields["slowest_engine"] = latency.slowest_engine
    return fields


def alarm_fields(alarm: Alarm) -> Document:
    """`tapscan.alarm`."""
    fields: Document = {
        "id": alarm.id,
        "revision": alarm.revision,
        "severity": severity_name(alarm.severity),
        "sender": alarm.sender,
        "recipients": list(alarm.recipients),
        "objects": [_alarm_object(scanned) for scanned in alarm.found],
        "verdicts": [verdict_fields(verdict) for verdict in alarm.verdicts],
    }
    if alarm.more:
        fields["more_objects"] = alarm.more
    return {key: value for key, value in fields.items() if value not in ([], "")}


def _alarm_object(scanned: Scanned) -> Document:
    target = scanned.target
    fields: Document = {
        "id": target.id,
        "sha256": target.sha256,
        "size": target.size,
        "mime_type": target.mime_type,
        "complete": target.complete,
        "verdict": integrate(scanned.verdicts, target.complete),
    }
    return fields | {key: value for key, value in (("name", target.name), ("parent", target.parent)) if value}


# What became of what was to be done; of all else (nothing was done, or nobody can know) nothing is said.
OUTCOMES = {"confirmed": "success", "done": "success", "late": "failure", "failed": "failure", "refused": "failure"}


def action_outcome(action: Action) -> str:
    """ECS event.outcome of an action."""
    return OUTCOMES.get(action.outcome, "unknown")


def action_fields(action: Action) -> Document:
    """`tapscan.action`: `latency` in nanoseconds."""
    fields = {
        "id": action.id,
        "revision": action.revision,
        "kind": action.kind,
        "mode": action.mode,
        "outcome": action.outcome,
        "rule": action.rule,
        "why": action.why,
        "reason": action.reason,
        "frames": action.frames,
        "sent": None if action.sent is None else timestamp(action.sent),
        "latency": action.latency,
        "bytes_delivered": action.bytes_delivered,
        "bytes_total": action.bytes_total,
        "bytes_past": action.bytes_past,
        "evaded_by_retry": action.evaded_by_retry,
    }
    return {key: value for key, value in fields.items() if value not in (None, "")}


def metric_fields(engine: EngineStatus) -> Document:
    """`tapscan.engine`: rates a second, latency in nanoseconds."""
    latency = {"median": engine.median_ms, "p99": engine.p99_ms}
    fields = {
        "name": engine.name,
        "version": engine.version,
        "database_version": engine.database,
        "actors": engine.actors,
        "silent": engine.silent,
        "queue": engine.waiting,
        "sensor_queue": engine.queue,
        "scanned": engine.scanned,
        "errors": engine.errors,
        "objects_s": round(engine.objects_s, 3),
        "bytes_s": round(engine.mb_s * 1e6),
        "latency": {key: round(ms * 1e6) for key, ms in latency.items() if ms is not None},
    }
    return {key: value for key, value in fields.items() if value not in (None, {})}


def minute_fields(name: str, engine: EngineCounts) -> Document:
    """An element of `tapscan.sensor.engines`: what an engine did in a minute."""
    said = engine.said
    return {
        "name": name,
        "scanned": sum(said.values()),
        "errors": said["error"] + said["timeout"],
        "latency": quantile_fields(engine.seconds),
    }


def minute_engine_fields(name: str, engine: EngineCounts, age: float | None) -> Document:
    """`tapscan.engine` of a minute. `age`: seconds since its database was made."""
    fields = minute_fields(name, engine) | {
        "malicious": engine.said["malicious"] + engine.said["suspicious"],
        "version": engine.version,
        "database_version": engine.database_version,
        "database_age": None if age is None else round(age),
    }
    return {key: value for key, value in fields.items() if value is not None}


def quantile_fields(seconds: Quantiles) -> Document:
    """Median and 99th percentile, in nanoseconds."""
    return {"median": round(seconds.at(0.5) * 1e9), "p99": round(seconds.at(0.99) * 1e9)}

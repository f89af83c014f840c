"""Documents, made here and nowhere else: object, alarm, action and coverage, as nested dictionaries in ECS.

Printing, storing and indexing are sinks for what this module makes. No nulls, no empty lists; `event.id` is the same
whenever the same capture is read. Fields: Elastic Common Schema; own ones stand under `tapscan.*`.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from manager.ecs import BILLION, ECS_VERSION, Document, extension, mac_text, merge, stable_id, timestamp
from manager.fields import (
    action_fields,
    action_outcome,
    alarm_fields,
    best_hit,
    engine_fields,
    metric_fields,
    minute_engine_fields,
    minute_fields,
    object_fields,
    outcome,
    quantile_fields,
    rule_fields,
    scanned_fields,
)
from manager.observer import Observer
from reassembly.events import Flow
from reassembly.objects import Object
from sensor.pcapng_file import file_of

if TYPE_CHECKING:
    from engines.outcome import Scanned
    from engines.status import EngineStatus, HostStatus
    from manager.action import Action
    from manager.alarms import Alarm
    from manager.coverage import Row
    from manager.quantiles import Quantiles
    from manager.summary import EngineCounts

MILLION = 1_000_000
FLOWS_KEPT = 512  # whose common fields are remembered: objects of one flow come close together

STREAMS = {
    "tapscan.object": "logs",
    "tapscan.alarm": "logs",
    "tapscan.action": "logs",
    "tapscan.coverage": "metrics",
    "tapscan.sensor": "metrics",
    "tapscan.health": "logs",
}
INFO, NETWORK = ["info"], ["file", "network"]
CATEGORIES = {protocol: ["file", "web"] for protocol in ("http", "http2")} | {
    protocol: ["file", "email"] for protocol in ("smtp", "lmtp", "pop3", "imap")
}


class Documents:
    """Makes the documents of one sensor. `hashes`: which more than SHA-256 (`sha1`, `md5`) each object gets.

    `live`: where flows come from are interfaces, not captures. `record`: the folder of the packets of alarms.
    """

    def __init__(
        self, observer: Observer, hashes: Sequence[str] = (), live: bool = False, record: str | None = None
    ) -> None:
        self._live = live
        self._record = record
        self._clock = 0, timestamp(0)
        self._count = 0
        self.change(observer, hashes)

    def change(self, observer: Observer, hashes: Sequence[str]) -> None:
        """Who we are has changed, or which hashes are wanted."""
        self._observer = observer
        self._fields = observer.fields()
        self._host = {"name": observer.hostname}
        self._hashes = tuple(hashes)
        self._flows: dict[str, tuple[Document, Document, Document, list[str]]] = {}
        self._streams = {
            name: {"type": kind, "dataset": name, "namespace": observer.namespace} for name, kind in STREAMS.items()
        }

    def object(self, target: Object, scanned: Scanned | None = None) -> Document:
        """The document of one object; with the verdicts when it was scanned."""
        document = self._frame(target.flow, target.protocol, target.time)
        document["event"] = {
            "id": target.id + target.sha256[:12],  # captures with the same addresses and times may hold other bytes
            "kind": "event",
            "category": CATEGORIES.get(target.protocol, NETWORK),
            "type": INFO,
            "dataset": "tapscan.object",
            "module": "tapscan",
            "created": self._now(),
            "start": document["@timestamp"] if target.began == target.time else timestamp(target.began),
            "duration": max(0, target.time - target.began),
            "outcome": "unknown",
        }
        document["data_stream"] = self._streams["tapscan.object"]
        document["file"] = file = self._file(target, self._hashes)
        document["tapscan"] = own = {
            "flow": {"id": target.flow.id, "direction": "resp" if target.direction else "orig"},
            "object": object_fields(target),
        }
        document["related"]["hash"] = [*file["hash"].values()]
        if scanned is not None:
            document["event"]["outcome"] = outcome(scanned.verdicts)
            own.update(scanned_fields(scanned))
            if hit := best_hit(scanned.verdicts):
                document["rule"] = rule_fields(hit)
        if target.facts:
            merge(document, target.facts)
        return document

    def alarm(self, alarm: Alarm) -> Document:
        """The document of one revision of an alarm."""
        worst = alarm.worst
        document = self._frame(alarm.flow, worst.target.protocol, alarm.time)
        document["message"] = alarm.message
        document["event"] = {
            "id": stable_id(alarm.id, str(alarm.revision)),
            "kind": "alert",
            "category": ["malware", *CATEGORIES.get(worst.target.protocol, NETWORK)],
            "type": INFO,
            "dataset": "tapscan.alarm",
            "module": "tapscan",
            "created": self._now(),
            "start": timestamp(alarm.began),
            "duration": max(0, alarm.time - alarm.began),
            "outcome": outcome(alarm.verdicts),
            "severity": alarm.severity,
        }
        document["data_stream"] = self._streams["tapscan.alarm"]
        document["file"] = self._file(worst.target)
        document["rule"] = rule_fields(alarm.hit)
        document["tapscan"] = {
            "flow": {"id": alarm.flow.id, "direction": "resp" if worst.target.direction else "orig"},
            "alarm": alarm_fields(alarm),
            "verdict": alarm.verdict,
            "engines": engine_fields(alarm.verdicts),
        }
        if self._record is not None:
            document["tapscan"]["alarm"]["packets"] = os.path.join(self._record, file_of(alarm.id))  # noqa: PTH118 - a text
        document["related"]["hash"] = list(dict.fromkeys(scanned.target.sha256 for scanned in alarm.found))
        merge(document, alarm.facts)
        return document

    def action(self, action: Action) -> Document:
        """The document of one revision of an action."""
        target = action.target
        document = self._frame(action.flow, target.protocol, action.time)
        document["event"] = {
            "id": stable_id(action.id, "action", str(action.revision)),
            "kind": "event",
            "category": ["intrusion_detection", "network"],
            "type": ["info", "denied"] if action.outcome == "confirmed" else INFO,
            "dataset": "tapscan.action",
            "module": "tapscan",
            "action": action.kind,
            "created": self._now(),
            "duration": 0 if action.sent is None else max(0, action.sent - action.time),
            "outcome": action_outcome(action),
        }
        if action.reason:
            document["event"]["reason"] = action.reason
        document["data_stream"] = self._streams["tapscan.action"]
        document["file"] = self._file(target)
        document["rule"] = rule_fields(action.hit)
        document["tapscan"] = {
            "flow": {"id": action.flow.id, "direction": "resp" if target.direction else "orig"},
            "action": action_fields(action),
        }
        if target.sha256:  # there is all of it
            document["related"]["hash"] = [target.sha256]
        if target.facts and "url.original" in target.facts:
            merge(document, {"url.original": target.facts["url.original"]})
        return document

    def coverage(self, row: Row) -> Document:
        """The document of one minute, service and reason of the coverage ledger."""
        fields = {"service": row.service, **row.tally.fields()} | ({"reason": row.reason} if row.reason else {})
        return {
            "@timestamp": timestamp(row.minute * 60 * BILLION),
            "ecs": {"version": ECS_VERSION},
            "event": {
                "id": self._row_id(row),
                "kind": "metric",
                "category": ["network"],
                "type": INFO,
                "dataset": "tapscan.coverage",
                "module": "tapscan",
                "created": self._now(),
                "duration": 60 * BILLION,
                "outcome": "success",
            },
            "data_stream": self._streams["tapscan.coverage"],
            "observer": self._fields,
            "host": self._host,
            "network": {"protocol": row.service},
            "tapscan": {"coverage": fields},
        } | self._place(row.capture)

    def sensor(
        self, time: int, figures: Mapping[str, int], latency: Quantiles, engines: Mapping[str, EngineCounts]
    ) -> Document:
        """The metrics of a live sensor for the minute that ends at `time`: its figures, and those of its engines."""
        own: Document = {**figures, "engines": [minute_fields(name, one) for name, one in sorted(engines.items())]}
        if latency.count:
            own["latency"] = quantile_fields(latency)
        return self._minute(time) | {"tapscan": {"sensor": {key: value for key, value in own.items() if value != []}}}

    def engine(self, time: int, name: str, counts: EngineCounts, age: float | None) -> Document:
        """What one engine did in the minute that ends at `time`. `age`: seconds since its database was made."""
        return self._minute(time) | {"tapscan": {"engine": minute_engine_fields(name, counts, age)}}

    def _minute(self, time: int) -> Document:
        return {
            "@timestamp": timestamp(time),
            "ecs": {"version": ECS_VERSION},
            "event": {
                "id": self._unique("minute"),
                "kind": "metric",
                "category": ["host"],
                "type": INFO,
                "dataset": "tapscan.sensor",
                "module": "tapscan",
                "created": self._now(),
                "outcome": "success",
            },
            "data_stream": self._streams["tapscan.sensor"],
            "observer": self._fields,
            "host": self._host,
        }

    def health(self, time: int, message: str) -> Document:
        """An alarm for the operator: the sensor doesn't do what it should. `time`: ns since 1970."""
        return {
            "@timestamp": timestamp(time),
            "ecs": {"version": ECS_VERSION},
            "message": message,
            "event": {
                "id": self._unique("health"),
                "kind": "alert",
                "category": ["host"],
                "type": INFO,
                "dataset": "tapscan.health",
                "module": "tapscan",
                "created": self._now(),
                "outcome": "failure",
                "severity": 73,
            },
            "data_stream": self._streams["tapscan.health"],
            "observer": self._fields,
            "host": self._host,
        }

    def scan_host(self, host: HostStatus, engine: EngineStatus | None = None) -> Document:
        """The metrics of an engine on a host of a cluster; without an engine, those of a host that runs none."""
        now = self._now()
        document = {
            "@timestamp": now,
            "ecs": {"version": ECS_VERSION},
            "event": {
                "id": stable_id(now, host.address, engine.name if engine else ""),
                "kind": "metric",
                "category": ["host"],
                "type": INFO,
                "dataset": "tapscan.sensor",
                "module": "tapscan",
                "created": now,
                "duration": round(engine.seconds * 1e9) if engine else 0,
                "outcome": "failure" if host.refused else "success",
            },
            "data_stream": self._streams["tapscan.sensor"],
            "observer": self._fields,
            "host": {"name": host.name or host.address, "ip": [host.address]},
            "related": {"ip": [host.address]},
            "tapscan": {"host": {"drained": host.drained}} | ({"engine": metric_fields(engine)} if engine else {}),
        }
        return document | ({"error": {"message": host.refused}} if host.refused else {})

    def _row_id(self, row: Row) -> str:
        """A capture's rows are the same whenever it is read; a sensor that is started again has rows of its own."""
        return (
            self._unique("row")
            if self._live
            else stable_id(row.capture, str(row.minute), row.service, row.reason or "")
        )

    def _unique(self, kind: str) -> str:
        """For what is said once, by this sensor alone."""
        self._count += 1
        return stable_id(self._observer.hostname, kind, str(os.getpid()), str(time.time_ns()), str(self._count))

    def _now(self) -> str:
        """The clock's time, to the millisecond."""
        now = time.time_ns() // MILLION
        if now != self._clock[0]:
            self._clock = now, timestamp(now * MILLION)
        return self._clock[1]

    def _frame(self, flow: Flow, protocol: str, when: int) -> Document:
        """What documents about a flow have in common. The parts that facts may extend are fresh each time."""
        source, destination, network, ips = self._flows.get(flow.id) or self._remember(flow)
        document = {
            "@timestamp": timestamp(when),
            "ecs": {"version": ECS_VERSION},
            "observer": self._fields,
            "host": self._host,
            "source": source.copy(),
            "destination": destination.copy(),
            "network": {**network, "protocol": protocol},
            "related": {"ip": ips},
        }
        document.update(self._place(flow.capture))
        return document

    def _place(self, name: str) -> Document:
        """Where something was seen: the interface, or the capture."""
        if self._live:
            return {"observer": self._fields | {"ingress": {"interface": {"name": name}}}}
        return {"log": {"file": {"path": name}}}

    def _remember(self, flow: Flow) -> tuple[Document, Document, Document, list[str]]:
        if len(self._flows) >= FLOWS_KEPT:
            del self._flows[next(iter(self._flows))]
        source, destination = (
            _end(flow.ip(0), flow.orig_port, flow.orig_mac),
            _end(flow.ip(1), flow.resp_port, flow.resp_mac),
        )
        ips = list(dict.fromkeys((source["ip"], destination["ip"])))
        self._flows[flow.id] = kept = source, destination, self._network(flow), ips
        return kept

    def _network(self, flow: Flow) -> Document:
        network: Document = {
            "transport": flow.transport,
            "type": "ipv4" if len(flow.orig_ip) == 4 else "ipv6",
            "community_id": flow.community_id,
        }
        if direction := self._observer.direction(flow):
            network["direction"] = direction
        if flow.vlan:
            network["vlan"] = {"id": str(flow.vlan[0])}
        if len(flow.vlan) > 1:
            network["inner"] = {"vlan": {"id": str(flow.vlan[1])}}
        return network

    def _file(self, target: Object, hashes: Sequence[str] = ()) -> Document:
        fields: Document = {"size": target.size}
        if target.mime_type:
            fields["mime_type"] = target.mime_type
        if target.sha256:
            fields["hash"] = {"sha256": target.sha256}
        if target.name:
            fields["name"] = target.name
            if ending := extension(target.name):
                fields["extension"] = ending
        for algorithm in () if target.content.gone else hashes:
            digest = hashlib.new(algorithm, usedforsecurity=False)
            for chunk in target.content.chunks():
                digest.update(chunk)
            fields["hash"][algorithm] = digest.hexdigest()
        return fields


def _end(ip: str, port: int, mac: bytes) -> Document:
    end: Document = {"ip": ip, "port": port}
    if mac:
        end["mac"] = mac_text(mac)
    return end

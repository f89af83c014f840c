"""Engines, flow table and observer put together from the settings: the one place that knows both sides."""

from __future__ import annotations

import os
import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from engines import ENGINES
from engines.verdicts import Engine
from manager.observer import Observer
from manager.pipeline import Source
from manager.progress import Watcher
from manager.settings import HashesSettings, Settings
from manager.summary import Summary
from reassembly.builder import Memory
from reassembly.flows import FlowTable
from reassembly.segments import OverlapPolicies
from sensor.captures import FragmentLimits


def observer(settings: Settings) -> Observer:
    """Who this sensor is."""
    return Observer(name=settings.sensor.name, home=settings.sensor.home, namespace=settings.elasticsearch.namespace)


def overlap_policies(settings: Settings) -> OverlapPolicies:
    """Which copy of overlapping bytes counts; the longest prefix is asked first."""
    networks = ((ip_network(text, strict=False), name) for text, name in settings.reassembly.overlap_networks.items())
    ordered = sorted(networks, key=lambda item: (-item[0].prefixlen, str(item[0])))
    return OverlapPolicies(settings.reassembly.overlap, tuple(ordered))


def flow_table(
    settings: Settings, memory: Memory, policies: OverlapPolicies, shard: tuple[int, int] | None
) -> FlowTable:
    """The flow table of one capture."""
    return FlowTable(
        settings.limits,
        memory,
        policies,
        track_vlan=settings.reassembly.track_vlan,
        shard=shard,
        low=frozenset(settings.overload.low),
    )


def fragment_limits(settings: Settings) -> FragmentLimits:
    """How IP fragments are put together; overlaps go by the default policy, whatever the network."""
    limits, overlap = settings.limits, settings.reassembly.overlap
    return FragmentLimits(overlap, limits.fragments, limits.fragment_timeout, limits.fragment_bytes)


def change(settings: Settings, source: Source, table: FlowTable, memory: Memory) -> None:
    """Other [limits] and [reassembly]: for flows that begin, and at once where they bound all flows and objects."""
    table.limits = table.idle.limits = table.expected.limits = table.bystanders.limits = settings.limits
    memory.limits = memory.pieces.limits = settings.limits
    table.policies = overlap_policies(settings)
    fragment_limits(settings).hold_for(source.fragments)


def exact_engines(settings: Settings) -> list[str]:
    """Names of the engines whose hit is a known-bad hash."""
    return [engine.name for engine in settings.engine if isinstance(engine, HashesSettings)]


def build_engines(settings: Settings, summary: Summary, progress: Watcher) -> list[Engine]:
    """The engines of the settings. One that can't be made is named in the summary; the others work."""
    engines = []
    for asked in settings.engine:
        given: dict[str, Any] = {field.name: getattr(asked, field.name) for field in fields(asked)}
        kind = given.pop("kind")
        if kind == "hashes":  # tens of millions of lines take a while to sort, once
            given["progress"] = lambda done, total, name=asked.name: progress(0, f"sorting {name}", done, total)
        try:
            engine = ENGINES[kind](**given)
        except (ValueError, OSError, re.error) as error:
            summary.unusable_engines[asked.name] = str(error)
            continue
        for problem in getattr(engine, "problems", ()):
            summary.warn(f"engine {asked.name}: {problem}")
        engines.append(engine)
    return engines


def ledger_folder(settings: Settings) -> Path:
    """Where the coverage ledger is kept."""
    return Path(settings.sensor.ledger or state_directory() / "coverage")


def spool_folder(settings: Settings) -> Path:
    """Where documents lie until they are sent, and after."""
    return Path(settings.spool.directory or state_directory() / "spool")


def state_directory() -> Path:
    """Where what outlasts a run is kept: systemd's StateDirectory, or the user's own (XDG Base Directory)."""
    if named := os.environ.get("STATE_DIRECTORY"):
        return Path(named.partition(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "tapscan"

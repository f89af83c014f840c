"""What a cluster's hosts and engines do, and which host is drained: for operators, who send no objects.

A drained host gets nothing new from any sensor; what it has is finished, then its actors end (`engines.cluster`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from engines import cluster
from engines.places import Host
from engines.scanner import Recipe, refusal
from sensor.noun import noun

T = TypeVar("T")

MEET = 20.0  # seconds for hosts to say what they are
ANSWER = 5.0  # seconds for actors to say what they have done


@noun
class EngineStatus:
    """One engine on one host, for all sensors together: an actor each."""

    name: str
    actors: int
    silent: int = 0  # of these: they didn't answer
    version: str | None = None
    database: str | None = None
    scanned: int = 0
    errors: int = 0
    waiting: int = 0  # objects there
    queue: int = 0  # objects at the sensors, for whichever host is free first
    seconds: float = 0.0  # that rates and quantiles are of
    objects_s: float = 0.0
    mb_s: float = 0.0
    median_ms: float | None = None  # of the slowest actor
    p99_ms: float | None = None


@noun
class HostStatus:
    """A host; `refused`: why nothing is sent to it."""

    name: str | None
    address: str
    refused: str | None
    drained: bool
    engines: tuple[EngineStatus, ...] = ()


class Status:
    """A connection of one who looks, as often as he likes. Raises ClusterError when there is no cluster."""

    def __init__(self, recipe: Recipe, address: str) -> None:
        self._recipe = recipe
        self._hosts: dict[str, Host] = {}  # by node
        cluster.connect(address)

    def look(self) -> list[HostStatus]:
        """All hosts, by name."""
        self._meet()
        said: dict[str, dict[str, list[Any]]] = {node: {} for node in self._hosts}
        for name, done in _answers(cluster.ask_actors(), ANSWER):
            engine, _, node = name.partition("#")[0].partition("@")
            if node in said:
                said[node].setdefault(engine, []).append(done)
        hosts = (_host(self._hosts[node], engines) for node, engines in said.items())
        return sorted(hosts, key=lambda host: (host.name or "", host.address))

    def find(self, named: str) -> list[str]:
        """The nodes of the hosts that have this name or address."""
        self._meet()
        hosts = self._hosts.values()
        return [host.node for host in hosts if named in (host.address, host.facts and host.facts.name)]

    def drain(self, node: str, undo: bool = False) -> None:
        """Lets a host finish what it has, for all sensors; or lets it work again."""
        cluster.set_drained(node, not undo)

    def actors(self, node: str) -> int:
        """How many a host has, of all sensors."""
        return sum(name.partition("#")[0].endswith(f"@{node}") for name, _ in cluster.ask_actors())

    def close(self) -> None:
        """Ends the connection."""
        cluster.disconnect()

    def _meet(self) -> None:
        """Hosts that have come are asked what they are."""
        there = {node["NodeID"]: node["NodeManagerAddress"] for node in cluster.alive()}
        self._hosts = {node: self._hosts.get(node) or Host(node, address) for node, address in there.items()}
        new = [host for host in self._hosts.values() if host.facts is None]
        for host, said in _answers(((host, cluster.ask_host(self._recipe, host.node)) for host in new), MEET):
            if isinstance(said, BaseException):
                host.refused = f"{host.address}: {str(said).strip().splitlines()[-1]}"
            else:
                host.facts, host.refused = said, refusal(host.address, said)
        drained = cluster.drained()
        for host in self._hosts.values():
            host.drained = host.node in drained


def _answers(asked: Iterable[tuple[T, Future[Any]]], seconds: float) -> Iterator[tuple[T, Any]]:
    """Who was asked, with the answer or an exception in its place."""
    asked = list(asked)
    wait([future for _, future in asked], seconds)
    for who, future in asked:
        if future.done():
            yield who, future.exception() or future.result()
        else:
            yield who, TimeoutError(f"no answer in {seconds:.0f} s")


def _host(host: Host, engines: Mapping[str, Sequence[Any]]) -> HostStatus:
    name = host.facts.name if host.facts is not None else None
    rows = tuple(together(engine, said) for engine, said in sorted(engines.items()))
    return HostStatus(name, host.address, host.refused, host.drained, rows)


def together(engine: str, said: Sequence[Any]) -> EngineStatus:
    """What the actors of an engine on a host have done: `Scanner.done` each, or an exception."""
    done = [one for one in said if not isinstance(one, BaseException)]
    known: dict[str, Any] = {}
    for key in ("version", "database"):
        known[key] = ", ".join(sorted({one[key] for one in done if one[key]})) or None
    for key in ("scanned", "errors", "waiting", "queue", "objects_s", "mb_s"):
        known[key] = sum(one[key] for one in done)
    for key in ("median_ms", "p99_ms"):
        known[key] = max((one[key] for one in done if one[key] is not None), default=None)
    known["seconds"] = max((one["seconds"] for one in done), default=0.0)
    return EngineStatus(engine, len(said), len(said) - len(done), **known)

"""What a cluster's hosts and engines do, for those who only look: no object is sent from here."""

from __future__ import annotations

from typing import Any

from engines.cluster import CONNECT, MEET, alive, answers, ask_actors, ask_host, connected
from engines.places import Host
from engines.scanner import Recipe, refusal


class Status:
    """A look at a cluster, as often as one likes. To be used within `connected`."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._hosts: dict[str, Host] = {}  # by node

    def look(self) -> list[dict[str, Any]]:
        """The hosts, what each says of itself, and what its engines have done for all sensors.

        A host: `name`, `address`, `refused` (why nothing is sent to it) and `engines`, each with `name` and what
        `Scanner.done` gives.
        """
        there = {node["NodeID"]: node["NodeManagerAddress"] for node in alive()}
        self._hosts = {node: self._hosts.get(node) or Host(node, address) for node, address in there.items()}
        self._meet([host for host in self._hosts.values() if host.facts is None])
        shown = {node: _fields(host) for node, host in self._hosts.items()}
        for name, done in answers(dict(ask_actors()), CONNECT):
            engine, _, node = name.partition("#")[0].partition("@")
            if node in shown and not isinstance(done, Exception):
                shown[node]["engines"].append({"name": engine, **done})
        return sorted(shown.values(), key=lambda host: str(host["name"]))

    def _meet(self, hosts: list[Host]) -> None:
        for host, said in answers({ask_host(self._recipe, host.node): host for host in hosts}, MEET):
            if isinstance(said, Exception):
                host.refused = str(said).strip().splitlines()[-1]
            else:
                host.facts, host.refused = said, refusal(host.address, said)


def report(recipe: Recipe, address: str) -> list[dict[str, Any]]:
    """One look at a cluster: `Status.look`. Raises ClusterError."""
    with connected(address):
        return Status(recipe).look()


def _fields(host: Host) -> dict[str, Any]:
    name = host.facts.name if host.facts is not None else None
    return {"name": name, "address": host.address, "refused": host.refused, "engines": []}

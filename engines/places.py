"""Where the engines of a cluster run, as `engines.cluster` keeps it."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from engines.dispatch import Seat
from engines.scanner import Facts
from sensor.noun import state

FIRST_PAUSE = 0.1  # seconds before an engine that died is started again, the first time


@state
class Host:
    """A host as the cluster sees it."""

    node: str
    address: str
    facts: Facts | None = None
    refused: str | None = None  # why nothing is sent to it
    heard: float = 0.0  # when it last answered
    asked: bool = False  # an answer is due
    silent: bool = False
    drained: bool = False  # an operator wants nothing new to go there


@state
class Place:
    """An engine on a host: its actor, and what goes wrong there."""

    host: Host
    engine: str
    actor: Any = None
    seat: Seat | None = None
    version: str | None = None
    database: str | None = None
    trouble: str | None = None
    pause: float = FIRST_PAUSE
    retry_at: float | None = None
    leaving: bool = False  # replaced as soon as nothing is open there


def settled(hosts: Iterable[Host], places: Iterable[Place]) -> bool:
    """Whether each host, and each engine of it, has come up or said why not."""
    met = all(host.facts or host.refused for host in hosts)
    return met and all(place.seat or place.trouble or place.host.drained for place in places)


def reach(address: str, seconds: float) -> None:
    """Raises ConnectionError where no head listens: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except (OSError, ValueError) as error:
        raise ConnectionError(f"nothing answers: {error}") from None

"""The hosts of a cluster: which are there, what came up on them, what fell and is started again.

Nothing here knows Ray or threads: `engines.cluster` says what it sees and does what it is asked (`Wire`). Seconds are
monotonic.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from threading import Event
from typing import Any, Protocol

from engines.dispatch import Dispatch, Post
from engines.places import Host, Place
from engines.scanner import Facts, refusal

log = logging.getLogger(__name__)

SILENCE = 4.0  # seconds without an answer after which a host gets nothing new
AWAY = 1.0  # seconds between two looks at the times, above which we were kept from it
LONGEST_PAUSE = 30.0  # seconds before an engine that died many times, or a host that says nothing, is tried again


class Wire(Protocol):
    """What is asked of Ray; the answers come later, to the methods of `Roster` named here."""

    def meet(self, host: Host) -> None:
        """Who is it? `met` or `unmet`."""
        ...

    def start(self, place: Place) -> Any:
        """Starts the actor of a place; `up` or `unmade`."""
        ...

    def end(self, place: Place) -> None:
        """Ends it."""
        ...

    def ping(self, place: Place) -> None:
        """Is its host there? `heard` of the host, and `asked` of the place, say so."""
        ...


class Roster:
    """The hosts by their nodes, and what runs there by node and engine. Used by one thread."""

    def __init__(self, wire: Wire, dispatch: Dispatch, counters: Counter[str]) -> None:
        self.hosts: dict[str, Host] = {}
        self.places: dict[tuple[str, str], Place] = {}
        self.settled = Event()  # once each host, and each engine of it, has come up or said why not
        self.counters = counters
        self._ticked = 0.0
        self._wire = wire
        self._dispatch = dispatch

    def seen(self, there: Mapping[str, str], drained: Collection[str], now: float) -> None:
        """The nodes that are there, with their addresses, and those that shall get nothing new."""
        for node in there.keys() - self.hosts.keys():
            self.hosts[node] = host = Host(node, there[node], heard=now)
            self._wire.meet(host)
        for node in self.hosts.keys() - there.keys():
            self._gone(self.hosts.pop(node), now)
        for host in self.hosts.values():
            if host.drained != (host.node in drained):
                self._drain(host, now)
            if host.meet_at is not None and now > host.meet_at:
                host.meet_at = None
                self._wire.meet(host)
            self._ping(host, now)

    def met(self, host: Host, facts: Facts) -> None:
        """What a host says of itself."""
        if self.hosts.get(host.node) is not host:  # it is gone again
            return
        host.facts, host.refused = facts, None
        if (why := refusal(host.address, facts)) is not None:
            self._refuse(host, why)
            return
        for name in facts.engines:
            self._dispatch.desk(name)
            self.places[host.node, name] = place = Place(host, name)
            self._start(place)
        self._settle()

    def unmet(self, host: Host, now: float, why: str) -> None:
        """A host can't say who it is; it is asked again."""
        host.meet_at = now + LONGEST_PAUSE
        self._refuse(host, f"{host.address}: {why}")

    def up(
        self, place: Place, now: float, slots: int, timeout: float, version: str | None, database: str | None
    ) -> None:
        """An engine has come up, as it describes itself."""
        place.version, place.database, place.trouble = version, database, None
        place.seat = self._dispatch.seat(Post(place.engine, place.host.node, slots, timeout), now)
        place.seat.paused = place.host.silent
        self._settle()

    def unmade(self, place: Place, now: float, why: str, for_good: bool) -> None:
        """It can't be made there. Where no other host can, its objects needn't wait for it."""
        why = why.strip().splitlines()[-1]
        if why != place.trouble:
            log.warning("engine %s on %s can't be started: %s", place.engine, place.host.address, why)
        self._lift(place, now, crashed=False)
        place.trouble = why
        others = [other for other in self.places.values() if other.engine == place.engine]
        if for_good and all(other.trouble and other.seat is None for other in others):
            self._dispatch.refuse(place.engine, place.trouble)
        self._settle()

    def fell(self, place: Place, now: float, why: str, crashed: bool) -> None:
        """An actor is gone: its objects go elsewhere, and it is started again where its host lives."""
        self.counters["cluster.actor_died"] += 1
        log.warning("engine %s on %s is gone: %s", place.engine, place.host.address, why.splitlines()[0])
        self._lift(place, now, crashed)

    def _lift(self, place: Place, now: float, crashed: bool) -> None:
        if place.seat is not None:
            self._dispatch.unseat(place.seat, now, crashed)
        place.seat = place.actor = None
        place.leaving = place.asked = False
        place.retry_at = now + place.pause
        place.pause = min(place.pause * 2, LONGEST_PAUSE)

    def replace(self, place: Place, now: float) -> None:
        """Its scans hang: a new actor takes over; the old one ends what else it has."""
        if place.seat is None or place.leaving:
            return
        place.leaving = True
        place.seat.paused = True
        self._retire(place, now)

    def tick(self, now: float) -> None:
        """Looks at all that has a time. While we were away nobody could be heard."""
        away, self._ticked = now - (self._ticked or now), now
        for host in self.hosts.values() if away > AWAY else ():
            host.heard += away
        for host in self.hosts.values():
            self._hear(host, now)
        for seat in self._dispatch.late(now):
            place = self.places[seat.post.host, seat.post.engine]
            self._wire.end(place)
            self.fell(place, now, "no answer in time", crashed=False)
        for place in self.places.values():
            if place.leaving:
                self._retire(place, now)
            if place.retry_at is not None and now > place.retry_at:
                self._start(place)

    def _gone(self, host: Host, now: float) -> None:
        log.warning("host %s is gone", host.address)
        self.counters["cluster.host_gone"] += 1
        for key in [key for key in self.places if key[0] == host.node]:
            place = self.places.pop(key)
            if place.seat is not None:
                self._dispatch.unseat(place.seat, now, crashed=False)

    def _refuse(self, host: Host, why: str) -> None:
        if host.refused != why:
            log.error("host refused: %s", why)
        host.refused = why
        self._settle()

    def _drain(self, host: Host, now: float) -> None:
        """What it has is finished, nothing new goes there; or this is over."""
        host.drained = not host.drained
        for place in list(self._at(host)):
            if place.seat is None:
                self._retire(place, now)
            elif host.drained:
                self.replace(place, now)

    def _at(self, host: Host) -> Iterator[Place]:
        return (place for place in self.places.values() if place.host is host)

    def _start(self, place: Place) -> None:
        place.retry_at = None
        if not place.host.drained:
            place.actor = self._wire.start(place)

    def _retire(self, place: Place, now: float) -> None:
        if place.seat is not None:
            if place.seat.calls:
                return
            self._dispatch.unseat(place.seat, now, crashed=False)
            self.counters["cluster.actor_replaced"] += not place.host.drained
        if place.actor is not None:
            self._wire.end(place)
        place.seat = place.actor = None
        place.leaving = place.asked = False
        self._start(place)

    def _ping(self, host: Host, now: float) -> None:
        """Asks all its engines: one that is stopped says nothing of its host."""
        if not (seated := [place for place in self._at(host) if place.seat is not None]):
            host.heard = now
        for place in seated:
            if not place.asked:
                place.asked = True
                self._wire.ping(place)

    def _hear(self, host: Host, now: float) -> None:
        silent = now - host.heard > SILENCE
        if silent == host.silent:
            return
        host.silent = silent
        log.warning("host %s %s", host.address, "is silent" if silent else "answers again")
        for place in self._at(host):
            if place.seat is not None and (silent or not place.leaving):
                (self._dispatch.pause if silent else self._dispatch.resume)(place.seat, now)

    def _settle(self) -> None:
        met = self.places and all(host.facts or host.refused for host in self.hosts.values())
        if met and all(place.seat or place.trouble or place.host.drained for place in self.places.values()):
            self.settled.set()

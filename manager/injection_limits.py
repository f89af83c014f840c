"""What the injector refuses to send: rates, lists, a stop, and requests that aren't about their flow.

The requests come from processes that read hostile bytes, so each field is looked at before it is used. Free of input
and output but for the stop file; time is handed in.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Any, Protocol

from manager.action import Request
from manager.request_checks import flaw, key_of, macs_of
from manager.settings import CountermeasureSettings
from reassembly.events import Flow
from sensor.noun import noun, state

NS = 1_000_000_000
WINDOW = 300 * NS  # within which hosts are counted for the circuit breaker
FOLLOW_UPS = 10  # requests for the same flow and action
FOLLOWING = 2 * NS  # within which they come
KNOWN_FLOWS = 1 << 15
KNOWN_HOSTS = 1 << 14


class Stop(Protocol):
    """`manager.stop_file.StopFile`."""

    def why(self) -> str | None: ...
    def stop(self, why: str) -> None: ...


@state
class Bucket:
    """Tokens at `now`: as many as `most`, of which one comes back every `interval` ns."""

    most: float
    interval: float
    left: float
    time: int

    def has(self, now: int) -> bool:
        """Whether one can be taken."""
        self.left = min(self.most, self.left + max(0, now - self.time) / self.interval)
        self.time = max(self.time, now)
        return self.left >= 1


@state
class Acted:
    """A flow for which a request was let through."""

    action: str
    time: int
    more: int = 0


@noun
class Lists:
    """To whom nothing is ever done. Raises ValueError for what is no network or hardware address."""

    networks: tuple[Any, ...]
    ports: frozenset[int]
    macs: frozenset[bytes]

    @classmethod
    def of(cls, settings: CountermeasureSettings) -> Lists:
        networks = tuple(ipaddress.ip_network(one, strict=False) for one in settings.allow)
        macs = frozenset(mac(one) for one in settings.allow_macs)
        return cls(networks, frozenset(settings.allow_ports), macs)

    def spared(self, request: Request) -> str | None:
        """Who of the flow is on a list."""
        flow = request.flow
        for port in (flow.orig_port, flow.resp_port):
            if port in self.ports:
                return f"port {port} is allowed"
        if (why := self.of_ends(flow)) is not None:
            return why
        for found in macs_of(request) & self.macs:
            return f"{found.hex(':')} is allowed"
        return None

    def of_ends(self, flow: Flow) -> str | None:
        """Which of its addresses is on a list."""
        for packed in (flow.orig_ip, flow.resp_ip):
            address = ipaddress.ip_address(packed)
            if any(address in network for network in self.networks):
                return f"{address} is allowed"
        return None


def mac(text: str) -> bytes:
    """A hardware address as people write it. Raises ValueError."""
    packed = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(packed) != 6:
        raise ValueError(f"{text!r} is no hardware address")
    return packed


class Limits:
    """Remembers what was let through. Bounded: the oldest is forgotten."""

    def __init__(self, settings: CountermeasureSettings, stop: Stop) -> None:
        self._settings = settings
        self._stop = stop
        self._lists = Lists.of(settings)
        self._all = _bucket(settings.per_second, NS, 0)
        self._each: OrderedDict[bytes, Bucket] = OrderedDict()
        self._flows: OrderedDict[object, Acted] = OrderedDict()
        self._hosts: OrderedDict[bytes, int] = OrderedDict()  # when last

    def check(self, request: object, now: int) -> str | None:
        """Why nothing is sent; None: it is to be sent, and counts from here on. `now`: ns, of any clock."""
        if (why := flaw(request)) is not None:
            return why
        if self._settings.mode == "observe":
            return "the mode is observe"
        if (why := self._stop.why()) is not None:
            return why
        assert isinstance(request, Request)  # it has no flaw
        if (why := self._lists.spared(request)) is not None:
            return why
        known = self._flows.get(key_of(request))
        return self._again(known, request, now) if known else self._first(request, now)

    def _again(self, known: Acted, request: Request, now: int) -> str | None:
        if known.action != request.action:
            return "the flow was acted on already"
        if now - known.time > FOLLOWING or known.more >= FOLLOW_UPS:
            return "the flow had its follow-ups already"
        known.more += 1
        return None

    def _first(self, request: Request, now: int) -> str | None:
        receiver = request.frames[0].source  # the first goes to who sends, in the name of who receives
        host = self._each.get(receiver) or _bucket(self._settings.per_host, 60 * NS, now)
        if not self._all.has(now):
            return f"more than {self._settings.per_second:g} flows a second"
        if not host.has(now):
            return f"more than {self._settings.per_host:g} flows a minute of this host"
        if self._too_many(receiver, now):
            why = f"more than {self._settings.hosts} hosts within five minutes"
            self._stop.stop(why)
            self._hosts.clear()
            return why
        self._all.left -= 1
        host.left -= 1
        _kept(self._each, receiver, host, KNOWN_HOSTS)
        _kept(self._flows, key_of(request), Acted(request.action, now), KNOWN_FLOWS)
        return None

    def _too_many(self, receiver: bytes, now: int) -> bool:
        """Whether this is one host more than there may be; if not it is one of them now."""
        while self._hosts and next(iter(self._hosts.values())) < now - WINDOW:
            self._hosts.popitem(last=False)
        if receiver not in self._hosts and len(self._hosts) >= self._settings.hosts:
            return True
        _kept(self._hosts, receiver, now, self._settings.hosts)
        return False


def _bucket(rate: float, per: int, now: int) -> Bucket:
    """Full. One that never has a whole token would never let anything through."""
    return Bucket(max(1.0, rate) if rate > 0 else 0.0, per / rate if rate > 0 else float(per), max(1.0, rate), now)


def _kept(known: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > most:
        known.popitem(last=False)

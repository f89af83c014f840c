"""Who saw it: the name, version and home networks of this sensor, for `observer.*` and `network.direction` (ECS)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import field
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from manager import VERSION
from reassembly.events import Flow
from sensor.noun import noun


@noun
class Observer:
    """`home`: networks that are ours, in CIDR; without them nobody can say what is inbound."""

    hostname: str = field(default_factory=lambda: os.uname().nodename)
    name: str | None = None
    home: tuple[str, ...] = ()
    namespace: str = "default"  # third part of the data stream's name

    def fields(self) -> dict[str, Any]:
        """ECS observer.*"""
        return {
            "vendor": "tapscan",
            "product": "tapscan",
            "type": "sensor",
            "version": VERSION,
            "hostname": self.hostname,
            "name": self.name or self.hostname,
        }

    def direction(self, flow: Flow) -> str | None:
        """ECS network.direction seen from the home networks: who opened the flow counts; None when nobody can know."""
        if not self.home:
            return None
        ours = networks(self.home)
        match _within(flow.orig_ip, ours), _within(flow.resp_ip, ours):
            case True, True:
                return "internal"
            case True, False:
                return "outbound"
            case False, True:
                return "inbound"
        return "external"


@cache
def networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Parses networks in CIDR; host bits may be set. Raises ValueError."""
    return tuple(ip_network(text, strict=False) for text in texts)


def _within(packed: bytes, ours: Iterable[IPv4Network | IPv6Network]) -> bool:
    address = ip_address(packed)
    return any(address in network for network in ours)

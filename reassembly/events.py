"""What reassembly hands to a protocol parser: `Data`, `Gap` and `Close`, of one direction of one `Flow`.

And what a parser hands back besides an `Object`: `Expect` a related flow, `Switch` to another protocol, `Note` a fact.
"""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Mapping
from typing import Literal, TypeAlias

from sensor.noun import noun

ORIG, RESP = 0, 1  # who opened the flow, and who answered (Zeek's words): never a guessed client or server

CloseHow: TypeAlias = Literal["fin", "reset", "timeout", "eviction", "end_of_capture"]
Fact: TypeAlias = str | int | float | bool | list[str]
Facts: TypeAlias = Mapping[str, Fact]  # dotted ECS field names


@noun
class Flow:
    """The identity of one TCP connection or UDP exchange; `id` is the same whenever the same capture is read."""

    id: str
    orig_ip: bytes  # 4 or 16 bytes, network order
    orig_port: int
    resp_ip: bytes
    resp_port: int
    transport: Literal["tcp", "udp"]
    vlan: tuple[int, ...]  # outer first
    orig_mac: bytes  # 6 bytes; empty where the link has none
    resp_mac: bytes
    time: int  # nanoseconds since 1970 of the first packet
    capture: str
    midstream: bool  # picked up without its handshake

    @property
    def community_id(self) -> str:
        """Corelight's Community ID, version 1, seed 0 (github.com/corelight/community-id-spec)."""
        ends = sorted(((self.orig_ip, self.orig_port), (self.resp_ip, self.resp_port)))
        number = b"\x06\x00" if self.transport == "tcp" else b"\x11\x00"
        (low, low_port), (high, high_port) = ends
        packed = b"\0\0" + low + high + number + low_port.to_bytes(2, "big") + high_port.to_bytes(2, "big")
        return "1:" + base64.b64encode(hashlib.sha1(packed, usedforsecurity=False).digest()).decode()

    def ip(self, direction: int) -> str:
        """The text form of the address of one end."""
        packed = self.resp_ip if direction else self.orig_ip
        return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


@noun
class Data:
    """In-order bytes of one direction; `began` and `time` are those of its first and last segment (ns since 1970)."""

    direction: int
    payload: bytes
    began: int
    time: int


@noun
class Gap:
    """Bytes that were sent and never seen. `length` is at least 1."""

    direction: int
    length: int
    time: int


@noun
class Close:
    """The end of one direction. Each direction gets exactly one, the last thing a parser hears of it."""

    direction: int
    how: CloseHow
    time: int


@noun
class Expect:
    """A flow that this one announced (FTP data): TCP to `ip`:`port`, spoken by `protocol`, described by `facts`.

    `facts` may still grow by reference until the announced flow ends: the command often follows the port.
    """

    ip: bytes
    port: int
    protocol: str
    facts: dict[str, Fact]
    by: str = ""  # id of the flow that announced it


@noun
class Switch:
    """What follows in this flow is another protocol (CONNECT, Upgrade): choose by content again.

    `rest` holds what was fed but not consumed, in order; it is fed to the protocol that is chosen.
    """

    rest: tuple[Data, ...] = ()


@noun
class Note:
    """Facts about the flow as a whole, for its summary (TLS: the server name)."""

    facts: Facts


@noun
class FlowEnd:
    """What there is to say of a flow when it is over: for the coverage ledger, and to close its alarm.

    `service` is the protocol by content, `unknown` where nobody recognised it. `unscanned` names why bytes of it gave
    no object: `tls`, `ssh`, `quic`, `unknown`, `gap`, `limit:<name>`, `empty`; None where they did. Bytes that the
    receiver acknowledged and that we never saw went past the sensor (the idea of Zeek's capture-loss script); what
    nobody acknowledged may never have arrived anywhere.
    """

    flow: Flow
    service: str
    how: CloseHow
    time: int  # ns since 1970 of the last packet
    packets: tuple[int, int]  # by direction
    bytes: tuple[int, int]  # payload delivered, by direction
    missing: tuple[int, int]  # payload lost in gaps, by direction
    objects: int
    findings: tuple[str, ...]
    facts: Facts
    unscanned: str | None = None
    lost: tuple[int, int] = (0, 0)  # of the missing bytes, those that the receiver acknowledged

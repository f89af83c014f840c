"""What is known to be bad before it has come: hosts, addresses of pages and files, and how files begin.

Asked when a request or a TLS hello is there, and when an object has so many bytes that its digest can be compared.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import field
from urllib.parse import unquote

from reassembly.events import RESP, Flow
from sensor.noun import noun, state

PREFIXES = (4 << 10, 64 << 10, 1 << 20)  # bytes from the beginning of a file of which the SHA-256 is compared
MOST = 1000  # that are met within a batch; more would not be acted on
_END_OF_AUTHORITY = re.compile("[/?#]")  # RFC 3986, section 3.2
_LABELS = 32  # of a host's name that are looked at


@noun
class Listed:
    """Why something is known. `page`: who asks for it is told so, where that is possible."""

    id: str
    reason: str
    page: bool = True


@noun
class Met:
    """Something known, on its way in a flow. `asked`: it was asked for, and nothing of it has come yet."""

    flow: Flow
    direction: int  # who sends it, or would
    protocol: str
    listed: Listed
    what: str  # an address, a host's name or the digest of a beginning
    asked: bool
    time: int  # ns since 1970


@state
class Known:
    """Keys are made by `host_key` and `url_key`; prefixes are digests of as many bytes as one of PREFIXES."""

    hosts: Mapping[str, Listed] = field(default_factory=dict)  # ".example.org": it, and all below it
    urls: Mapping[str, Listed] = field(default_factory=dict)  # one without a query: whatever the query
    prefixes: Mapping[bytes, Listed] = field(default_factory=dict)
    met: list[Met] = field(default_factory=list)  # for who acts on it

    def __bool__(self) -> bool:
        return bool(self.hosts or self.urls or self.prefixes)

    def change(self, other: Known) -> None:
        """What is known from now on."""
        self.hosts, self.urls, self.prefixes = other.hosts, other.urls, other.prefixes

    def requested(self, flow: Flow, host: str, target: str, time: int, alone: bool) -> None:
        """An HTTP request; `target`: as in its first line. `alone`: no other one waits for its answer."""
        if not (self.urls or self.hosts):
            return
        key = url_key(host or flow.ip(RESP), target)
        listed = self.urls.get(key) or self.urls.get(key.partition("?")[0]) or self._host(key.partition("/")[0])
        if listed is not None:
            self._meet(Met(flow, RESP, "http", listed, f"http://{key}", alone, time))

    def greeted(self, flow: Flow, host: str, time: int) -> None:
        """A TLS hello with a server's name. Whoever reads TLS sees no page of ours."""
        if self.hosts and (listed := self._host(host_key(host))) is not None:
            self._meet(Met(flow, RESP, "tls", listed, host, False, time))

    def begun(self, flow: Flow, direction: int, protocol: str, head: bytes, time: int) -> None:
        """So many bytes of a file are there."""
        digest = hashlib.sha256(head).digest()
        if (listed := self.prefixes.get(digest)) is not None:
            self._meet(Met(flow, direction, protocol, listed, digest.hex(), False, time))

    def _host(self, key: str) -> Listed | None:
        if not self.hosts:
            return None
        return next((self.hosts[name] for name in _names(key) if name in self.hosts), None)

    def _meet(self, met: Met) -> None:
        if len(self.met) < MOST:
            self.met.append(met)


def _names(key: str) -> Iterator[str]:
    """Under which a host may be listed: its name with and without the port, and those that it is below of."""
    yield key
    name, _ = _split(key)
    yield name
    labels = name.split(".")[-_LABELS:]
    for first in range(len(labels)):
        yield "." + ".".join(labels[first:])


def host_key(host: str) -> str:
    """A host, perhaps with a port, as it is compared: lower case, without the dot at the end and the usual port."""
    name, port = _split(host.rpartition("@")[2].lower())
    return (name.removesuffix(".") + (f":{port}" if port not in ("", "80") else ""))[:300]


def _split(host: str) -> tuple[str, str]:
    """Name and port; an address of IPv6 without brackets gets them, and has no port."""
    if host.count(":") > 1 and "[" not in host:
        return f"[{host}]", ""
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and "]" not in port else (host, "")


def url_key(host: str, target: str) -> str:
    """Where a request goes, as it is compared: host, path, decoded once, and query. `target`: any of RFC 9112."""
    if target[:1] != "/" and "://" in target:
        rest = target.partition("://")[2]
        authority = _END_OF_AUTHORITY.split(rest, 1)[0]
        host, target = authority or host, rest[len(authority) :]
    path, mark, query = target.partition("#")[0].partition("?")
    return host_key(host) + (unquote(path) or "/") + mark + query

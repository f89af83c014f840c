"""SOCKS 4, 4a and 5 (RFC 1928, RFC 1929): what goes through the proxy is read as if it had gone straight.

The handshake names the target; once the proxy agrees to CONNECT, the flow is looked at anew. Programs that turn a host
behind a firewall into a proxy call home first, introduce themselves in a few bytes, and are then asked by who answered.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop

from reassembly.builder import Origin
from reassembly.events import ORIG, Close, Data, Gap, Note, Switch
from reassembly.lines import words
from reassembly.protocols import Answer, Emitted
from sensor.noun import noun

NAME = "socks"
PORTS = frozenset({1080})
OBJECTS = False  # of its own: whoever reads the rest has them

_LONGEST = 1024  # of a handshake in one direction: names and passwords have up to 255 bytes
_METHODS = frozenset((*range(0x0A), *range(0x80, 0x100)))  # RFC 1928, section 3: assigned, private, none
_REPLIES = frozenset((*range(0x0A), 0xFF))
_INTRODUCTION = 64  # bytes of whoever calls home, at most
_GRANTED = b"\5\0\5\0\0"  # both answers of a proxy that asks for no password
_LENGTHS = {1: 4, 4: 16}  # of addresses, by type


class _Short(Exception):
    """The handshake is not whole yet."""


class _Wrong(Exception):
    """This is no handshake, or one that ends here."""


class _Bytes:
    """One direction of the handshake, read from its start."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if self.at + size > len(self._data):
            raise _Short
        self.at += size
        return self._data[self.at - size : self.at]

    def one(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def until_zero(self) -> bytes:
        """What stands before the next NUL."""
        end = self._data.find(b"\0", self.at)
        if end < 0:
            raise _Short
        text, self.at = self._data[self.at : end], end + 1
        return text


@noun
class _Agreed:
    """Where the handshake ends in each direction, and its target."""

    client: int
    server: int
    target: str
    connected: bool  # by CONNECT; else the flow stays the proxy's own


def _expect(condition: bool) -> None:
    if not condition:
        raise _Wrong


def _read(client: bytes, server: bytes) -> _Agreed:
    asking, answering = _Bytes(client), _Bytes(server)
    version = asking.one()
    _expect(version in (4, 5))
    return _four(asking, answering) if version == 4 else _five(asking, answering)


def _four(asking: _Bytes, answering: _Bytes) -> _Agreed:
    """A name stands in the place of the address where that is 0.0.0.x (4a)."""
    command, port, address = asking.one(), asking.take(2), asking.take(4)
    _expect(command in (1, 2))
    asking.until_zero()
    named = address[:3] == b"\0\0\0" and address[3] != 0
    host = words(asking.until_zero()) if named else inet_ntop(AF_INET, address)
    _expect(answering.one() == 0)
    _expect(answering.one() == 0x5A)
    answering.take(6)
    return _Agreed(asking.at, answering.at, _target(host, port), command == 1)


def _five(asking: _Bytes, answering: _Bytes) -> _Agreed:
    _expect(set(asking.take(asking.one())) <= _METHODS)
    _expect(answering.one() == 5)
    method = answering.one()
    _expect(method in (0, 2))
    if method == 2:
        _log_in(asking, answering)
    version, command, _ = asking.take(3)
    _expect(version == 5 and command in (1, 2, 3))
    host, port = _address(asking)
    version, reply, _ = answering.take(3)
    _expect(version == 5 and reply == 0)
    _address(answering)
    return _Agreed(asking.at, answering.at, _target(host, port), command == 1)


def _log_in(asking: _Bytes, answering: _Bytes) -> None:
    """RFC 1929: user name and password, each with its length."""
    _expect(asking.one() == 1)
    asking.take(asking.one())
    asking.take(asking.one())
    answering.one()
    _expect(answering.one() == 0)


def _address(data: _Bytes) -> tuple[str, bytes]:
    kind = data.one()
    _expect(kind in (1, 3, 4))
    raw = data.take(_LENGTHS.get(kind) or data.one())
    host = words(raw) if kind == 3 else inet_ntop(AF_INET if kind == 1 else AF_INET6, raw)
    return host, data.take(2)


def _target(host: str, port: bytes) -> str:
    return f"[{host}]:{int.from_bytes(port, 'big')}" if ":" in host else f"{host}:{int.from_bytes(port, 'big')}"


def probe(orig: bytes, resp: bytes) -> Answer:
    """The client's first message, of its exact length, and the proxy's answer to it."""
    answer = _called(orig, resp)
    if answer is not Answer.YES and resp[:1] == b"\5" and _first(resp) is not False:
        return _called_home(orig, resp) if answer is Answer.NO else answer
    return answer


def _called_home(orig: bytes, resp: bytes) -> Answer:
    """The responder is the client: it is answered by who connected, after some bytes at most."""
    if _first(resp) and _GRANTED in orig[: _INTRODUCTION + len(_GRANTED)]:
        return Answer.YES
    return Answer.MORE if len(orig) <= _INTRODUCTION else Answer.NO


def _called(orig: bytes, resp: bytes) -> Answer:
    if not orig:
        return Answer.NO if resp else Answer.MORE
    first = _first(orig)
    if first is None or not resp or first is False:
        return Answer.NO if first is False else Answer.MORE
    if orig[0] == 4:
        fits = resp[0] == 0 and (len(resp) < 2 or 0x5A <= resp[1] <= 0x5D)
    else:
        fits = resp[0] == 5 and (len(resp) < 2 or resp[1] in _METHODS | _REPLIES)
    return (Answer.YES if len(resp) > 1 else Answer.MORE) if fits else Answer.NO


def _first(orig: bytes) -> bool | None:
    """Whether a client begins like this; None when it may."""
    if orig[0] == 4:
        if len(orig) > 1 and orig[1] not in (1, 2):
            return False
        return None if len(orig) < 9 or b"\0" not in orig[8:] else True
    if orig[0] != 5 or (len(orig) > 1 and not 0 < orig[1] <= 32):
        return False
    end = 2 + orig[1] if len(orig) > 1 else 2
    if not set(orig[2:end]) <= _METHODS or (len(orig) > end and orig[end] not in (1, 5)):
        return False
    return True if len(orig) >= max(end, 3) else None


class Parser:
    """One connection. The originator is the client, unless its first byte is none of a client."""

    __slots__ = ("_data", "_over")

    def __init__(self, origin: Origin) -> None:
        self._data = [b"", b""]
        self._over = False

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """The switch to what goes through the proxy, once it does."""
        if self._over:
            return []
        if isinstance(event, Gap):
            return self._give_up()
        self._data[event.direction] += event.payload
        orig, resp = self._data
        if orig and not resp and _first(orig) is False and len(orig) <= _INTRODUCTION:
            return []
        client = self._client()
        try:
            agreed = _read(self._data[client], self._data[1 - client][self._introduced() if client else 0 :])
        except _Short:
            return self._give_up() if len(self._data[event.direction]) > _LONGEST else []
        except _Wrong:
            return self._give_up()
        return self._pass_on(agreed, client, event)

    def close(self, event: Close) -> list[Emitted]:
        """Nothing."""
        return []

    def _give_up(self) -> list[Emitted]:
        self._over = True
        self._data = [b"", b""]
        return []

    def _client(self) -> int:
        """The direction that asks."""
        orig, resp = self._data
        return 1 - ORIG if resp and _called(orig, resp) is Answer.NO and _first(resp) is not False else ORIG

    def _introduced(self) -> int:
        """Offset behind the introduction of who called home; while it is not known, behind all that it said."""
        at = self._data[ORIG].find(_GRANTED, 0, _INTRODUCTION + len(_GRANTED))
        return at if at >= 0 else len(self._data[ORIG])

    def _pass_on(self, agreed: _Agreed, client: int, event: Data) -> list[Emitted]:
        self._over = True
        note = Note({"tapscan.socks.target": agreed.target})
        if not agreed.connected:
            return [*self._give_up(), note]
        ends = {client: agreed.client, 1 - client: agreed.server + (self._introduced() if client else 0)}
        rest = [
            Data(direction, self._data[direction][end:], event.began, event.time)
            for direction, end in ends.items()
            if end < len(self._data[direction])
        ]
        self._data = [b"", b""]
        return [note, Switch(tuple(rest))]

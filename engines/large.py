"""Objects on their way through a cluster: their parts go to the hosts of the engines one by one, while more come.

Where an engine has no queue, its next host is chosen when the first part comes; every part goes there at once. An
object that another host scans after all goes there as a whole, by Ray's store, once to each host; in parts again where
the store is full. Nothing here knows Ray: `engines.cluster` does what it is asked (`Wire`).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import field
from typing import Any, Protocol

from engines.dispatch import Dispatch, Seat, Task
from engines.lane import Job
from engines.parcel import label, pieces
from engines.scanner import Row
from sensor.noun import state

INLINE = 256 << 10  # bytes of an object that travel within the call; larger ones are here
LOOSE = 32 << 20  # bytes of an object in this process; more go to Ray's store, which has a disk behind it
STORED = 4  # parts that are one in the store: hosts get some of them at once


class NoRoom(Exception):
    """Ray's store is full; the text says more."""


class Wire(Protocol):
    """What is asked of Ray."""

    def hold(self, seat: Seat, key: str, begin: int, part: bytes) -> None:
        """A part goes where an engine is, if that is still there."""
        ...

    def forget_at(self, seat: Seat, key: str) -> None:
        """What is held there isn't needed."""
        ...

    def store(self, data: bytes) -> Any:
        """Puts bytes where all hosts can get them. Raises NoRoom."""
        ...


@state
class _Parts:
    """Of one object."""

    wishes: dict[int, Seat]  # where they go: a seat for each engine's number
    size: int = 0  # bytes
    stored: list[Any] = field(default_factory=list)  # those that are in Ray's store alone
    loose: list[bytes] = field(default_factory=list)  # those after
    copies: list[Any] = field(default_factory=list)  # of these, in the store
    direct: bool = False  # the store is full somewhere: they go in parts
    last: bytes = b""  # the end of an object, that goes with the call


class Large:
    """Used by one thread."""

    def __init__(self, wire: Wire, dispatch: Dispatch) -> None:
        self._wire = wire
        self._dispatch = dispatch
        self._arriving: dict[str, _Parts] = {}  # of objects that aren't complete yet, by their ids
        self._parts: dict[Job, _Parts] = {}
        self._small: dict[Job, Row] = {}  # what every engine gets of others

    def part(self, key: str, begin: int, piece: bytes) -> None:
        """Bytes from `begin` on of an object that is still arriving."""
        if (parts := self._arriving.get(key)) is None:
            parts = self._arriving[key] = _Parts(self._dispatch.expect())
        if begin == parts.size:
            self._add(parts, key, piece)

    def forget(self, key: str) -> None:
        """It won't come."""
        if (parts := self._arriving.pop(key, None)) is not None:
            self._dispatch.expected(parts.wishes)
            for seat in parts.wishes.values():
                self._wire.forget_at(seat, key)

    def complete(self, job: Job) -> dict[int, Seat]:
        """All of its bytes are there. Where it is expected: a seat for an engine's number."""
        target = job.target
        parts = self._arriving.pop(target.id, None)
        if parts is None and target.size <= INLINE:
            self._small[job] = label(target), 0, b"".join(pieces(target))
            return {}
        self._parts[job] = parts = parts or _Parts({})
        for piece in pieces(target, parts.size):
            self._add(parts, target.id, parts.last) if parts.last else None
            parts.last = piece
        self._dispatch.expected(parts.wishes)
        return parts.wishes

    def row(self, task: Task, seat: Seat, apart: list[Any]) -> Row:
        """What is sent of an object to a seat; `apart` gets what Ray shall bring there itself. Raises NoRoom."""
        if (small := self._small.get(task.job)) is not None:
            return small
        about, parts = label(task.job.target), self._parts[task.job]
        if task.wish is seat:
            return about, 0, parts.last
        if (vain := parts.wishes.pop(task.number, None)) is not None:
            self._wire.forget_at(vain, about.id)
        if (whole := self._whole(parts)) is not None:
            apart += whole
            return about, len(whole), parts.last
        if parts.stored:
            raise NoRoom("the store of a host is full")
        self._hold(parts, seat, about.id)
        return about, 0, parts.last

    def unstored(self, job: Job) -> None:
        """The store of its host was full."""
        if (parts := self._parts.get(job)) is not None:
            parts.direct, parts.copies = True, []

    def done(self, job: Job) -> None:
        """All engines have spoken."""
        self._small.pop(job, None)
        self._parts.pop(job, None)

    def _add(self, parts: _Parts, key: str, piece: bytes) -> None:
        for seat in parts.wishes.values():
            self._wire.hold(seat, key, parts.size, piece)
        parts.size += len(piece)
        parts.loose.append(piece)
        if sum(map(len, parts.loose)) >= LOOSE:
            with suppress(NoRoom):
                parts.stored += self._stored(parts)
                parts.loose.clear()

    def _hold(self, parts: _Parts, seat: Seat, key: str) -> None:
        begin = 0
        for piece in parts.loose:
            self._wire.hold(seat, key, begin, piece)
            begin += len(piece)

    def _whole(self, parts: _Parts) -> list[Any] | None:
        """All of it in the store; None where that has no room."""
        if parts.direct:
            return None
        try:
            parts.copies = parts.copies or self._stored(parts)
        except NoRoom:
            return None
        return parts.stored + parts.copies

    def _stored(self, parts: _Parts) -> list[Any]:
        groups = (parts.loose[at : at + STORED] for at in range(0, len(parts.loose), STORED))
        return [self._wire.store(b"".join(group)) for group in groups]

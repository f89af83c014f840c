"""One container while it is unpacked: makes its members, and keeps to the limits of all levels together."""

from __future__ import annotations

from collections.abc import Iterable

from reassembly.builder import Builder, Memory, Origin
from reassembly.objects import Object
from reassembly.unpack.decoders import Ending
from sensor.noun import state


@state
class Budget:
    """What may still come out of one outermost container, all levels together."""

    bytes: int
    members: int


class Container:
    """An object that holds others. Its opener asks it for a member at a time."""

    __slots__ = ("_opened", "_origin", "_room", "budget", "memory", "target")

    def __init__(self, target: Object, memory: Memory, budget: Budget) -> None:
        self.target = target
        self.memory = memory
        self.budget = budget
        self._origin = Origin.of(target, memory)
        self._room = max(memory.limits.decode_free, target.size * memory.limits.decode_ratio)
        self._opened = 0

    def full(self) -> str | None:
        """The limit that keeps a further member out, if there is one."""
        if self._opened >= self.memory.limits.unpack_members:
            return "unpack_members"
        if self.budget.members <= 0:
            return "unpack_total"
        if self.budget.bytes <= 0:
            return "unpack_bytes"
        return "decode_ratio" if self._room <= 0 else None

    def open(self, name: str | None) -> Builder:
        """A builder for the next member; it counts."""
        self._opened += 1
        self.budget.members -= 1
        parent = self.target
        return self._origin.open(
            parent.direction, "member", parent.protocol, parent.began, name=name, facts=parent.facts
        )

    def has_room(self, size: int) -> bool:
        """Whether a member of that size fits in, by all limits."""
        return self.full() is None and size <= self._smallest_room(0)[0]

    def whole(self, name: str | None, payload: bytes) -> Object:
        """The next member, all of whose bytes are here; there is room for it."""
        self._opened += 1
        self.budget.members -= 1
        self.budget.bytes -= len(payload)
        self._room -= len(payload)
        parent = self.target
        times = parent.began, parent.time
        return self._origin.whole(
            parent.direction, "member", parent.protocol, payload, times, name=name, facts=parent.facts
        )

    def fill(self, builder: Builder, pieces: Iterable[bytes]) -> bool:
        """Writes what is decoded, as far as the limits allow; whether all of it came in."""
        for piece in pieces:
            room, limit = self._smallest_room(builder.size)
            builder.write(piece[:room] if len(piece) > room else piece)
            self._room -= len(piece)
            self.budget.bytes -= len(piece)
            if len(piece) > room:
                builder.limit(limit)
                return False
            if builder.cut:
                return False
        return True

    def finish(self, builder: Builder, ending: Ending) -> Object:
        """The member, cut where its decoder says so. In a container with holes, that is the holes' doing."""
        cut = ending.cut
        if cut in ("truncated", "damaged"):
            cut = self.target.cut or cut
        return builder.finish(self.target.time, cut)

    def unread(self, name: str | None, cut: str, *findings: str) -> Object:
        """A member that is there and cannot be read: no bytes, its name, and why."""
        builder = self.open(name)
        if cut.startswith("limit:"):
            builder.limit(cut.removeprefix("limit:"))
        for finding in findings:
            builder.find(finding)
        return builder.finish(self.target.time, cut)

    def _smallest_room(self, size: int) -> tuple[int, str]:
        return min(
            (max(self.budget.bytes, 0), "unpack_bytes"),
            (max(self._room, 0), "decode_ratio"),
            (self.memory.limits.decode_bytes - size, "decode_bytes"),
        )

"""The one way from a protocol to an `Object`: bytes and gaps in, hash, spilling, limits and identity kept here.

An `Origin` stands for the flow (or the container) that objects come out of; a parser asks it to `open` a `Builder` for
each object, writes, and returns what `finish` gives.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import field
from tempfile import NamedTemporaryFile
from typing import IO

from reassembly.events import Fact, Facts, Flow
from reassembly.filetype import mime_type
from reassembly.growing import Ahead, Growing, first_due
from reassembly.known import Known
from reassembly.limits import Limits
from reassembly.objects import Content, Object, ObjectKind
from reassembly.pieces import Pieces
from reassembly.windows import Windows
from sensor.noun import state

SMALLEST_SPILL = 64 << 10  # below this a file costs more than it frees


@state
class Memory:
    """What all objects that are still arriving hold in memory, and where they go when it is too much."""

    limits: Limits
    directory: str | None = None  # of temporary files; None: the system's
    held: int = 0
    unclaimed: int = 0  # bytes of flows that nobody reads, and somebody may yet
    partial: int = 0  # bytes of heads and lines whose end hasn't come (`reassembly.partial`)
    structures: int = 0  # bytes of what is known of mails (`reassembly.imap.structure`)
    finished: int = 0  # bytes of objects that are finished and not yet handed on
    counters: Counter[str] = field(default_factory=Counter)  # limits reached, by name
    ahead: Ahead | None = None  # nobody gains by parts
    windows: Windows | None = None  # nobody looks before an object is complete
    known: Known | None = None  # nobody asks what is known to be bad
    now: int = 0  # ns since 1970 on the wire
    pieces: Pieces = field(init=False)

    def __post_init__(self) -> None:
        self.pieces = Pieces(self.limits, self.counters, self.directory)


class Origin:
    """Where objects come from: one flow, or one parent object. Gives each its stable id."""

    __slots__ = ("_opened", "_stem", "arriving", "depth", "findings", "flow", "memory", "ours", "parent")

    def __init__(self, flow: Flow, memory: Memory, parent: str | None = None, depth: int = 0) -> None:
        self.flow = flow
        self.memory = memory
        self.parent = parent
        self.depth = depth
        self.arriving = True
        self.findings: dict[str, None] = {}  # of the stream; each object that is finished later carries them
        self.ours: Callable[[int], bool] | None = None  # whether all holes of a direction are our own loss
        self._opened = 0
        self._stem = parent or flow.id

    @property
    def limits(self) -> Limits:
        return self.memory.limits

    def open(
        self,
        direction: int,
        kind: ObjectKind,
        protocol: str,
        began: int,
        *,
        name: str | None = None,
        declared_type: str | None = None,
        facts: Facts | None = None,
    ) -> Builder:
        """A builder for the next object of this origin. `began`: ns since 1970 of its first byte."""
        return Builder(self, self._next_id(), direction, kind, protocol, began, name, declared_type, facts)

    def whole(
        self,
        direction: int,
        kind: ObjectKind,
        protocol: str,
        payload: bytes | memoryview,
        times: tuple[int, int],
        *,
        name: str | None = None,
        declared_type: str | None = None,
        facts: Facts | None = None,
        codings: tuple[str, ...] = (),
    ) -> Object:
        """The next object of this origin, whose bytes are all here; `times`, ns since 1970, of the first and last.

        For complete objects without findings of their own: the same as `open`, `write` and `finish`, but quicker.
        """
        limits = self.memory.limits
        if len(payload) > min(limits.object_memory, limits.object_bytes):
            builder = self.open(
                direction, kind, protocol, times[0], name=name, declared_type=declared_type, facts=facts
            )
            builder.codings = codings
            builder.write(bytes(payload))
            return builder.finish(times[1])
        self.memory.finished += len(payload)
        return Object(
            self._next_id(),
            self.flow,
            direction,
            kind,
            protocol,
            Content(len(payload), payload),
            hashlib.sha256(payload).hexdigest(),
            mime_type(bytes(payload[:4096])),
            *times,
            name,
            declared_type,
            self.parent,
            self.depth,
            findings=(*self.findings,) if self.findings else (),
            codings=codings,
            facts=facts or None,
        )

    def _next_id(self) -> str:
        self._opened += 1
        seed = f"{self._stem}/{self._opened}".encode()
        return hashlib.blake2b(seed, digest_size=10, usedforsecurity=False).hexdigest()

    def inside(self, builder: Builder) -> Origin:
        """The origin of the parts of an object that is still arriving."""
        origin = Origin(self.flow, self.memory, builder.id, self.depth + 1)
        origin.ours = self.ours
        origin._stem = f"{builder.id}/parts"  # what is unpacked from the finished object later counts from one as well
        return origin

    @classmethod
    def of(cls, parent: Object, memory: Memory) -> Origin:
        """The origin of the members of a finished object."""
        origin = cls(parent.flow, memory, parent.id, parent.depth + 1)
        origin.arriving = False
        return origin


class Builder:
    """One object while it arrives. `write` and `gap` in order, then `finish` once, or `drop`."""

    __slots__ = (
        "_chunks", "_digest", "_due", "_file", "_growing", "_held", "_limit", "_most", "began", "codings", "cut",
        "declared_type", "direction", "facts", "findings", "id", "kind", "missing", "name", "origin", "position",
        "protocol", "size",
    )  # fmt: skip

    def __init__(
        self,
        origin: Origin,
        identity: str,
        direction: int,
        kind: ObjectKind,
        protocol: str,
        began: int,
        name: str | None,
        declared_type: str | None,
        facts: Facts | None,
    ) -> None:
        self.origin = origin
        self.id = identity
        self.direction = direction
        self.kind: ObjectKind = kind
        self.protocol = protocol
        self.began = began
        self.name = name
        self.declared_type = declared_type
        self.facts: dict[str, Fact] = dict(facts) if facts else {}
        self.findings: list[str] = []
        self.codings: tuple[str, ...] = ()
        self.missing: list[tuple[int, int]] = []
        self.cut: str | None = None
        self.size = 0  # bytes kept
        self.position = 0  # offset in the object as it was sent, gaps counted
        self._chunks: list[bytes] = []
        self._held = 0
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()
        self._limit = origin.limits.object_bytes
        self._most = "object_bytes"  # what that limit is called
        self._growing: Growing | None = None
        self._due = first_due(origin, kind)

    def write(self, data: bytes) -> None:
        """The next bytes. What is over the object's limit is left away, and the object says so."""
        if not data:
            return
        self.position += len(data)
        if self.size + len(data) > self._limit:
            data = data[: self._limit - self.size]
            self.limit(self._most)
        if self._file is not None:
            self._append(self._file, data)
        else:
            self.size += len(data)
            self._chunks.append(data)
            self._held += len(data)
            memory = self.origin.memory
            memory.held += len(data)
            if self._held > memory.limits.object_memory or (
                memory.held > memory.limits.total_memory and self._held > SMALLEST_SPILL
            ):
                self._spill()
        if self._due and self.size >= self._due:
            self._growing = self._growing or Growing(self)
            self._due = self._growing.grown(self)

    def gap(self, length: int) -> None:
        """Bytes that were sent and are missing here."""
        if self.missing and self.missing[-1][1] == self.position:
            self.missing[-1] = (self.missing[-1][0], self.position + length)
        else:
            self.missing.append((self.position, self.position + length))
        self.position += length
        self.cut = self.cut or "gap"

    def limit(self, name: str) -> None:
        """Notes, and counts once an object, that a limit cut the object."""
        if self.cut != f"limit:{name}":
            self.origin.memory.counters[name] += 1
        if self.cut is None or not self.cut.startswith("limit:"):
            self.cut = f"limit:{name}"

    def find(self, finding: str) -> None:
        """Notes an oddity of the wire, once."""
        if finding not in self.findings:
            self.findings.append(finding)

    def finish(self, time: int, cut: str | None = None) -> Object:
        """The object. `time`: ns since 1970 of its last byte; `cut`: why it ends here, when it should not."""
        if self._growing is not None:
            self._growing.over(self, dropped=False)
        content, digest, head = self._seal()
        return Object(
            self.id,
            self.origin.flow,
            self.direction,
            self.kind,
            self.protocol,
            content,
            digest,
            mime_type(head),
            self.began,
            time,
            self.name,
            self.declared_type,
            self.origin.parent,
            self.origin.depth,
            self._why(cut),
            tuple(self.missing),
            (*self.origin.findings, *self.findings) if self.origin.findings or self.findings else (),
            self.codings,
            self.facts or None,
        )

    def _why(self, cut: str | None) -> str | None:
        """A hole whose bytes the other side has had is our loss, not the network's."""
        cut, ours = self.cut or cut, self.origin.ours
        return "capture_loss" if cut == "gap" and ours is not None and ours(self.direction) else cut

    def drop(self) -> None:
        """Lets go of the bytes: there is no object after all."""
        self.origin.memory.held -= self._held
        self._held = 0
        self._chunks.clear()
        if self._file is not None:
            self._file.close()
        if self._growing is not None:
            self._growing.over(self, dropped=True)

    def _seal(self) -> tuple[Content, str, bytes]:
        self.origin.memory.finished += self.size
        if self._file is not None:
            self._file.flush()
            self._file.seek(0)
            head = self._file.read(4096)
            return Content(self.size, file=self._file), self._digest.hexdigest(), head
        self.origin.memory.held -= self._held
        self._held = 0
        whole = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        return Content(self.size, whole), hashlib.sha256(whole).hexdigest(), whole[:4096]

    def window(self) -> Object:
        """What has come since the last time (`reassembly.windows`)."""
        assert self._growing is not None  # who has said that one is due
        return self._growing.window(self)

    def first(self, count: int) -> bytes:
        """So many bytes from the beginning, or all there are."""
        if self._file is not None:
            return os.pread(self._file.fileno(), count, 0)
        some, left = [], count
        for chunk in self._chunks:
            some.append(chunk)
            left -= len(chunk)
            if left <= 0:
                break
        return b"".join(some)[:count]

    def last(self, count: int) -> bytes:
        """So many bytes, or all there are."""
        if self._file is not None:
            self._file.flush()
            begin = max(self.size - count, 0)
            return os.pread(self._file.fileno(), self.size - begin, begin)
        left, some = count, []
        for chunk in reversed(self._chunks):
            some.append(chunk)
            left -= len(chunk)
            if left <= 0:
                break
        return b"".join(reversed(some))[-count:]

    def _spill(self) -> None:
        digest = hashlib.sha256()
        try:
            file = NamedTemporaryFile(dir=self.origin.memory.directory, prefix="tapscan-", buffering=0)  # noqa: SIM115 - its Content closes it
        except OSError:
            self._full()
            return
        for chunk in self._chunks:
            if _written(file, chunk) < len(chunk):
                file.close()
                self._full()
                return
            digest.update(chunk)
        self._file, self._digest = file, digest
        self._chunks.clear()
        self.origin.memory.held -= self._held
        self._held = 0

    def _append(self, file: IO[bytes], data: bytes) -> None:
        count = _written(file, data)
        self._digest.update(data[:count])
        self.size += count
        if count < len(data):
            self._full()

    def _full(self) -> None:
        """There is no room on the disk: the object ends with what it has."""
        self._limit, self._most = self.size, "disk"
        self.limit("disk")


def _written(file: IO[bytes], data: bytes) -> int:
    """How many bytes found room. `file` has no buffer."""
    view, count = memoryview(data), 0
    try:
        while count < len(data):
            count += file.write(view[count:])
    except OSError:
        pass
    return count

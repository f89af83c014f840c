"""The third noun of the walk: one e-mail, MIME part, web page, file or archive member, with where it came from."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import NamedTemporaryFile
from typing import IO, Literal, TypeAlias

from reassembly.events import Facts, Flow
from sensor.noun import unique

ObjectKind: TypeAlias = Literal["web_page", "file", "email", "email_part", "member"]


@unique
class Content:
    """The bytes of an object: in memory, or in a temporary file that is gone when the last reference is."""

    size: int
    kept: bytes | memoryview | None = None
    file: IO[bytes] | None = None  # a NamedTemporaryFile, flushed

    @property
    def memory(self) -> bytes | None:
        """All bytes, where they are in memory. A part of something larger is copied."""
        return self.kept if self.kept is None or isinstance(self.kept, bytes) else bytes(self.kept)

    @property
    def gone(self) -> bool:
        """Whether only the size is known any more."""
        return self.kept is None and self.file is None

    def view(self) -> memoryview:
        """All bytes, read-only; of a file, mapped, not read."""
        if self.kept is not None:
            return memoryview(self.kept)
        assert self.file is not None
        return memoryview(mmap.mmap(self.file.fileno(), self.size, access=mmap.ACCESS_READ))

    def chunks(self, size: int = 1 << 20, begin: int = 0) -> Iterator[memoryview]:
        """The bytes from an offset on, in pieces of at most `size`."""
        with self.view() as whole:
            for start in range(begin, self.size, size):
                yield whole[start : start + size]

    @contextmanager
    def named(self, directory: str | None = None) -> Iterator[str]:
        """A path under which the bytes can be read while the context lasts."""
        if self.file is not None:
            yield self.file.name
            return
        with NamedTemporaryFile(dir=directory, prefix="tapscan-") as file:
            file.write(self.kept or b"")
            file.flush()
            yield file.name


@unique
class Object:
    """One thing a user sent or received, complete or not.

    `missing` are half-open ranges of offsets in the object as it was sent; its bytes are joined without them, never
    filled. `cut` names why the object ends early or has holes: `gap`, `capture_loss` (a gap of bytes that the other
    side has acknowledged), `limit:<name>`, `midstream`, `reset`, `end_of_capture`. `findings` are the wire's oddities
    (`http.te_and_cl`, `stream.overlap_conflict`).
    """

    id: str
    flow: Flow
    direction: int  # who sent it
    kind: ObjectKind
    protocol: str  # ECS network.protocol
    content: Content
    sha256: str
    mime_type: str  # what the bytes are
    began: int  # ns since 1970 of the first byte on the wire
    time: int  # of the last
    name: str | None = None
    declared_type: str | None = None  # what the sender said
    parent: str | None = None
    depth: int = 0
    cut: str | None = None
    missing: tuple[tuple[int, int], ...] = ()
    findings: tuple[str, ...] = ()
    codings: tuple[str, ...] = ()  # transfer and content codings undone, outermost first
    facts: Facts | None = None  # dotted ECS fields of its protocol

    @property
    def size(self) -> int:
        return self.content.size

    @property
    def complete(self) -> bool:
        return self.cut is None and not self.missing

    @property
    def missing_bytes(self) -> int:
        return sum(end - start for start, end in self.missing)

"""Lists of known-bad and known-good hashes: tens of millions of lines, looked up in microseconds.

A list is a text file with one SHA-256, SHA-1 or MD5 in hexadecimal at the start of each line; what follows it is left
alone, `#` begins a comment. Beside it stands its index, made once: for each kind of hash the sorted binary hashes,
memory-mapped and searched by bisection, so that neither the start nor a lookup reads the list.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

import numpy as np

from engines.verdicts import Verdict
from reassembly.objects import Object

SIZES = {"sha256": 32, "sha1": 20, "md5": 16}
_BY_LENGTH = {2 * size: kind for kind, size in SIZES.items()}
_LINE = re.compile(rb"^\s*([0-9a-fA-F]{32,64})(?![0-9a-fA-F])")
_MAGIC = b"tapscan hashes 1"
BLOCK = 32 << 20  # bytes of text sorted at once: bounds the memory of `build`

Progress = Callable[[int, int], None]  # bytes of the list done, bytes in all


class HashList:
    """One list, opened through its index."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.name = path.stem
        index = path.with_name(path.name + ".index")
        if not index.exists() or index.stat().st_mtime_ns < path.stat().st_mtime_ns:
            build(path, index, progress)
        self.size = 0
        self._maps: dict[str, tuple[mmap.mmap, int, int]] = {}
        with index.open("rb") as file:
            self._open(file, index)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of hash that the list holds."""
        return tuple(kind for kind, (_, _, count) in self._maps.items() if count)

    def has(self, kind: str, digest: bytes) -> bool:
        """Whether the list holds a hash."""
        found = self._maps.get(kind)
        if found is None:
            return False
        whole, start, high = found
        size, low = len(digest), 0
        while low < high:
            middle = (low + high) // 2
            at = start + middle * size
            here = whole[at : at + size]
            if here == digest:
                return True
            if here < digest:
                low = middle + 1
            else:
                high = middle
        return False

    def close(self) -> None:
        """Lets go of the map."""
        for whole in {id(whole): whole for whole, _, _ in self._maps.values()}.values():
            whole.close()
        self._maps.clear()

    def _open(self, file: IO[bytes], index: Path) -> None:
        head = file.read(len(_MAGIC) + 8 * len(SIZES))
        if not head.startswith(_MAGIC) or len(head) < len(_MAGIC) + 8 * len(SIZES):
            raise ValueError(f"{index}: not an index of hashes; delete it and it is made again")
        whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = len(head)
        for number, (kind, size) in enumerate(SIZES.items()):
            at = len(_MAGIC) + 8 * number
            count = int.from_bytes(head[at : at + 8], "little")
            self._maps[kind] = whole, start, count
            self.size += count
            start += count * size


def build(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Sorts the hashes of a list into its index. Takes memory for one block and, while merging, one kind."""
    total = source.stat().st_size
    runs: dict[str, list[np.ndarray[Any, Any]]] = {kind: [] for kind in SIZES}
    for block, done in _blocks(source):
        for kind, hashes in _hashes_of(block).items():
            if hashes:
                runs[kind].append(np.unique(np.frombuffer(b"".join(hashes), dtype=f"S{SIZES[kind]}")))
        if progress is not None:
            progress(done, total)
    merged = {kind: np.unique(np.concatenate(parts)) if parts else None for kind, parts in runs.items()}
    with NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(_MAGIC)
        for column in merged.values():
            file.write((0 if column is None else len(column)).to_bytes(8, "little"))
        for column in merged.values():
            if column is not None:
                file.write(column.tobytes())
    Path(file.name).replace(target)


def _blocks(source: Path) -> Iterator[tuple[bytes, int]]:
    done, rest = 0, b""
    with source.open("rb") as file:
        while block := file.read(BLOCK):
            done += len(block)
            whole, _, rest = (rest + block).rpartition(b"\n")
            yield whole, done
    yield rest, done


def _hashes_of(block: bytes) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {kind: [] for kind in SIZES}
    for line in block.split(b"\n"):
        match = _LINE.match(line)
        if match is not None and (kind := _BY_LENGTH.get(len(match[1]))) is not None:
            found[kind].append(bytes.fromhex(match[1].decode()))
    return found


class Hashes:
    """Known-bad is malicious, known-good is clean, anything else is not its business: skipped."""

    def __init__(
        self,
        name: str = "hashes",
        bad: Sequence[str] = (),
        good: Sequence[str] = (),
        *,
        timeout: float = 10.0,
        slots: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.name = name
        self.version: str | None = "1"
        self.timeout = timeout
        self.slots = slots or 1
        self.problems: list[str] = []
        self._bad = list(self._lists(bad, progress))
        self._good = list(self._lists(good, progress))
        self._kinds = {kind for one in (*self._bad, *self._good) for kind in one.kinds}
        self.database_version: str | None = f"{sum(one.size for one in (*self._bad, *self._good))} hashes"

    def scan(self, target: Object) -> Verdict:
        """Looks the object's hashes up."""
        if not self._bad and not self._good:
            return Verdict(self.name, "error", reason=self.check())
        digests = self._digests(target)
        for one in self._bad:
            if any(one.has(kind, digest) for kind, digest in digests.items()):
                return Verdict(self.name, "malicious", one.name, (one.name,), rule={"ruleset": one.name})
        for one in self._good:
            if any(one.has(kind, digest) for kind, digest in digests.items()):
                return Verdict(self.name, "clean", reason=f"known good: {one.name}")
        return Verdict(self.name, "skipped", reason="not listed")

    def check(self) -> str | None:
        """None when there is a list."""
        return None if self._bad or self._good else "; ".join(self.problems) or "no list of hashes"

    def close(self) -> None:
        """Lets go of the maps."""
        for one in (*self._bad, *self._good):
            one.close()

    def _lists(self, paths: Sequence[str], progress: Progress | None) -> Iterator[HashList]:
        for path in paths:
            try:
                yield HashList(Path(path), progress)
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else None
                self.problems.append(f"{path}: {why or error}")

    def _digests(self, target: Object) -> dict[str, bytes]:
        digests = {"sha256": bytes.fromhex(target.sha256)}
        for kind in self._kinds - {"sha256"}:
            digest = hashlib.new(kind, usedforsecurity=False)
            for chunk in target.content.chunks():
                digest.update(chunk)
            digests[kind] = digest.digest()
        return digests

"""What is not to be had again for a while, since something bad was found there (`block_next`): kept on disk as JSON
lines, so that it holds after a restart, can be listed, and lifted while the sensor runs.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from manager.audit import opened
from manager.ecs import stable_id
from reassembly.known import PREFIXES, Known, Listed, url_key
from reassembly.objects import Object
from sensor.files import write_all
from sensor.noun import noun, state

NAME = "blocked.jsonl"
MOST = 20_000  # entries; of more the oldest are no longer blocked
SPARSE = 5  # a beginning that shrinks to less than a fifth is padding, or common to many files
Kind: TypeAlias = Literal["host", "url", "prefix"]


@noun
class Entry:
    """One thing that is known. `what`: a key of `reassembly.known`, a digest in hex."""

    kind: Kind
    what: str
    reason: str
    page: bool = True
    until: int = 0  # ns since 1970; 0: for good
    action: str = ""  # which led to it

    @property
    def id(self) -> str:
        return stable_id(self.kind, self.what)


@state
class Blocklist:
    """The file in a folder that is there. Written by the sensor and by who lifts; read again when it has changed."""

    folder: Path
    entries: tuple[Entry, ...] = ()
    seen: tuple[int, int, int] = (0, 0, 0)

    def changed(self) -> bool:
        """Reads it again, if it isn't as it was. Raises OSError."""
        now = self._stamp()
        if now == self.seen:
            return False
        self.seen, self.entries = now, tuple(_entries(self.folder / NAME)) if any(now) else ()
        return True

    def live(self, now: int) -> list[Entry]:
        """Those that hold. `now`: ns since 1970."""
        return [one for one in self.entries if not one.until or one.until > now][-MOST:]

    def add(self, entries: Iterable[Entry]) -> None:
        """On disk when it returns. Raises OSError."""
        self._append([asdict(one) for one in entries])

    def lift(self, entries: Iterable[Entry]) -> None:
        """They are let through from now on. Raises OSError."""
        self._append([{"lift": one.id} for one in entries])

    def _append(self, lines: Sequence[dict[str, Any]]) -> None:
        file = opened(self.folder, NAME)
        try:
            # A line that was cut off by a crash is not to spoil the next one.
            write_all(file, "".join(f"\n{json.dumps(one)}" for one in lines).encode() + b"\n")
            os.fdatasync(file)
        finally:
            os.close(file)

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = (self.folder / NAME).stat()
        except FileNotFoundError:
            return 0, 0, 0
        return found.st_ino, found.st_size, found.st_mtime_ns


def _entries(path: Path) -> Iterator[Entry]:
    """The last word on each; lines that are damaged are passed over."""
    known: dict[str, Entry] = {}
    for line in path.read_bytes().splitlines():
        try:
            said = json.loads(line)
            if "lift" in said:
                known.pop(said["lift"], None)
            else:
                entry = _sound(Entry(**said))
                known.pop(entry.id, None)
                known[entry.id] = entry
        except (ValueError, TypeError, RecursionError):
            continue
    yield from known.values()


def _sound(entry: Entry) -> Entry:
    """Raises ValueError or TypeError where it is none that was written by us."""
    texts = type(entry.what) is type(entry.reason) is type(entry.action) is str
    if not texts or entry.kind not in get_args(Kind) or type(entry.page) is not bool or type(entry.until) is not int:
        raise ValueError
    if entry.kind == "prefix":
        bytes.fromhex(entry.what)
    return entry


def known_of(entries: Iterable[Entry]) -> Known:
    """As workers are told it; what comes first counts."""
    known: dict[str, dict[Any, Listed]] = {"host": {}, "url": {}, "prefix": {}}
    for one in entries:
        key = bytes.fromhex(one.what) if one.kind == "prefix" else one.what
        known[one.kind].setdefault(key, Listed(one.id, one.reason, one.page))
    return Known(known["host"], known["url"], known["prefix"])


def address_of(target: Object) -> str | None:
    """The key of where it came from; None where that isn't known, or it is something else that was sent there."""
    facts = target.facts or {}
    if target.protocol != "http" or target.direction == 0 or "url.original" not in facts:
        return None
    host, port = str(facts.get("url.domain") or target.flow.ip(1)), facts.get("url.port", 80)
    return url_key(f"[{host}]:{port}" if ":" in host else f"{host}:{port}", str(facts["url.original"]))


def beginnings(target: Object) -> list[str]:
    """Digests by which a file is known again when as much of it is there. Not of what many files begin with."""
    if target.missing or target.content.gone:
        return []
    found = []
    with target.content.view() as whole:
        for size in PREFIXES[1:]:  # 4 KiB may be the head of any installer
            if len(whole) > size and len(zlib.compress(whole[:size], 1)) * SPARSE > size:
                found.append(sha256(whole[:size]).hexdigest())
    return found

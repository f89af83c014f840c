"""Containers to members: what lies inside a finished object, as objects of its own, level by level.

One file and one line below for each kind of container. A module here has `TYPES`, the media types it opens, and
`members(container)`, which gives the members one at a time and never raises on what the bytes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias

from reassembly.builder import Memory
from reassembly.objects import Object
from reassembly.unpack import compressed, gzip, mail, tar, zip
from reassembly.unpack.container import Budget, Container

CONTAINERS = (zip, gzip, compressed, tar, mail)

Opener: TypeAlias = Callable[[Container], Iterator[Object]]

_OPENERS: dict[str, Opener] = {kind: module.members for module in CONTAINERS for kind in module.TYPES}
_PERHAPS: dict[str, Opener] = dict.fromkeys(zip.HIDING_PLACES, zip.members)  # a zip may lie behind other bytes
_ASKED = _PERHAPS | _OPENERS


def members(target: Object, memory: Memory) -> Iterator[Object]:
    """What `target` contains, depth first, each member before its own members; nothing when it is no container.

    The limits `unpack_*` and `decode_*` bind all levels together. A member that one of them cuts, or that is kept
    closed, says so in `cut`; where whole members are left out, an empty one stands for the first of them. Other values
    of `cut` here: `encrypted`, `unsupported`, `truncated`, `damaged`.
    """
    if target.mime_type not in _ASKED or not target.size:
        return iter(())
    return _walk(target, memory, Budget(memory.limits.unpack_bytes, memory.limits.unpack_total), 1)


def _walk(target: Object, memory: Memory, budget: Budget, level: int) -> Iterator[Object]:
    for child in _ASKED[target.mime_type](Container(target, memory, budget)):
        limit = _closed_by(child, memory, budget, level)
        if limit:
            memory.counters[limit] += 1
            yield replace(child, cut=child.cut or f"limit:{limit}")
            continue
        yield child
        if child.mime_type in _ASKED:
            yield from _walk(child, memory, budget, level + 1)


def _closed_by(child: Object, memory: Memory, budget: Budget, level: int) -> str | None:
    """The limit that keeps a container inside a container closed."""
    if child.mime_type not in _OPENERS:
        return None
    if level >= memory.limits.unpack_depth:
        return "unpack_depth"
    if budget.members <= 0:
        return "unpack_total"
    return "unpack_bytes" if budget.bytes <= 0 else None

"""Mails that came as files (from a webmail, out of an archive) to their parts: RFC 5322, by `reassembly.mime`.

Mails that a mail protocol carries, and mails inside those, have been taken apart there already.
"""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.objects import Object
from reassembly.unpack.container import Container

TYPES = ("message/rfc822",)

_TAKEN_APART = frozenset({"email", "email_part"})


def members(container: Container) -> Iterator[Object]:
    """The parts of the mail."""
    if container.target.kind in _TAKEN_APART:
        return
    from reassembly.mime import parts_of  # most captures hold no such mail, and it takes a while

    for part in parts_of(container.target, container.memory):
        container.budget.members -= 1
        container.budget.bytes -= part.size
        yield part

"""What a message says of itself, as ECS fields (`email.*`): RFC 5322, section 3.6."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

from reassembly.events import Fact
from reassembly.mime.charsets import decode_words
from reassembly.mime.headers import Fields
from reassembly.mime.parameters import parse

MOST_ADDRESSES = 1000  # of one field; `recipients` of the envelope has the same
_LONGEST = 4096
_ADDRESS_LISTS = {
    "email.from.address": b"from", "email.sender.address": b"sender", "email.to.address": b"to",
    "email.cc.address": b"cc", "email.bcc.address": b"bcc", "email.reply_to.address": b"reply-to",
}  # fmt: skip
_ONE = frozenset(("email.sender.address",))
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_COMMENT = re.compile(rb"\([^()]{0,256}\)")
_ANGLE = re.compile(rb"<[ \t]*([^<>\s]{1,320})[ \t]*>")
_BARE = re.compile(rb"[^\s<>,;:\"()]{1,320}+")


def facts_of(fields: Fields) -> dict[str, Fact]:
    """The `email.*` fields of a message's header."""
    facts: dict[str, Fact] = {}
    for name, field in _ADDRESS_LISTS.items():
        found = addresses(fields.all(field))
        if found:
            facts[name] = found[0] if name in _ONE else found
    for name, field in (("email.subject", b"subject"), ("email.x_mailer", b"x-mailer")):
        line = fields.first(field)
        if line:
            facts[name] = decode_words(line)[:_LONGEST]
    identity = fields.first(b"message-id")
    if identity and (stripped := identity.strip(b" \t\r<>")):
        facts["email.message_id"] = decode_words(stripped)[:_LONGEST]
    kind = fields.first(b"content-type")
    if kind and (value := parse(kind).value):
        facts["email.content_type"] = value
    facts.update(_date(fields.first(b"date")))
    return facts


def addresses(values: list[bytes]) -> list[str]:
    """The addresses of From, To, Cc: without names and comments, in order, each once."""
    found: dict[str, None] = {}
    for value in values:
        plain = _COMMENT.sub(b" ", _QUOTED.sub(_kept, value[: 64 << 10]))
        for piece in plain.split(b","):
            angles = _ANGLE.findall(piece)
            bare = [one for one in _BARE.findall(piece) if b"@" in one] if not angles else []
            for one in (angles or bare or _BARE.findall(piece)[-1:])[:MOST_ADDRESSES]:
                found[decode_words(one)] = None
            if len(found) >= MOST_ADDRESSES:
                return list(found)
    return list(found)


def _kept(match: re.Match[bytes]) -> bytes:
    """A quoted string is a name, unless it is the local part of an address."""
    after = match.string[match.end() : match.end() + 1]
    return match[0].replace(b",", b"").replace(b" ", b"") if after == b"@" else b" "


def _date(value: bytes | None) -> dict[str, Fact]:
    if not value:
        return {}
    try:
        moment = parsedate_to_datetime(value[:256].decode("latin-1"))
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        return {"email.origination_timestamp": moment.isoformat(timespec="seconds").replace("+00:00", "Z")}
    except (ValueError, TypeError, OverflowError, IndexError):
        return {}

"""The ground under every document: times, names and nesting as the Elastic Common Schema wants them, and JSON lines."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import orjson

from reassembly.events import Facts

Document: TypeAlias = dict[str, Any]

ECS_VERSION = "8.17.0"
BILLION = 1_000_000_000
PLANS = 1024  # kept: parsers give the same few sets of facts again and again
RELATED = 1000  # values of one kind in `related`: recipients of one mail, at most

# Facts that name hosts and people, for related.*
HOSTS = frozenset({"url.domain", "destination.domain", "source.domain", "tls.client.server_name", "tapscan.smtp.helo"})
USERS = frozenset(
    {"tapscan.smtp.mail_from", "tapscan.smtp.rcpt_to", "user.name"}
    | {f"email.{field}.address" for field in ("from", "to", "cc", "bcc", "sender", "reply_to")}
)
Leaf: TypeAlias = tuple[str, str, str | None]  # dotted name, its last part, where in `related` it belongs
Plan: TypeAlias = tuple[tuple[tuple[str, ...], list[Leaf]], ...]  # what goes into each node, by the node's path
_PLANS: dict[tuple[str, ...], Plan] = {}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(4096)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def timestamp(ns: int) -> str:
    """Nanoseconds since 1970 as UTC with microseconds: 2024-02-29T12:00:00.000001Z."""
    seconds, rest = divmod(ns, BILLION)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


def line(document: Document) -> bytes:
    """The document as one line of JSON."""
    try:
        return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # what the wire brings: lone surrogates, integers over 64 bits
        return orjson.dumps(_storable(document), option=orjson.OPT_APPEND_NEWLINE)


def _storable(value: Any) -> Any:
    """The same with what JSON can't hold made harmless."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case bool():
            return value
        case int():
            return max(-(1 << 63), min(value, (1 << 63) - 1))
    return value


def _plan(names: tuple[str, ...]) -> Plan:
    nodes: dict[tuple[str, ...], list[Leaf]] = {}
    for name in names:
        *parents, leaf = name.split(".")
        role = "hosts" if name in HOSTS else "user" if name in USERS else None
        nodes.setdefault(tuple(parents), []).append((name, leaf, role))
    plan = tuple(nodes.items())
    if len(_PLANS) < PLANS:
        _PLANS[names] = plan
    return plan


def merge(document: Document, facts: Facts) -> None:
    """Puts facts with dotted names into their nested place, hosts and people also into `related`.

    What is empty, or would lie under a leaf, is left away; what is there already stays.
    """
    names = tuple(facts)
    for parents, leaves in _PLANS.get(names) or _plan(names):
        node: Any = None
        for name, leaf, role in leaves:
            value = facts[name]
            if (not value and value in ("", [], None)) or (type(value) is float and not math.isfinite(value)):
                continue
            if node is None and (node := _node(document, parents)) is None:
                break
            node.setdefault(leaf, value)
            if role is not None:
                relate(document, role, value)


def _node(document: Document, parents: tuple[str, ...]) -> Document | None:
    """The nested document at the end of a path, made where it isn't there; None if a leaf is in the way."""
    for parent in parents:
        below = document.get(parent)
        if below is None:
            below = document[parent] = {}
        elif type(below) is not dict:
            return None
        document = below
    return document


def relate(document: Document, role: str, value: Any) -> None:
    """Adds a text, or each of a list, to `related.<role>`, once."""
    known = document.setdefault("related", {}).setdefault(role, [])
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str) and text and text not in known and len(known) < RELATED:
            known.append(text)


@lru_cache(4096)
def mac_text(mac: bytes) -> str:
    """RFC 7042 form, as ECS wants it: 00-00-5E-00-53-23."""
    return mac.hex("-").upper()


def extension(name: str) -> str | None:
    """What stands after the last dot of a file name, lower case, when it is plausibly an extension."""
    stem, dot, last = name.rpartition(".")
    return last.lower() if dot and stem and 0 < len(last) <= 16 and last.isalnum() else None


def severity_name(severity: int) -> str:
    """Kibana's words for its steps."""
    return "critical" if severity >= 99 else "high" if severity >= 73 else "medium" if severity >= 47 else "low"


def stable_id(*parts: str) -> str:
    """The same for the same parts, whenever and wherever it is asked."""
    return hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=10).hexdigest()

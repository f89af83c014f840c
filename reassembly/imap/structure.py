"""What a mail consists of: BODYSTRUCTURE (RFC 9051, section 7.5.2) as the header that each section lacks.

A section that is fetched by its number comes without its header: what it is called, and how it is encoded, was said
before, in the structure of its mail, or in the header that was fetched apart.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TypeAlias

from reassembly.builder import Memory
from reassembly.imap.grammar import unquoted
from reassembly.limits import Limits

Node: TypeAlias = "bytes | list[Node]"

_START = re.compile(rb"\bBODY(?:STRUCTURE)?[ \t]+\(", re.IGNORECASE)
_TOKEN = re.compile(rb'([()])|"((?:[^"\\]|\\.)*+)"|([^\s()"]+)', re.DOTALL)
_PLAIN = re.compile(rb"[^\r\n\0]*")
_COST, _MAIL_COST = 150, 700  # what a header costs beyond its bytes, and a mail beyond its headers
_MOST_PARAMETERS = 100  # of one part that are looked at
_TEXT = b"Content-Type: text/plain\r\n\r\n"


def headers(text: bytes, limits: Limits) -> dict[str, bytes]:
    """The header of each section that the structure in a FETCH response describes, by its number; `` is the mail's."""
    start = _START.search(text)
    if start is None:
        return {}
    found: dict[str, bytes] = {}
    _describe(_nodes(text, start.end() - 1, limits), "", found, limits.mime_parts, limits.mime_depth)
    return found


def _nodes(text: bytes, start: int, limits: Limits) -> Node:
    """The parenthesised list that begins at `start`; what is not closed ends with the text."""
    top: list[Node] = []
    stack = [top]
    for match in _TOKEN.finditer(text, start):
        bracket, string, atom = match.groups()
        if bracket == b"(":
            if len(stack) > 3 * limits.mime_depth:
                break
            inner: list[Node] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif bracket == b")":
            stack.pop()
            if len(stack) == 1:
                break
        else:
            stack[-1].append(unquoted(b'"' + string + b'"') if string is not None else atom)
    return top[0] if top else []


def _describe(node: Node, number: str, found: dict[str, bytes], most: int, depth: int) -> None:
    """Notes a body and those inside it. A body of several parts is their list and the subtype."""
    if not isinstance(node, list) or not node or len(found) >= most or not depth:
        return
    parts = _lists(node)
    if parts:
        rest = node[len(parts) :]
        found[number] = _header(b"multipart", _word(rest, 0), _at(rest, 1), b"", _at(rest, 2))
        for count, part in enumerate(parts, 1):
            _describe(part, f"{number}.{count}" if number else str(count), found, most, depth - 1)
        return
    kind, subtype = _word(node, 0), _word(node, 1)
    message = kind.upper() == b"MESSAGE" and isinstance(_at(node, 8), list)
    disposition = _at(node, 11 if message else 9 if kind.upper() == b"TEXT" else 8)
    header = _header(kind, subtype, _at(node, 2), _word(node, 5), disposition)
    found[number or "1"] = header
    if not number:
        found[""] = header
    if message:
        _inner(_at(node, 8), number or "1", found, most, depth - 1)


def _inner(body: Node, number: str, found: dict[str, bytes], most: int, depth: int) -> None:
    """The mail inside a message/rfc822 part: "part numbers [...] of a MESSAGE/RFC822 part" go on below its own."""
    if not isinstance(body, list):
        return
    if body and isinstance(body[0], list):
        own = found[number]
        _describe(body, number, found, most, depth)
        found[f"{number}.TEXT"], found[number] = found[number], own
    else:
        _describe(body, f"{number}.1", found, most, depth)
        found[f"{number}.TEXT"] = found.get(f"{number}.1", _TEXT)


def _lists(node: list[Node]) -> list[Node]:
    """The lists that stand first in it."""
    for count, one in enumerate(node):
        if not isinstance(one, list):
            return node[:count]
    return node


def _at(node: list[Node], index: int) -> Node:
    return node[index] if index < len(node) else b""


def _word(node: list[Node], index: int) -> bytes:
    one = _at(node, index)
    return b"" if isinstance(one, list) or one.upper() == b"NIL" else one


def _header(kind: bytes, subtype: bytes, parameters: Node, encoding: bytes, disposition: Node) -> bytes:
    lines = [b"Content-Type: " + _clean(kind) + b"/" + _clean(subtype) + _parameters(parameters)]
    if encoding:
        lines.append(b"Content-Transfer-Encoding: " + _clean(encoding))
    if isinstance(disposition, list) and _word(disposition, 0):
        lines.append(b"Content-Disposition: " + _clean(_word(disposition, 0)) + _parameters(_at(disposition, 1)))
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _parameters(node: Node) -> bytes:
    """The pairs of a parameter list, as they stand in a header."""
    if not isinstance(node, list):
        return b""
    pairs = zip(node[0 : 2 * _MOST_PARAMETERS : 2], node[1 : 2 * _MOST_PARAMETERS : 2], strict=False)
    return b"".join(
        b";\r\n " + _clean(name) + b'="' + re.sub(rb'(["\\])', rb"\\\1", _clean(value)) + b'"'
        for name, value in pairs
        if isinstance(name, bytes) and isinstance(value, bytes)
    )


def _clean(word: bytes) -> bytes:
    """A word that stays in its line."""
    match = _PLAIN.match(word)
    return match[0] if match else b""


class Structures:
    """What is known of the mails of the selected mailbox, by their numbers in it; the oldest is forgotten first."""

    __slots__ = ("_counted", "_held", "_known", "_memory")

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._counted = 0
        self._known: OrderedDict[int, dict[str, bytes]] = OrderedDict()
        self._held = 0

    def clear(self) -> None:
        """The numbers mean other mails now."""
        self._known.clear()
        self._held = 0
        self._fits()

    def learn(self, number: int, headers_of: dict[str, bytes]) -> None:
        """Headers of sections of mail `number`."""
        known = self._known.setdefault(number, {})
        for section, header in headers_of.items():
            if section in known:
                self._held -= _size(section, known[section])
            self._held += _size(section, header)
            known[section] = header
        self._known.move_to_end(number)
        while not self._fits() and self._known:
            _, gone = self._known.popitem(last=False)
            self._held -= sum(_size(section, header) for section, header in gone.items())

    def _fits(self) -> bool:
        """Counts it, and whether that is no more than it may be, of this connection and of all."""
        memory, size = self._memory, self._held + _MAIL_COST * len(self._known)
        memory.structures += size - self._counted
        self._counted = size
        if memory.structures > memory.limits.total_structures:
            memory.counters["total_structures"] += 1
            return False
        return size <= memory.limits.imap_structures

    def __del__(self) -> None:
        self._memory.structures -= self._counted

    def header(self, number: int, section: str) -> bytes | None:
        """The header of a section: the one that was fetched apart, or else as the structure has it."""
        known = self._known.get(number)
        if known is None:
            return None
        if section == "TEXT":
            return known.get("HEADER") or known.get("")
        if section.endswith(".TEXT"):
            return known.get(f"{section[:-5]}.HEADER") or known.get(section)
        return known.get(f"{section}.MIME") or known.get(section)


def _size(section: str, header: bytes) -> int:
    return len(section) + len(header) + _COST

"""Structured field values: `attachment; filename="a.zip"`. Between a header and what is made of it, in mail and HTTP.

RFC 2045, section 5.1 (parameters), RFC 5322, section 3.2 (comments, quoted strings), RFC 2231 (continuations).
Senders get all of it wrong and clients guess differently, so a parameter has readings, the most likely one first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from functools import cache
from itertools import islice
from urllib.parse import unquote_to_bytes

from reassembly.mime.charsets import decode_words, text
from sensor.noun import noun, state

MOST_PARAMETERS = 200  # of one field; each costs a pass over the others
LONGEST_VALUE = 16 << 10  # of one field; names are at most 255 bytes where they are used
_SPACE = b" \t\r\n\v\f"
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)("|\\?$)', re.DOTALL)
_PLAIN = re.compile(rb'[^";(\\=]+')
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED_QUOTE = re.compile(rb"\\([\"\\])")  # others stay: senders forget to escape the backslashes of paths
_SECTION = re.compile(rb"([^*]*)\*([0-9]{1,3})?(\*)?$")
_FOLD = re.compile(rb"[\r\n]+[ \t]*")


@noun
class Parameter:
    """One `key=value` as it stands there. `cooked`: without quotes, escapes and comments; `raw`: the bytes."""

    key: bytes  # lower case, no comments and spaces
    cooked: bytes
    raw: bytes
    quoted: bytes | None  # what stands in its first pair of quotes


@noun
class FieldValue:
    """A field value taken apart: what stands before the first semicolon, and its parameters in order."""

    value: str  # lower case, no comments and quotes: `multipart/mixed`
    parameters: tuple[Parameter, ...]
    source: bytes

    def readings(self, key: bytes) -> list[bytes]:
        """What `key` may be, as bytes, the most likely first; empty when it is not there. No duplicates."""
        if not self._mentions(key):
            return []
        found = [reading.raw for reading in _extended(self.parameters, key)]
        plain = [one for one in self.parameters if one.key == key]
        found += [one.cooked for one in plain]
        for one in plain:
            found += _literal(one)
        for match in _anywhere(key).finditer(self.source):
            found.append(match[1] if match[1] is not None else match[2])
        return list(dict.fromkeys(found))

    def texts(self, key: bytes) -> list[str]:
        """What `key` may be, as text: RFC 2231 before the plain form (its section 4), encoded words decoded."""
        if not self._mentions(key):
            return []
        extended = _extended(self.parameters, key)
        known = {reading.raw for reading in extended}
        found = [reading.text for reading in extended]
        found += [decode_words(one) for one in self.readings(key) if one not in known]
        return [one for one in dict.fromkeys(found) if one]

    def _mentions(self, key: bytes) -> bool:
        return key in self.source.lower() or any(one.key.startswith(key) for one in self.parameters)

    def first(self, key: bytes) -> bytes | None:
        """The most likely reading of `key`."""
        found = self.readings(key)
        return found[0] if found else None


def parse(source: bytes) -> FieldValue:
    """Takes a field value apart, unfolded or not. Never raises; what is beyond `LONGEST_VALUE` is left away."""
    source = _FOLD.sub(b" ", source[:LONGEST_VALUE])
    segments = _segments(source)
    head = source[: next(segments).end]
    value = decode_words(uncommented(head).strip(_SPACE))
    parameters = [_late(head)] if b"=" in head else []
    parameters += [one.parameter() for one in islice(segments, MOST_PARAMETERS)]
    return FieldValue(_kind(value), tuple(one for one in parameters if one.key), source)


def uncommented(source: bytes) -> bytes:
    """A value without comments, quotes and escapes."""
    comments = _comments(source)
    out = bytearray()
    at = 0
    while at < len(source):
        at, piece, _ = _piece(source, at, True, comments)
        out += piece
    return bytes(out)


def _kind(value: str) -> str:
    """The first word, unless it belongs to a parameter; what follows a space or comma there lacks its semicolon."""
    words = re.split(r"[\s,;]+", value.strip().lower(), maxsplit=1)
    word = words[0].strip("\"'")
    return "" if "=" in word else word


def _late(head: bytes) -> Parameter:
    """The parameter of `multipart/mixed boundary=a`."""
    start = max(head.rfind(mark, 0, head.find(b"=")) for mark in (b" ", b",", b"\t")) + 1
    return next(_segments(head[start:])).parameter()


@state
class _Segment:
    """What stands between two semicolons that are outside quotes, comments and escapes."""

    source: bytes
    start: int
    end: int = 0
    key: bytes | None = None
    quoted: bytes | None = None
    out: bytearray = field(default_factory=bytearray)

    def add(self, piece: bytes, inside: bool) -> None:
        """The next token; `inside`: it stood in quotes."""
        if inside and self.key is not None and self.quoted is None:
            self.quoted = piece
            if not self.out.strip(_SPACE):
                self.out.clear()  # the space before a quoted string is not its
        self.out += piece

    def parameter(self) -> Parameter:
        cooked = bytes(self.out)
        if self.quoted is None:
            cooked = cooked.strip(_SPACE)
        elif cooked.strip(_SPACE) == self.quoted.strip(_SPACE):
            cooked = self.quoted
        key = b"" if self.key is None else self.key.translate(None, _SPACE).lower()
        return Parameter(key, cooked, self.source[self.start : self.end].strip(_SPACE), self.quoted)


def _segments(source: bytes) -> Iterator[_Segment]:
    comments = _comments(source)
    segment = _Segment(source, 0)
    at = 0
    while at < len(source):
        here = source[at]
        if here == _SEMICOLON:
            segment.end = at
            yield segment
            segment = _Segment(source, at + 1)
            at += 1
        elif here == _EQUALS and segment.key is None:
            segment.key = bytes(segment.out)
            segment.out.clear()
            at += 1
            segment.start = at
        else:
            at, piece, inside = _piece(source, at, segment.key is not None, comments)
            segment.add(piece, inside)
    segment.end = len(source)
    yield segment


def _piece(source: bytes, at: int, in_value: bool, comments: dict[int, int]) -> tuple[int, bytes, bool]:
    """One token at `at`: where it ends, what it means, and whether it stood in quotes."""
    here = source[at]
    if here == _QUOTE:
        match = _QUOTED.match(source, at)
        if match is not None and (match[2] == b'"' or not in_value or b";" not in match[1]):
            return match.end(), _ESCAPED_QUOTE.sub(rb"\1", match[1]), True
        return at + 1, b"", False  # never closed, and other parameters follow
    if here == _OPEN:
        return comments.get(at, at + 1), b"", False
    if here == _BACKSLASH:
        return at + 2, source[at + 1 : at + 2], False
    match = _PLAIN.match(source, at)
    return (at + 1, source[at : at + 1], False) if match is None else (match.end(), match[0], False)


def _comments(source: bytes) -> dict[int, int]:
    """Where each comment begins and ends; they nest. One that never ends is none."""
    ends: dict[int, int] = {}
    opened: list[int] = []
    for match in _PARENTHESES.finditer(source):
        if match[0] == b"(":
            opened.append(match.start())
        elif match[0] == b")" and opened:
            ends[opened.pop()] = match.end()
    return ends


def _literal(one: Parameter) -> list[bytes]:
    """Readings of clients that know fewer rules: no comments, no escapes, quotes only around the whole."""
    raw = one.raw
    if raw == b'"' + one.cooked + b'"':
        return []
    found = [raw.strip(b'"'), raw, raw.strip(b"'\"")]
    if one.quoted is not None:
        found += [one.quoted, _ESCAPED.sub(rb"\1", one.quoted)]
        found += [piece for piece in raw.split(b'"') if piece.strip(_SPACE)][:2]
    found.append(re.split(rb"[\s;(,]", raw, maxsplit=1)[0].strip(b'"'))
    if b"\\" in raw:
        found += [raw.replace(b"\\", b""), raw.partition(b"\\")[0], raw.partition(b";")[0]]
    return [piece for piece in found if piece]


@cache
def _anywhere(key: bytes) -> re.Pattern[bytes]:
    """A parameter wherever it stands: in comments, in quotes, without its semicolon."""
    value = rb"=[ \t]*(?:\"([^\"\r\n]*)\"?|([^\s;,\"()]+))"
    return re.compile(rb"(?<![\w*-])" + re.escape(key) + rb"[ \t]*" + value, re.IGNORECASE)


@noun
class _Extended:
    raw: bytes
    text: str


def _extended(parameters: tuple[Parameter, ...], key: bytes) -> list[_Extended]:
    """RFC 2231: `key*`, and `key*0`, `key*1*` ... joined; by number, then as they stand, then with the later of two."""
    whole: list[_Extended] = []
    sections: list[tuple[int, bool, bytes]] = []
    for one in parameters:
        match = _SECTION.match(one.key)
        if match is None or match[1] != key:
            continue
        if match[2] is None:
            whole.append(_joined([(0, True, one.cooked)]))
        else:
            sections.append((int(match[2]), match[3] is not None, one.cooked))
    if not sections:
        return whole
    found = whole + [_joined(order) for order in _orders(sections)]
    if any(b"%" in value for _, extended, value in sections if not extended):
        found += [_joined([(number, True, value) for number, _, value in order]) for order in _orders(sections)]
    return list(dict.fromkeys(found))


def _orders(sections: list[tuple[int, bool, bytes]]) -> list[list[tuple[int, bool, bytes]]]:
    first: dict[int, tuple[int, bool, bytes]] = {}
    last: dict[int, tuple[int, bool, bytes]] = {}
    for one in sections:
        first.setdefault(one[0], one)
        last[one[0]] = one
    orders = [[first[number] for number in sorted(first)]]
    orders.append([last[number] for number in sorted(last)])
    orders.append(sections)
    return [order for at, order in enumerate(orders) if order not in orders[:at]]


def _joined(sections: list[tuple[int, bool, bytes]]) -> _Extended:
    """RFC 2231, section 4.1: "Language and character set information only appear at the beginning"."""
    charset = ""
    pieces: list[bytes] = []
    for at, (_, extended, value) in enumerate(sections):
        piece = value
        if piece.count(b"'") >= 2 and (extended or not at):
            before, _, rest = piece.partition(b"'")
            _language, _, after = rest.partition(b"'")
            if len(before) <= 40 and b"%" not in before:
                charset, piece = charset or before.decode("latin-1"), after
        pieces.append(unquote_to_bytes(piece) if extended else piece)
    raw = b"".join(pieces)
    decoded = text(raw, charset) if charset else decode_words(raw)
    return _Extended(decoded.encode("utf-8", "replace") if "\0" not in decoded else raw, decoded)


_SEMICOLON, _EQUALS, _QUOTE, _OPEN, _BACKSLASH = b';="(\\'
_PARENTHESES = re.compile(rb"\\.|[()]", re.DOTALL)

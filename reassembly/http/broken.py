"""Heads that are not well-formed, read as patient clients read them: where they may end, and what their fields may say.

Every way is offered; `reassembly.http.readings` finds out which of them the body bears out.
"""

from __future__ import annotations

import re
from dataclasses import field

from reassembly.http.head import Fields, Head, Request, Response, fields_of, parse_request, parse_response
from sensor.noun import state

_SLACK = 1024  # junk that clients skip before a status line
_MOST_ENDS = 6
_BLANKS = re.compile(rb"[\r\n][ \t\v\f\0\r\n]*[\r\n]")
_STATUS_LINE = re.compile(rb"HTTP/|ICY ", re.IGNORECASE)
_STATUS = re.compile(rb"(?:HTTP|ICY)[^\s]*[\s\0]+0*([1-9]\d\d)", re.IGNORECASE)
_VERSION = re.compile(rb"HTTP/(\d{1,3}(?:\.\d{1,3})?)", re.IGNORECASE)
_LOOKS_LIKE_FIELD = re.compile(rb"[ \t]*[!-9;-~]{1,64}[ \t]*:")
_MORE_FIELDS = re.compile(rb"[\s\0]*[A-Za-z][A-Za-z0-9\-]{1,40}[ \t]*:[^\r\n]*[\r\n]")
_CUT_OFF = re.compile(rb"HTTP/1\.[01] \d\d\d[^\r\n]*(?:\Z|\r?\n(?:\Z|[!-9;-~]+(?:\Z|:)))")
_LINE = re.compile(rb"\r\0*\n|\n\r|\n|\r")
_LENGTH = re.compile(rb"content[\s\0]*-[\s\0]*length[^a-z0-9:]*:((?:[^\r\n]|[\r\n]+[ \t])*)", re.IGNORECASE)
_CODING = re.compile(rb"content[\s\0]*-[\s\0]*encoding[^a-z0-9:]*:((?:[^\r\n]|[\r\n]+[ \t\0\v\f\x80-\xff]|\r(?!\n))*)",
                     re.IGNORECASE)  # fmt: skip
_FOLDED_FRAMING = re.compile(
    rb"(?:transfer-encoding|content-(?:encoding|length))[^\n]*\n[ \t]"
    rb"|\n[ \t]+(?:transfer-encoding|content-(?:encoding|length))",
    re.IGNORECASE,
)
_NUMBER = re.compile(rb"0x[0-9a-f]+|\d+")
_KNOWN = re.compile(rb"gzip|deflate|zstd|(?<![a-z])br(?![a-z])")
_MOST_NUMBERS = 4


def more_fields(raw: bytes, pos: int) -> bool:
    """Whether what follows the end of a head looks like more of it: somebody did not take the empty line for one."""
    return _MORE_FIELDS.match(raw, pos) is not None


@state
class Way:
    """One way to read a head: the body begins at `start`; `doubt` counts how odd that is."""

    head: Head
    start: int
    doubt: int = 0
    lengths: list[int] = field(default_factory=list)
    chunked: bool = False  # perhaps


def patient(head: bytes, blank: bytes, response: bool) -> Head | None:
    """A head, and the line ends after it, with bare LFs or folded fields, and nothing else that is odd.

    RFC 9112, sections 2.2 and 5.2: "a recipient MAY recognize a single LF as a line terminator".
    """
    findings = []
    text = head
    breaks = head.count(b"\n")
    returns = head.count(b"\r")
    if not returns and blank == b"\n\n":
        text = head.replace(b"\n", b"\r\n")
        findings.append("http.bare_lf")
    elif breaks != returns - 1 or head.count(b"\r\n") != breaks or blank != b"\n\r\n" or head[-1:] != b"\r":
        return None
    text = text.removesuffix(b"\r")
    if b"\r\n " in text or b"\r\n\t" in text:
        text = re.sub(rb"\r\n[ \t]+", b" ", text)
        findings.append("http.folded_field")
    parsed = parse_response(text) if response else parse_request(text)
    if parsed is None or ("http.folded_field" in findings and _framing_folded(head)):
        return None
    parsed.findings += findings
    return parsed


def _framing_folded(head: bytes) -> bool:
    return _FOLDED_FRAMING.search(head) is not None


def response_ways(raw: bytes) -> list[Way]:
    """How the start of a response can be read; no way where the head is just not whole."""
    start = _status_start(raw)
    ways: list[Way] = []
    if start == 0 and _CUT_OFF.match(raw) and not _ends(raw, 0):
        return []
    if start is not None:
        ways += _heads(raw, start, 0 if not raw[:start].strip(b" \t\r\n\0") else 1)
    elif _LOOKS_LIKE_FIELD.match(raw):
        ways += _heads(raw, 0, 2)
    if start is None or start or not ways or not _STATUS.match(raw, start):
        # RFC 1945, section 6: no status line, "the entity body" is all there is
        ways.append(Way(Response(0, "0.9", {}, ["http.no_status_line"]), 0, 3 if ways else 1))
    return ways


def _status_start(raw: bytes) -> int | None:
    match = _STATUS_LINE.search(raw, 0, _SLACK)
    if match is not None:
        return match.start()
    return 0 if raw[:4].upper() == b"HTTP" else None


def _heads(raw: bytes, start: int, doubt: int) -> list[Way]:
    ways: list[Way] = []
    for end, oddness in _ends(raw, start):
        ways.append(_way(raw[start:end], end, doubt + oddness))
        if len(ways) == _MOST_ENDS:
            break
    if not ways:
        first = _LINE.search(raw, start)
        if first is not None and not _LOOKS_LIKE_FIELD.match(raw, first.end()):
            ways.append(_way(raw[start : first.start()], first.end(), doubt + 1))
    return ways


def _ends(raw: bytes, start: int) -> list[tuple[int, int]]:
    """Where the head may end, and how odd each is. Goes on while what follows looks like more fields."""
    ends: list[tuple[int, int]] = []
    for run in _BLANKS.finditer(raw, start, start + (256 << 10)):
        found = _ends_in(run[0])
        ends += [(run.start() + end, oddness + len(ends)) for end, oddness in found]
        if found and run[0].strip(b"\r\n") == b"" and not more_fields(raw, run.end()):
            break
        if len(ends) >= _MOST_ENDS:
            break
    return ends


def _ends_in(run: bytes) -> list[tuple[int, int]]:
    """Ends of a head in a run of breaks and blanks: after its second line end, by one count or another."""
    if run.startswith(b"\r\n\r\n"):
        return [(4, 0)]
    ends: list[tuple[int, int]] = []
    if b"\n" in run:
        feeds = [at + 1 for at, byte in enumerate(run) if byte == 0x0A]
        ends += [(at, index) for index, at in enumerate(feeds[1:3])]
        if run[:3] == b"\n\r\n" and run[3:4] == b"\r":
            ends.append((4, 1))
        if len(feeds) == 1 and b"\r" in run.replace(b"\r\n", b"", 1).replace(b"\n\r", b"", 1):
            ends.append((len(run), 1))
    elif run.count(b"\r") > 1:
        ends.append((run.index(b"\r", run.index(b"\r") + 1) + 1, 1))
    return ends


def _way(head: bytes, start: int, doubt: int) -> Way:
    status = _STATUS.match(head.replace(b"\0", b""))
    version = _VERSION.match(head.replace(b"\0", b""))
    fields = loose_fields(head)
    response = Response(
        int(status[1]) if status else 0, version[1].decode() if version else "", fields, ["http.malformed_head"]
    )
    way = Way(response, start, doubt)
    doubtful_framing(way, head)
    return way


def doubtful_framing(way: Way, head: bytes) -> None:
    """What the framing fields of a head may mean, over-inclusive: the body decides."""
    letters = re.sub(rb"[^a-z]", b"", head.lower())
    way.chunked = b"chunked" in letters or b"transferencoding" in letters
    for match in list(_LENGTH.finditer(head))[:_MOST_NUMBERS]:
        way.lengths += [length for length in _numbers(match[1]) if length not in way.lengths]
    del way.lengths[_MOST_NUMBERS:]


def _numbers(value: bytes) -> list[int]:
    value = value.lower()
    joined = value.replace(b"\0", b"")
    texts = _NUMBER.findall(joined) + _NUMBER.findall(value)
    if (fraction := re.match(rb"[^\d]*(\d+)\.\d", joined)) is not None:
        texts = [fraction[1]]
    numbers = [int(text, 16) if text.startswith(b"0x") else int(text[:40]) for text in texts]
    numbers += [number % (1 << 32) for number in numbers if number >= 1 << 32]
    return list(dict.fromkeys(number for number in numbers if number))


def loose_fields(head: bytes) -> Fields:
    """Fields by their cleaned names; codings as far as they can be recognised."""
    parsed = fields_of(head)
    fields: Fields = dict(parsed[0]) if parsed else {}
    last = b""
    for line in _LINE.split(head) if not parsed else ():
        name, colon, value = line.replace(b"\0", b"").partition(b":")
        key = name.strip(b" \t\v\f\r").lower()
        if colon and key and b" " not in key and line[:1] not in b" \t":
            fields.setdefault(key, value.strip(b" \t:"))
            last = key
        elif last and line[:1] in (b" ", b"\t"):
            fields[last] += b" " + line.strip()
    fields.pop(b"transfer-encoding", None)
    named = _named(head)
    if b"\0" in head:
        named = max(named, _named(head.replace(b"\0", b"")), key=len)
    fields.pop(b"content-encoding", None)
    if named:
        fields[b"content-encoding"] = b",".join(named[:_MOST_NUMBERS])
    return fields


def _named(head: bytes) -> list[bytes]:
    return [coding for match in _CODING.finditer(head) for coding in _codings(match[1])]


def _codings(value: bytes) -> list[bytes]:
    """The known codings in a value, or the sign that there is an unknown one."""
    value = re.sub(rb"[\s\0]", b"", value).lower()
    known = _KNOWN.findall(value)
    plain = value.strip(b",;\"'")
    return known or ([b"unknown"] if plain and plain not in (b"identity", b"chunked", b"none") else [])


def request_way(raw: bytes) -> Request | None:
    """A request whose head is not well-formed; None if it is none at all."""
    head = raw.strip(b"\r\n \t\0")
    line, *_ = _LINE.split(head, 1)
    words = line.replace(b"\0", b"").split()
    if len(words) < 2 or not words[0].replace(b"-", b"").replace(b"_", b"").isalpha() or len(words[0]) > 32:
        return None
    version = _VERSION.match(words[-1]) if len(words) > 2 else None
    target = b" ".join(words[1:-1]) if version else b" ".join(words[1:])
    fields = loose_fields(head)
    if b"chunked" in re.sub(rb"[^a-z]", b"", head.lower()):
        fields[b"transfer-encoding"] = b"doubtful"
    text = version[1].decode() if version else "0.9"
    return Request(words[0].upper(), target, text, fields, ["http.malformed_head"])

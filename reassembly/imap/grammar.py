"""What IMAP's lines look like: RFC 9051, section 9; RFC 7888 (literals), RFC 3516 (BINARY, `~{`)."""

from __future__ import annotations

import re

from sensor.noun import noun

_STATUS = rb"(?:OK|NO|BAD|BYE|PREAUTH)"
_TAG = rb'[^\s\x00-\x1f\x7f-\xff(){%*"\\+]{1,64}'
_GREETING = re.compile(rb"\* (?:OK|PREAUTH|BYE)[ \r\n\[]")
_VERBS = (
    rb"CAPABILITY|NOOP|LOGOUT|STARTTLS|AUTHENTICATE|LOGIN|ENABLE|SELECT|EXAMINE|CREATE|DELETE|RENAME|SUBSCRIBE|"
    rb"UNSUBSCRIBE|LIST|LSUB|XLIST|NAMESPACE|STATUS|APPEND|IDLE|CHECK|CLOSE|UNSELECT|EXPUNGE|SEARCH|SORT|THREAD|FETCH|"
    rb"STORE|COPY|MOVE|UID|ID|COMPRESS|GETQUOTA|GETQUOTAROOT|GETACL|SETACL|GETMETADATA|SETMETADATA|NOTIFY"
)
# What surely begins a command, and a response: to know the sides by, and to go on behind a gap.
COMMAND = re.compile(_TAG + rb" (?:" + _VERBS + rb")(?=[ \r\n])", re.IGNORECASE)
RESPONSE = re.compile(
    rb"\* (?:"
    + _STATUS
    + rb"(?=[ \r\n])|\d{1,10} (?:FETCH \(|EXISTS\r|RECENT\r|EXPUNGE\r)|(?:CAPABILITY|LIST|LSUB|XLIST|"
    rb"STATUS|SEARCH|ESEARCH|SORT|THREAD|FLAGS|NAMESPACE|ENABLED|ID|VANISHED|QUOTA|QUOTAROOT|ACL|METADATA)(?=[ \r\n]))|"
    + _TAG
    + rb" (?:OK|NO|BAD) [^\r\n]"
)
_OPENING = re.compile(_TAG + rb" (?:CAPABILITY|LOGIN|AUTHENTICATE|STARTTLS|ID|NOOP|SELECT|EXAMINE|UID |FETCH )", re.I)
_MIDDLE = re.compile(rb"\* \d{1,10} (?:FETCH \(|EXISTS\r\n|EXPUNGE\r\n)", re.IGNORECASE)
_FROM_CLIENT = re.compile(
    _TAG + rb" (?:LOGIN \S|(?:UID )?FETCH [\d*]|AUTHENTICATE (?:PLAIN|LOGIN|NTLM|XOAUTH2)|SELECT \S+\r\n|EXAMINE \S)",
    re.I,
)

TAGGED = re.compile(rb"(" + _TAG + rb") (OK|NO|BAD)(?:[ \t]|\r?\n)", re.IGNORECASE)
SPOKEN = re.compile(rb"\* (?:OK|NO|BAD|BYE|PREAUTH)[ \r\n]|\+|" + _TAG + rb" (?:OK|NO|BAD)[ \r\n]", re.IGNORECASE)
FETCH = re.compile(rb"\* (\d{1,10}) FETCH[ \t]*\(", re.IGNORECASE)
EXPUNGE = re.compile(rb"\* (?:\d{1,10} EXPUNGE|VANISHED )", re.IGNORECASE)
SIZE = re.compile(rb"\bRFC822\.SIZE (\d{1,18})", re.IGNORECASE)
LITERAL = re.compile(rb"~?\{(\d{1,18})[+-]?\}[ \t]*\r?\n\Z")

_QUOTED = rb'"(?:[^"\\\r\n]|\\[^\r\n])*+"'
_VALUE = rb"(?:(NIL)\b|(" + _QUOTED + rb")|~?\{(\d{1,18})[+-]?\}[ \t]*\r?\n\Z)"
_ITEM = re.compile(
    _QUOTED
    + rb"|\b(?:(BODY|BINARY)(?:\.PEEK)?\[((?:"
    + _QUOTED
    + rb"|[^\]\"])*+)\](?:<(\d{1,18})>)?|(RFC822(?:\.HEADER|\.TEXT)?))[ \t]+"
    + _VALUE,
    re.IGNORECASE,
)
_ASKED = re.compile(rb"\b(?:BODY|BINARY)(?:\.PEEK)?\[([^\]]*)\]<(\d{1,18})\.(\d{1,18})>", re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_WORD = re.compile(rb"[ \t]*(?:(" + _QUOTED + rb")|([^\s(){\"]+))")

LONGEST_START = 20  # of a line of the server: with it, one of them can be told
LONGEST_ITEM = 4096  # from BODY[ to its ]; a list of header fields may be long


@noun
class Item:
    """A section of a mail that a FETCH response brings, before its bytes."""

    section: str  # upper case; empty for the whole mail
    binary: bool  # its transfer encoding is undone already (RFC 3516)
    offset: int | None  # where a part of it starts
    quoted: bytes | None  # the bytes, where they stand in the line
    literal: int | None  # how many bytes follow the line


def speaks(orig: bytes, resp: bytes) -> bool | None:
    """Whether flows that begin like this are IMAP; None when it is too early to say."""
    if _GREETING.match(resp) or _MIDDLE.match(resp):
        return True
    if orig and not resp:
        return True if _FROM_CLIENT.match(orig) else None if _OPENING.match(orig) else False
    return None if len(resp) < LONGEST_START and b"* ".startswith(resp[:2]) else False


def items(text: bytes, start: int) -> tuple[list[Item], int]:
    """The sections in a piece of a FETCH response from `start` on, and how far it needs no second look.

    Where the text ends with a literal, only the last item can be the one that it belongs to.
    """
    found = []
    for match in _ITEM.finditer(text, start):
        kind, section, offset, whole, _, string, size = match.groups()
        if kind is None and whole is None:
            continue
        found.append(
            Item(
                (section if section is not None else whole[7:]).decode("latin-1").upper(),
                kind is not None and kind.upper() == b"BINARY",
                int(offset) if offset else None,
                unquoted(string) if string is not None else None,
                int(size) if size else None,
            )
        )
    bracket = text.rfind(b"[", max(start, len(text) - LONGEST_ITEM))
    if bracket < 0 or b"]" in text[bracket:]:
        return found, len(text)
    return found, max(start, text.rfind(b" ", start, bracket))


def asked(command: bytes) -> list[tuple[str, int, int]]:
    """The parts of sections that a FETCH command asks for: section, offset, most bytes."""
    return [
        (section.decode("latin-1").upper(), int(start), int(size)) for section, start, size in _ASKED.findall(command)
    ]


def unquoted(quoted: bytes) -> bytes:
    """The bytes of a quoted string."""
    return _ESCAPED.sub(rb"\1", quoted[1:-1])


def quoted(raw: bytes) -> bytes:
    """A literal as a quoted string, to read a line as if it had none."""
    return b'"' + re.sub(rb'(["\\])', rb"\\\1", raw.replace(b"\r", b" ").replace(b"\n", b" ")) + b'"'


def first_word(rest: bytes) -> bytes:
    """The first argument of a command, quoted or not; empty when it is neither."""
    match = _WORD.match(rest)
    if match is None:
        return b""
    return unquoted(match[1]) if match[1] is not None else match[2]

"""POP3 to mails: RFC 1939, with CAPA (RFC 2449) and STLS (RFC 2595).

The server sends mails as dot-stuffed text after "+OK" to RETR, and the head of one to TOP. Which answer belongs to
which command follows from their order. Where no command was seen, an answer that speaks of octets announces a mail.
"""

from __future__ import annotations

import re

from reassembly.builder import Origin
from reassembly.events import Close, Data, Fact, Gap, Note, Switch
from reassembly.lines import Lines, words
from reassembly.protocols import Answer, Emitted
from reassembly.smtp.dotted import DottedText, Found
from reassembly.smtp.draft import Draft
from reassembly.waiting import Waiting
from sensor.noun import state

NAME = "pop3"
PORTS = frozenset({110, 1110})

_GREETING = re.compile(rb"\+OK(?:[ \t][^\r\n]{0,600})?\r?\n|\+OK[ \t]?[^\r\n]{0,600}$")
_COMMAND = re.compile(rb"(CAPA|USER|APOP|AUTH|STLS|QUIT|PASS|STAT|RETR|UIDL)(?:[ \r\n]|$)", re.IGNORECASE)
_STATUS = re.compile(rb"(\+OK|-ERR|\+)(?:[ \t\r\n]|$)")
_OCTETS = re.compile(rb"\+OK\s.*\boctets\b", re.IGNORECASE | re.DOTALL)
_MAIL = frozenset({b"RETR", b"TOP"})
_LISTS = frozenset({b"LIST", b"UIDL"})  # with an argument their answer is one line
_LONG = frozenset({b"CAPA"})


def probe(orig: bytes, resp: bytes) -> Answer:
    """The server greets with "+OK"; its words alone are enough where a command follows or the port says so."""
    if resp and not _GREETING.match(resp):
        return Answer.MORE if b"+OK ".startswith(resp[:4]) else Answer.NO
    if orig:
        if _COMMAND.match(orig):
            return Answer.YES if resp else Answer.MORE
        return Answer.MORE if len(orig) < 5 and orig.isalpha() else Answer.NO
    return Answer.MORE


@state
class Asked:
    """The command whose answer is being read, and who is logged in."""

    verb: bytes = b""
    user: str = ""

    def facts(self) -> dict[str, Fact]:
        """What is said of the mail in the answer."""
        facts: dict[str, Fact] = {"tapscan.pop3.command": self.verb.decode("ascii", "replace")}
        if self.user:
            facts["tapscan.pop3.user"] = self.user
        return facts


class Parser:
    """One connection. The side that says "+OK" is the server, whoever opened the flow."""

    __slots__ = (
        "_asked", "_challenged", "_client", "_commands", "_draft", "_first", "_lines", "_origin", "_text", "_waiting",
    )  # fmt: skip

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._client = 0
        self._first = True
        self._commands: Waiting[tuple[bytes, str]] = Waiting(origin)
        self._waiting = True  # for the greeting
        self._challenged = False  # the next line of the client answers a SASL challenge (RFC 5034)
        self._lines = Lines(origin), Lines(origin)
        self._text: DottedText | None = None
        self._asked = Asked()
        self._draft = Draft(origin, NAME, self._asked.facts)

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Mails, and their parts, as they end."""
        if isinstance(event, Gap):
            return self._gap(event)
        if self._first:
            self._first = False
            self._client = event.direction ^ event.payload.startswith((b"+", b"-"))
        return self._ask(event) if event.direction == self._client else self._answer(event)

    def close(self, event: Close) -> list[Emitted]:
        """The mail that was on its way when the server's direction ended is cut."""
        self._lines[event.direction].torn()
        return [*self._draft.finish(event.time, event.how)] if event.direction != self._client else []

    def _gap(self, event: Gap) -> list[Emitted]:
        self._lines[event.direction].torn()
        if event.direction == self._client or self._text is None:
            return []
        held = self._text.gap()
        if self._asked.verb not in _MAIL:
            return []
        return [*self._draft.write(held, event), *self._draft.gap(event.length, event)]

    def _ask(self, event: Data) -> list[Emitted]:
        at = 0
        while at < len(event.payload):
            line, at = self._lines[event.direction].take(event.payload, at)
            if line is None:
                break
            if self._challenged:
                self._challenged = False
                continue
            verb, _, argument = line.strip().partition(b" ")
            self._commands.add((verb[:16].upper(), words(argument.strip()[:200])), 216)
        return []

    def _answer(self, event: Data) -> list[Emitted]:
        emitted: list[Emitted] = []
        at = 0
        while at < len(event.payload):
            if self._text is not None:
                at = self._read_text(self._text, event, at, emitted)
                continue
            line, at = self._lines[event.direction].take(event.payload, at)
            if line is None:
                break
            if self._status(line, emitted):
                rest = event.payload[at:]
                return [*emitted, Switch((Data(event.direction, rest, event.began, event.time),) if rest else ())]
        return emitted

    def _read_text(self, text: DottedText, event: Data, at: int, emitted: list[Emitted]) -> int:
        piece, at, found = text.feed(event.payload, at)
        if self._asked.verb in _MAIL:
            emitted.extend(self._draft.write(piece, event))
        if found is not Found.NOTHING:
            emitted.extend(self._draft.finish(event.time))
            self._text = None
        return at

    def _status(self, line: bytes, emitted: list[Emitted]) -> bool:
        """One line of the server outside of text; True when TLS follows."""
        status = _STATUS.match(line)
        if status is None:
            return False
        if status[1] == b"+":
            self._challenged = True
            return False
        if self._waiting and not _OCTETS.match(line):
            self._waiting = False
            return False
        self._waiting = False
        verb, argument = self._commands.take() if self._commands else self._guess(line)
        if status[1] != b"+OK":
            return False
        self._asked.verb = verb
        if verb == b"USER":
            self._asked.user = argument
        elif verb in _MAIL or verb in _LONG or (verb in _LISTS and not argument):
            self._text = DottedText(bare_ends=False)
        elif verb == b"STLS":
            emitted.append(Note({"tapscan.pop3.starttls": True}))
            return True
        return False

    def _guess(self, line: bytes) -> tuple[bytes, str]:
        """The command that an answer without one belongs to."""
        return (b"RETR", "") if _OCTETS.match(line) else (b"", "")

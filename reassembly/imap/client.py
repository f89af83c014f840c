"""The client's side of IMAP: commands, and the mails that APPEND brings (RFC 9051, section 6; RFC 3502, 4469)."""

from __future__ import annotations

import re

from reassembly.builder import Origin
from reassembly.events import Data, Gap
from reassembly.imap.grammar import COMMAND, LITERAL, asked, first_word, quoted
from reassembly.imap.phrases import Line, Phrases
from reassembly.imap.sections import NAME
from reassembly.imap.session import LONGEST_NAME, Session
from reassembly.imap.structure import Structures
from reassembly.lines import words
from reassembly.objects import Object
from reassembly.partial import Partial
from reassembly.smtp.draft import Draft

_COMMAND = re.compile(rb"(\S{1,64})[ \t]+(?:UID[ \t]+)?([A-Za-z]{1,32})[ \t]*", re.IGNORECASE)
_FEW = 20  # commands that wait, and sections that are asked for in pieces
_COST = 300  # of a command
_LONGEST_ASKED = 256  # of the name of a section
_NO_MAILBOX = re.compile(rb"\S+[ \t]+APPEND[ \t]+\Z", re.IGNORECASE)


class Client:
    """`asked`: how much of a section the client wants, by section and offset."""

    __slots__ = (
        "_asks", "_draft", "_held", "_literals", "_mail", "_origin", "_session", "_structures", "_text", "_verb",
        "_verbs", "_waiting", "_word", "asked", "phrases",
    )  # fmt: skip

    def __init__(self, origin: Origin, structures: Structures, session: Session) -> None:
        self._origin = origin
        self._session = session
        self._structures = structures
        self.phrases = Phrases(origin, COMMAND)
        self.asked: dict[tuple[str, int], int] = {}
        self._verbs: dict[bytes, str] = {}  # of commands that wait for their answer, by tag
        self._asks = Partial(origin)  # counts them
        self._verb = ""
        self._waiting = b""  # tag of the command that a literal belongs to
        self._text = b""  # of the command, its literals as quoted strings
        self._held = Partial(origin)  # counts it while it waits for more
        self._literals = 0
        self._mail = False  # the literal is one
        self._word: Partial | None = None
        self._draft = Draft(origin, NAME, session.appended)

    def read(self, event: Data) -> list[Object]:
        """The mails that end in these bytes."""
        out: list[Object] = []
        for piece in self.phrases.read(event):
            if isinstance(piece, Line):
                self._line(piece)
            elif self._mail:
                out += self._draft.write(piece.data, event)
                if piece.over:
                    out += self._appended_one(event.time)
            else:
                self._spell(piece.data, piece.over)
        return out

    def gap(self, event: Gap) -> list[Object]:
        """Bytes are missing."""
        inside, over = self.phrases.miss(event.length)
        out: list[Object] = []
        if self._mail and inside:
            out += self._draft.gap(inside, event)
        if over:
            out += self._appended_one(event.time) if self._mail else []
            self._word = None
        return out

    def close(self, time: int, how: str) -> list[Object]:
        """Nothing more comes of this side."""
        return [*self._draft.finish(time, how)]

    def verb(self, tag: bytes, agreed: bool) -> str:
        """The command that this tagged response answers. A refused one sends its literal no more."""
        if not agreed and tag == self._waiting:
            self.phrases.refuse()
        return self._verbs.pop(tag, "")

    def _named(self) -> str:
        """The first argument of the command."""
        match = _COMMAND.match(self._text)
        return words(first_word(self._text[match.end() :]))[:LONGEST_NAME] if match is not None else ""

    def _line(self, line: Line) -> None:
        if line.first:
            self._begin(line.text)
        elif len(self._text) + len(line.text) <= self._origin.limits.imap_line_bytes:
            self._text += line.text
        if line.literal is None:
            self._over()
            self._keep(b"")
            return
        match = LITERAL.search(self._text, max(0, len(self._text) - 64))
        self._text = self._text[: match.start()] if match is not None else self._text
        self._mail = self._verb == "APPEND" and not _NO_MAILBOX.match(self._text)
        self._word = None if self._mail else Partial(self._origin)
        if self._mail:
            self._session.target = self._named()
        self._keep(self._text)

    def _keep(self, text: bytes) -> None:
        """What the command is known to say; more will come of it."""
        self._text = text
        self._held.hold(len(text))
        if text and self._held.full:
            self._text = b""
            self._held.clear()

    def _begin(self, text: bytes) -> None:
        self._text, self._literals = text, 0
        match = _COMMAND.match(text)
        self._verb = match[2].decode("ascii").upper() if match is not None else ""
        self._waiting = match[1] if match is not None else b""
        if match is not None:
            if len(self._verbs) >= self._origin.limits.pending_requests:
                del self._verbs[next(iter(self._verbs))]
            self._verbs[match[1]] = self._verb

    def _spell(self, data: bytes, over: bool) -> None:
        word, limits = self._word, self._origin.limits
        if word is not None and len(word) + len(data) <= limits.command_bytes and not word.full:
            word += data
        if not over:
            return
        self._literals += 1
        if self._literals <= limits.imap_literals and len(self._text) + len(word or b"") <= limits.imap_line_bytes:
            self._keep(self._text + quoted(bytes(word or b"")))
        self._word = None

    def _appended_one(self, time: int) -> list[Object]:
        self._mail = False
        self._text += b'""'
        return self._draft.finish(time)

    def _over(self) -> None:
        """The command is whole."""
        if self._verb == "LOGIN":
            self._session.user = self._named()
        elif self._verb in ("SELECT", "EXAMINE"):
            self._session.selected = self._named()
            self._structures.clear()
        elif self._verb == "FETCH":
            self._ask()
        self._waiting = b""
        self._bound()

    def _ask(self) -> None:
        for section, offset, size in asked(self._text):
            if len(self.asked) >= _FEW:
                del self.asked[next(iter(self.asked))]
            if len(section) <= _LONGEST_ASKED:
                self.asked[section, offset] = size

    def _bound(self) -> None:
        """Without room nothing is known of what waits; a few need none."""
        waits = len(self._verbs)
        self._asks.hold(waits * _COST if waits > _FEW else 0)
        if waits > _FEW and self._asks.crowded:
            self._verbs.clear()
            self._asks.clear()

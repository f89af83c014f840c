"""The server's side of IMAP: responses, and the sections that FETCH brings (RFC 9051, section 7)."""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import Data, Gap
from reassembly.imap import structure
from reassembly.imap.client import Client
from reassembly.imap.grammar import EXPUNGE, FETCH, LITERAL, RESPONSE, TAGGED, Item, items, quoted
from reassembly.imap.phrases import Line, Phrases
from reassembly.imap.sections import Sections
from reassembly.imap.structure import Structures
from reassembly.objects import Object
from reassembly.partial import Partial


class Server:
    """`agreed`: the client's command that was just agreed to, if the bytes behind the response mean something else."""

    __slots__ = (
        "_client", "_compressed", "_held", "_item", "_literals", "_number", "_origin", "_scanned", "_sections",
        "_size", "_structures", "_taught", "_text", "_word", "agreed", "phrases",
    )  # fmt: skip

    def __init__(self, origin: Origin, sections: Sections, structures: Structures, client: Client) -> None:
        self._origin = origin
        self._sections = sections
        self._structures = structures
        self._client = client
        self._compressed = False
        self.agreed = ""
        self.phrases = Phrases(origin, RESPONSE)
        self._number = 0  # of the mail that a FETCH response is about
        self._text = b""  # of the response, its literals as quoted strings
        self._held = Partial(origin)  # counts it while it waits for more
        self._scanned = 0
        self._taught = False  # the structure in it is known
        self._literals = 0
        self._item: Item | None = None  # whose literal is coming
        self._size = 0  # of that literal, as far as it came
        self._word: Partial | None = None  # a literal that is part of the text

    def read(self, event: Data) -> list[Object]:
        """The objects that end in these bytes. `phrases.at` says where it stopped."""
        out: list[Object] = []
        for piece in self.phrases.read(event):
            if isinstance(piece, Line):
                if self._line(piece, event, out):
                    break
            else:
                self._literal(piece.data, piece.over, event, out)
        return out

    def gap(self, event: Gap) -> list[Object]:
        """Bytes are missing."""
        inside, over = self.phrases.miss(event.length)
        out: list[Object] = []
        if self._item is not None:
            out += self._sections.gap(inside, event)
            self._size += inside
            if over:
                self._ended(event, out)
        elif over:
            self._word = None
            self._spelt()
        if event.length > inside:
            self._number = 0
            self._forget()
        return out

    def close(self, time: int, how: str) -> list[Object]:
        """Nothing more comes of this side."""
        return self._sections.finish(time, how if self._item is not None else None)

    def _line(self, line: Line, event: Data, out: list[Object]) -> bool:
        if line.first:
            fetch = FETCH.match(line.text)
            self._number = int(fetch[1]) if fetch is not None else 0
            self._text, self._scanned, self._literals, self._taught = line.text, 0, 0, False
        else:
            self._text += line.text
        if self._number:
            self._fetched(line, event, out)
        if line.literal is None:
            stops = self._over()
            if self._literals:
                self._forget()
            self._text = b""
            return stops
        if self._item is None:
            self._word = Partial(self._origin)
            match = LITERAL.search(self._text, max(0, len(self._text) - 64))
            self._text = self._text[: match.start()] if match is not None else self._text
            self._wait()
        else:
            self._forget()  # what it said before the section is known by now
        return False

    def _wait(self) -> None:
        """More will come of the text."""
        self._held.hold(len(self._text))
        if self._held.full:
            self._forget()
            self._number = 0

    def _forget(self) -> None:
        self._text, self._scanned = b"", 0
        self._held.clear()

    def _fetched(self, line: Line, event: Data, out: list[Object]) -> None:
        found, self._scanned = items(self._text, self._scanned)
        if found:
            self._teach()
        for item in found:
            if item.quoted is not None:
                out += self._sections.begin(self._number, item, event)
                out += self._sections.write(item.quoted, event)
                out += self._sections.end(len(item.quoted), event)
            elif item.literal is not None and line.literal is not None:
                out += self._sections.begin(self._number, item, event)
                self._item, self._size = item, 0

    def _literal(self, data: bytes, over: bool, event: Data, out: list[Object]) -> None:
        if self._item is not None:
            out += self._sections.write(data, event)
            self._size += len(data)
            if over:
                self._ended(event, out)
            return
        word = self._word
        if word is not None and len(word) + len(data) <= self._origin.limits.command_bytes and not word.full:
            word += data
        if over:
            self._spelt()

    def _ended(self, event: Data | Gap, out: list[Object]) -> None:
        self._item = None
        out += self._sections.end(self._size, event)

    def _spelt(self) -> None:
        """A literal was a part of the text."""
        word, self._word = self._word or b"", None
        self._literals += 1
        limits = self._origin.limits
        if self._literals > limits.imap_literals or len(self._text) + len(word) > limits.imap_line_bytes:
            self._origin.memory.counters["imap_literals"] += 1
            self._number = 0
            self._forget()
            return
        self._scanned = min(self._scanned, len(self._text))
        self._text += quoted(bytes(word))
        self._wait()

    def _teach(self) -> None:
        """Learns what the mail consists of, once it is said."""
        if not self._taught and b"BODYSTRUCTURE" in self._text[: self._scanned].upper():
            self._taught = True
            self._structures.learn(self._number, structure.headers(self._text, self._origin.limits))

    def _over(self) -> bool:
        """The response is whole."""
        if self._number:
            self._teach()
            self._number = 0
            return False
        if EXPUNGE.match(self._text):
            self._structures.clear()
        tagged = TAGGED.match(self._text)
        return tagged is not None and self._answered(tagged[1], tagged[2].upper() == b"OK")

    def _answered(self, tag: bytes, agreed: bool) -> bool:
        """A tagged response; True when what follows it is no IMAP as it stands."""
        verb = self._client.verb(tag, agreed)
        if agreed and (verb == "STARTTLS" or (verb == "COMPRESS" and not self._compressed)):
            self._compressed = self._compressed or verb == "COMPRESS"
            self.agreed = verb
        return bool(self.agreed)

"""The server's side of SMTP: its replies, and the commands that wait for one (RFC 5321, section 4.2; RFC 2920)."""

from __future__ import annotations

from collections.abc import Iterator

from reassembly.builder import Origin
from reassembly.events import Data
from reassembly.lines import Lines, reply
from reassembly.smtp.grammar import TLS_COMMANDS
from reassembly.waiting import Waiting
from sensor.noun import noun


@noun
class Answer:
    """One reply; `verb` and `argument` of the command that it answers, empty when none is known."""

    code: int
    verb: str
    argument: str
    end: int  # offset after it


class Answers:
    """Pairs replies with commands. `deaf`: no reply can be expected to be heard, so bytes must decide."""

    __slots__ = ("_asked", "_greeted", "_lines", "_settled", "deaf")

    def __init__(self, origin: Origin) -> None:
        self._lines = Lines(origin)
        self._asked: Waiting[tuple[str, str]] = Waiting(origin)
        self._greeted = False
        self._settled = ""  # the command that was answered last
        self.deaf = True

    def ask(self, verb: str, times: int = 1) -> None:
        """The client has sent this, and will be answered so many times.

        A mail that LMTP should answer for each recipient, and some servers answer once, has had all its answers when
        the client goes on after the first.
        """
        while self._settled == "." and self._asked and self._asked.first[0] == ".":
            self._asked.take()
        for _ in range(times):
            self._asked.add((verb, ""), 0)

    def ask_about(self, argument: str) -> None:
        """What the last command was about."""
        self._asked.change((self._asked.last[0], argument), len(argument))

    def answered(self) -> None:
        """The command that waits longest has been answered in another way."""
        if self._asked:
            self._asked.take()

    def miss(self) -> None:
        """Bytes of the server are missing: which reply is whose is not known any more."""
        self._lines.torn()
        self._asked.clear()
        self.deaf = True

    def read(self, data: Data) -> Iterator[Answer]:
        """Each reply that ends here."""
        start = 0
        while start < len(data.payload):
            line, start = self._lines.take(data.payload, start)
            code, last = (line is not None and reply(line)) or (0, False)
            if last and not self._greets(code) and (answer := self._pair(code, start)) is not None:
                yield answer

    def _greets(self, code: int) -> bool:
        greeting = not self._greeted and code == 220 and not (self._asked and self._asked.first[0] in TLS_COMMANDS)
        self._greeted = True
        if greeting or self._asked:
            self.deaf = False
        return greeting

    def _pair(self, code: int, end: int) -> Answer | None:
        if code == 334:  # asks for more of the same command (RFC 4954, section 4)
            return Answer(code, "AUTH", "", end)
        if code == 354:  # answers DATA alone: whatever else was lost, they are in step again
            while self._asked and self._asked.take()[0] != "DATA":
                pass
            return Answer(code, "DATA", "", end)
        if not self._asked:
            return Answer(code, "", "", end)
        if self._asked.first[0] == "DATA" and code < 400:  # only 354 lets DATA through: out of step
            return None
        self._settled, argument = self._asked.take()
        return Answer(code, self._settled, argument, end)

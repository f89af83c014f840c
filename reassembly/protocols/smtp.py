"""SMTP and LMTP to e-mails: RFC 5321, 2033; PIPELINING RFC 2920, CHUNKING RFC 3030, STARTTLS RFC 3207, AUTH RFC 4954.

Between the flow and `reassembly.mime`: finds each message of a session and hands on its bytes, dots undone. The last
CRLF before the final dot belongs to the message (RFC 5321, section 4.1.1.4). The client's bytes lead; the server's
replies say which DATA was let through, and where nobody heard them the bytes themselves must.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from reassembly.builder import Origin
from reassembly.events import Close, Data, Gap, Note, Switch
from reassembly.lines import Lines, Sides, words
from reassembly.protocols import Answer, Emitted
from reassembly.smtp import grammar
from reassembly.smtp.answers import Answer as Reply
from reassembly.smtp.answers import Answers
from reassembly.smtp.dotted import DottedText, Found
from reassembly.smtp.draft import Draft
from reassembly.smtp.grammar import COMMAND, TLS_COMMANDS, Envelope
from reassembly.smtp.inbox import Inbox

NAME = "smtp"
PORTS = frozenset({24, 25, 465, 587, 2525})


def probe(orig: bytes, resp: bytes) -> Answer:
    """By the client's first command, or a greeting that says ESMTP; a greeting alone may be FTP's."""
    speaks = grammar.speaks(orig, resp)
    if speaks is None:
        return Answer.MORE
    return Answer.YES if speaks else Answer.NO


class Mode(Enum):
    """What the client's next bytes are."""

    COMMAND = "command"
    ASKED = "asked"  # DATA or STARTTLS is out, the answer is not: mail, commands or TLS
    TEXT = "text"  # mail, after DATA
    DOT = "dot"  # a lone dot between bare LFs went by: its end for one server, text for another
    LULL = "lull"  # the server answered in the middle of mail: it may have seen an end that was not seen here
    CHUNK = "chunk"  # mail, after BDAT
    OVER = "over"  # another protocol


class Parser:
    """One session. `second`: reads the mail of another parser over again, with a bare LF's lone dot as its end."""

    __slots__ = (
        "_answers", "_auth", "_bare", "_chunk", "_closed", "_commands", "_draft", "_envelope", "_inbox", "_last",
        "_lmtp", "_lost", "_mode", "_origin", "_out", "_second", "_sides", "_strict", "_text", "_torn", "_verb",
    )  # fmt: skip

    def __init__(self, origin: Origin, *, second: bool = False) -> None:
        self._origin = origin
        self._sides = Sides()
        self._mode = Mode.COMMAND
        self._commands = Lines(origin)
        self._answers = Answers(origin)
        self._inbox = Inbox(origin)  # of the client
        self._verb = ""  # of the last command
        self._closed = False  # the client has nothing more to say
        self._auth = False  # the next line is a credential
        self._bare = False  # the last command ended in a bare LF
        self._lmtp = False
        self._envelope = Envelope(origin)
        self._text = DottedText()
        self._chunk = 0  # bytes of a BDAT to come
        self._last = False
        self._draft = Draft(origin, NAME, self._envelope.facts)
        self._torn: bytes | None = None  # what follows a gap among the commands
        self._lost = 0  # its length
        self._strict = not second
        self._second: Parser | None = None
        self._out: list[Emitted] = []

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """E-mails that are complete now."""
        if self._mode is Mode.OVER:
            return []
        self._sides.learn(event)
        if event.direction == self._sides.client:
            self._inbox.put(event)
            self._drain()
        elif isinstance(event, Gap):
            self._answers.miss()
            self._drain()
        else:
            self._read_replies(event)
        return self._emit()

    def close(self, event: Close) -> list[Emitted]:
        """The client's end ends its mail, complete or not; the server's means that no reply will come."""
        self._answers.deaf = True
        self._closed = self._closed or event.direction == self._sides.client
        self._drain()
        if event.direction == self._sides.client and self._mode is not Mode.OVER:
            self._hang_up(event)
        return self._emit()

    def _emit(self) -> list[Emitted]:
        out, self._out = self._out, []
        return out

    # The client's bytes.

    def _drain(self) -> None:
        while self._inbox and self._mode is not Mode.OVER:
            if self._mode in _UNDECIDED:
                if not self._decide():
                    return
                continue
            event = self._inbox.first
            if isinstance(event, Gap):
                self._inbox.advance(0)
                self._hole(event)
            else:
                self._inbox.advance(self._consume(event, self._inbox.start))

    def _consume(self, data: Data, begin: int) -> int:
        if self._mode is Mode.TEXT:
            return self._read_text(data, begin)
        if self._mode is Mode.CHUNK:
            return self._read_chunk(data, begin)
        line, end = self._commands.take(data.payload, begin)
        if line is not None:
            self._read_command(line, data)
        return end

    def _decide(self) -> bool:
        """How to read the next bytes, where the server has not said; False while it is too early to tell."""
        if self._mode is Mode.DOT:
            self._pass_dot()
            return True
        line, enough = self._inbox.line()
        if self._mode is Mode.ASKED:
            if not self._answers.deaf and self._inbox.has_room():
                return False
            if self._verb in TLS_COMMANDS:
                if grammar.begins_tls(line):
                    self._switch()
                self._mode = Mode.OVER if grammar.begins_tls(line) else Mode.COMMAND
                return True
        if enough or self._closed:
            self._decided(COMMAND.match(line) is not None)
        return enough or self._closed

    def _decided(self, command: bool) -> None:
        if self._mode is Mode.LULL and command:
            self._end_mail(self._inbox.first.time)
        elif self._mode is Mode.LULL:
            self._mode = Mode.TEXT
        elif command:
            self._mode = Mode.COMMAND
        else:
            self._begin_text()

    # Commands.

    def _read_command(self, line: bytes, data: Data) -> None:
        if self._torn is not None and not self._is_found(line, data):
            return
        if self._auth:
            self._auth = False
            return
        self._bare = not line.endswith(b"\r\n")
        verb, _, rest = line.strip().partition(b" ")
        self._verb = verb[:16].decode("latin-1").upper()
        self._answers.ask(self._verb)
        act = _ACTS.get(self._verb)
        if act is not None:
            act(self, rest.strip(), data)

    def _is_found(self, line: bytes, data: Data) -> bool:
        """After a gap: whether this line is a command again. Mail may have begun in the gap."""
        if COMMAND.match(line):
            self._torn, self._lost = None, 0
            return True
        if self._torn == b"":
            self._torn = line
        elif self._envelope.rcpt_to:
            self._torn = (self._torn or b"") + line
            self._begin_torn(data)
        return False

    def _begin_torn(self, data: Data) -> None:
        """Mail whose beginning went by in a gap."""
        rest, lost = self._torn or b"", self._lost
        self._begin_text()
        self._text.gap()
        self._out += self._draft.gap(lost, data)
        text, _, _ = self._text.feed(rest, 0)
        self._out += self._draft.write(text, data)

    def _hello(self, rest: bytes, data: Data) -> None:
        self._lmtp = self._verb == "LHLO"
        self._give_up(data.time)
        self._envelope.greet(words(rest[: grammar.LONGEST_PATH]))

    def _mail_from(self, rest: bytes, data: Data) -> None:
        if self._envelope.mail_from is not None:
            self._find("smtp.nested_mail")
            return
        self._envelope.mail_from = grammar.path(rest)
        self._answers.ask_about(self._envelope.mail_from)

    def _rcpt_to(self, rest: bytes, data: Data) -> None:
        path = grammar.path(rest)
        self._answers.ask_about(path)
        if len(self._envelope.rcpt_to) < self._origin.limits.recipients:
            self._envelope.rcpt_to.name(path)

    def _ask_leave(self, rest: bytes, data: Data) -> None:
        if self._strict or self._verb == "DATA":
            self._mode = Mode.ASKED

    def _bdat(self, rest: bytes, data: Data) -> None:
        chunk = grammar.chunk(rest)
        if chunk is None:
            self._find("smtp.bdat_invalid")
            return
        self._chunk, self._last = chunk
        self._mode = Mode.CHUNK
        if not self._chunk:
            self._end_chunk(data.time)

    def _reset(self, rest: bytes, data: Data) -> None:
        self._give_up(data.time)
        self._envelope.clear()

    def _give_up(self, time: int) -> None:
        """RSET and EHLO end a transaction: chunks without a last one are no whole mail."""
        if self._draft:
            self._find("smtp.bdat_unfinished")
            self._out += self._draft.finish(time, "reset")

    # Mail.

    def _begin_text(self) -> None:
        if self._draft:
            self._find("smtp.bdat_data_mix")
        self._mode = Mode.TEXT
        self._text = DottedText(bare_ends=self._bare or not self._strict)
        self._torn, self._lost = None, 0

    def _read_text(self, data: Data, begin: int) -> int:
        text, end, found = self._text.feed(data.payload, begin)
        self._out += self._draft.write(text, data)
        if self._second is not None:
            piece = data.payload[begin:end]
            self._out += self._second.feed(Data(self._sides.client, piece, data.began, data.time))
        if found is Found.END:
            self._end_mail(data.time)
        elif found is Found.BARE:
            self._mode = Mode.DOT
        return end

    def _read_chunk(self, data: Data, begin: int) -> int:
        end = min(len(data.payload), begin + self._chunk)
        self._chunk -= end - begin
        self._out += self._draft.write(data.payload[begin:end], data)
        if not self._chunk:
            self._end_chunk(data.time)
        return end

    def _end_chunk(self, time: int) -> None:
        self._mode = Mode.COMMAND
        if self._last:
            self._end_mail(time, answers=0)  # the answer is the command's

    def _end_mail(self, time: int, cut: str | None = None, answers: int = 1) -> None:
        self._out += self._draft.finish(time, cut)
        if self._lmtp:  # "one reply for each previously successful RCPT command" (RFC 2033, section 4.2)
            answers += max(0, len(self._envelope.rcpt_to) - 1)
        self._answers.ask(".", answers)
        self._envelope.clear()
        self._mode = Mode.COMMAND
        if self._second is not None:
            self._out += self._second.close(Close(self._sides.client, "fin", time))
            self._second = None

    def _pass_dot(self) -> None:
        """The client goes on after a bare LF's lone dot: text, for a server as strict as RFC 5321.

        For another it was the end, so what follows is read once more, as commands.
        """
        self._find("smtp.bare_lf_dot")
        event = self._inbox.first
        self._second = Parser(self._origin, second=True)
        self._second._sides = self._sides
        self._second._envelope.helo = self._envelope.helo
        self._out += self._draft.write(self._text.lone_dot(), event)
        self._text.bare_stops = False
        self._mode = Mode.TEXT

    def _hole(self, gap: Gap) -> None:
        if self._mode is Mode.TEXT:
            self._out += self._draft.write(self._text.gap(), gap)
            self._out += self._draft.gap(gap.length, gap)
            if self._second is not None:
                self._out += self._second.feed(gap)
        elif self._mode is Mode.CHUNK:
            self._hole_in_chunk(gap)
        else:
            self._lost += gap.length + len(self._torn or b"")
            self._commands.torn()
            self._torn = b""

    def _hole_in_chunk(self, gap: Gap) -> None:
        length = min(gap.length, self._chunk)
        self._chunk -= length
        self._out += self._draft.gap(length, gap)
        if not self._chunk:
            self._end_chunk(gap.time)
        if gap.length > length:
            self._hole(Gap(gap.direction, gap.length - length, gap.time))

    def _hang_up(self, event: Close) -> None:
        if self._mode in (Mode.DOT, Mode.LULL):
            self._end_mail(event.time)
        if self._torn is not None and self._envelope.rcpt_to:
            self._torn += self._commands.torn()
            if self._torn:
                self._begin_torn(Data(self._sides.client, b"", event.time, event.time))
        if self._mode is Mode.TEXT and (held := self._text.gap()):
            self._out += self._draft.write(held, Data(self._sides.client, held, event.time, event.time))
        if self._draft:
            self._end_mail(event.time, event.how)

    # The server's replies.

    def _read_replies(self, data: Data) -> None:
        for answer in self._answers.read(data):
            if self._mode is not Mode.OVER:
                self._heed(answer, data)
                self._drain()

    def _heed(self, answer: Reply, data: Data) -> None:
        awaited = self._mode is Mode.ASKED and self._verb == answer.verb
        if answer.code == 334:
            self._auth = True
        elif answer.code == 354:
            self._go_ahead(data)
        elif not answer.verb:
            self._end_unseen(data.time)
        elif awaited and answer.verb in TLS_COMMANDS and answer.code < 400:
            self._switch(Data(data.direction, data.payload[answer.end :], data.began, data.time))
        elif awaited:
            self._mode = Mode.COMMAND
        elif answer.code >= 400:
            self._envelope.refuse(answer.verb, answer.argument)

    def _go_ahead(self, data: Data) -> None:
        """354: whatever else was lost, the client's next bytes are mail."""
        if self._mode is Mode.ASKED and self._verb == "DATA":
            self._begin_text()
        elif self._mode is Mode.COMMAND and self._torn is not None:
            self._torn += self._commands.torn()
            self._begin_torn(Data(self._sides.client, b"", data.began, data.time))
        elif self._mode is Mode.COMMAND and self._verb in ("", "DATA"):
            self._begin_text()

    def _end_unseen(self, time: int) -> None:
        """A reply that nothing seen has asked for."""
        if self._mode is Mode.DOT:
            self._find("smtp.bare_lf_dot")
            self._end_mail(time)
            self._answers.answered()
        elif self._mode is Mode.TEXT:
            self._mode = Mode.LULL

    def _switch(self, *rest: Data) -> None:
        """What follows is TLS. Whatever was sent before it, unencrypted, is handed on with it."""
        left = self._inbox.empty()
        if left and not grammar.begins_tls(left[0].payload):
            self._find("smtp.starttls_injection")
        self._mode = Mode.OVER
        self._out.append(Note({"tapscan.smtp.starttls": True}))
        self._out.append(Switch(tuple(one for one in (*left, *rest) if one.payload)))

    def _find(self, finding: str) -> None:
        self._origin.findings[finding] = None


_UNDECIDED = (Mode.ASKED, Mode.DOT, Mode.LULL)
_ACTS: dict[str, Callable[[Parser, bytes, Data], None]] = {
    "EHLO": Parser._hello,
    "HELO": Parser._hello,
    "LHLO": Parser._hello,
    "MAIL": Parser._mail_from,
    "RCPT": Parser._rcpt_to,
    "DATA": Parser._ask_leave,
    "BDAT": Parser._bdat,
    "RSET": Parser._reset,
    "STARTTLS": Parser._ask_leave,
    "X-ANONYMOUSTLS": Parser._ask_leave,
}

"""SMTP and LMTP to e-mails: RFC 5321, 2033; PIPELINING RFC 2920, CHUNKING RFC 3030, STARTTLS RFC 3207, AUTH RFC 4954.

Between the flow and `reassembly.mime`: finds each message of a session and hands on its bytes, dots undone. The last
CRLF before the final dot belongs to the message (RFC 5321, section 4.1.1.4). The client's bytes lead; the server's
replies say which DATA was let through, and where nobody heard them the bytes themselves must.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from enum import Enum

from reassembly.builder import Origin
from reassembly.dotted import DottedText, Found
from reassembly.events import ORIG, Close, Data, Fact, Gap, Note, Switch
from reassembly.lines import Lines, reply, words
from reassembly.mime import Message
from reassembly.protocols import Answer, Emitted

NAME = "smtp"
PORTS = frozenset({24, 25, 465, 587, 2525})

_BANNER = re.compile(rb"220[ -][^\r\n]*(?:\bE?SMTP\b|\bLMTP\b)", re.IGNORECASE)
_OTHER_BANNER = re.compile(rb"220[ -][^\r\n]*\bFTP", re.IGNORECASE)
_REPLIES = re.compile(rb"(?:220|250|354|421|45[0-2]|55[0-4]|535|235|334|221)[ -]")
_OPENING = re.compile(
    rb"(?:PROXY [^\r\n]*\r\n)?(?:[EL]HLO|HELO)[ \t\r\n]|MAIL FROM:|RCPT TO:|STARTTLS\r?\n|BDAT \d|XCLIENT |XFORWARD |"
    rb"AUTH (?:PLAIN|LOGIN|CRAM-MD5|NTLM|XOAUTH2|DIGEST-MD5|SCRAM-|OAUTHBEARER)|VRFY |EXPN |ETRN ",
    re.IGNORECASE,
)
_OPENINGS = (
    b"PROXY ", b"EHLO", b"LHLO", b"HELO", b"MAIL FROM:", b"RCPT TO:", b"STARTTLS\r\n", b"BDAT ", b"XCLIENT ", b"AUTH ",
    b"XFORWARD ", b"VRFY ", b"EXPN ", b"ETRN ", b"NOOP", b"RSET", b"HELP", b"QUIT", b"DATA\r\n",
)  # fmt: skip

# A whole line that can only be a command: what tells commands from mail where no reply does.
_COMMAND = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO|VRFY|EXPN|ETRN|AUTH)[ \t][^\r\n]+|MAIL FROM:[^\r\n]*|RCPT TO:[^\r\n]*|BDAT \d+(?: LAST)?|"
    rb"NOOP[^\r\n]*|HELP[^\r\n:]*|DATA|RSET|QUIT|STARTTLS)[ \t]*\r?\n",
    re.IGNORECASE,
)
_PATH = re.compile(rb"[^:]*:\s*(?:<((?:\"(?:[^\"\\]|\\.)*\"|[^>\"])*)>?|(\S*))")
_CHUNK = re.compile(rb"([0-9]{1,18})(?:[ \t]+(LAST))?[ \t]*$", re.IGNORECASE)
LONGEST_GLANCE = 512  # of a line that is looked at to tell commands from mail; RFC 5321, section 4.5.3.1.4
LONGEST_PATH = 1024  # of an address kept; RFC 5321 has 256, UTF-8 and routes make them longer
PIECE = 128  # what a piece of waiting data costs beyond its bytes

_TLS = ("STARTTLS", "X-ANONYMOUSTLS")


def probe(orig: bytes, resp: bytes) -> Answer:
    """By the client's first command, or a greeting that says ESMTP; a greeting alone may be FTP's."""
    if _OPENING.match(orig):
        return Answer.YES
    if resp and not (_REPLIES.match(resp) or (len(resp) < 4 and resp.isdigit())):
        return Answer.NO
    upper = orig[:16].upper()
    if orig and not any(upper.startswith(one) or one.startswith(upper) for one in _OPENINGS):
        return Answer.NO
    if _BANNER.match(resp):
        return Answer.YES
    return Answer.NO if _OTHER_BANNER.match(resp) else Answer.MORE


class Mode(Enum):
    """What the client's next bytes are."""

    COMMAND = "command"
    ASKED = "asked"  # DATA or STARTTLS is out, the answer is not: mail, commands or TLS
    TEXT = "text"  # mail, after DATA
    DOT = "dot"  # a lone dot between bare LFs went by: its end for one server, text for another
    LULL = "lull"  # the server answered in the middle of mail: it may have seen an end that was not seen here
    CHUNK = "chunk"  # mail, after BDAT
    OVER = "over"  # another protocol


class Envelope:
    """One mail transaction (RFC 5321, section 3.3)."""

    __slots__ = ("helo", "mail_from", "rcpt_to")

    def __init__(self) -> None:
        self.helo: str | None = None
        self.clear()

    def clear(self) -> None:
        self.mail_from: str | None = None
        self.rcpt_to: list[str] = []

    def facts(self) -> dict[str, Fact]:
        facts: dict[str, Fact] = {}
        if self.helo:
            facts["tapscan.smtp.helo"] = self.helo
        if self.mail_from is not None:
            facts["tapscan.smtp.mail_from"] = self.mail_from
        if self.rcpt_to:
            facts["tapscan.smtp.rcpt_to"] = list(self.rcpt_to)
        return facts


class Parser:
    """One session. `second`: reads the mail of another parser over again, with a bare LF's lone dot as its end."""

    __slots__ = (
        "_asked", "_auth", "_bare", "_chunk", "_client", "_closed", "_commands", "_deaf", "_envelope", "_greeted",
        "_inbox", "_known", "_last", "_lmtp", "_lost", "_mail", "_mode", "_origin", "_out", "_replies", "_second",
        "_start", "_strict", "_text", "_torn", "_verb", "_waiting",
    )  # fmt: skip

    def __init__(self, origin: Origin, *, second: bool = False) -> None:
        self._origin = origin
        self._client = ORIG
        self._known = False  # which side the client is
        self._mode = Mode.COMMAND
        self._commands = Lines(origin.memory)
        self._replies = Lines(origin.memory)
        self._inbox: deque[Data | Gap] = deque()  # of the client, not consumed
        self._start = 0  # offset in the first of them
        self._waiting = 0  # their bytes, and what each costs
        self._asked: deque[tuple[str, str]] = deque(maxlen=origin.limits.pending_requests)  # commands unanswered
        self._verb = ""  # of the last command
        self._greeted = False
        self._deaf = True  # no reply is to be heard: bytes decide
        self._closed = False  # the client has nothing more to say
        self._auth = False  # the next line is a credential
        self._bare = False  # the last command ended in a bare LF
        self._lmtp = False
        self._envelope = Envelope()
        self._text = DottedText()
        self._chunk = 0  # bytes of a BDAT to come
        self._last = False
        self._mail: Message | None = None
        self._torn: bytes | None = None  # what follows a gap among the commands
        self._lost = 0  # its length
        self._strict = not second
        self._second: Parser | None = None
        self._out: list[Emitted] = []

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """E-mails that are complete now."""
        if self._mode is Mode.OVER:
            return []
        self._learn_sides(event)
        if event.direction == self._client:
            self._inbox.append(event)
            self._waiting += PIECE + (len(event.payload) if isinstance(event, Data) else 0)
            self._drain()
        elif isinstance(event, Gap):
            self._miss_replies()
        else:
            self._read_replies(event)
        return self._emit()

    def close(self, event: Close) -> list[Emitted]:
        """The client's end ends its mail, complete or not; the server's means that no reply will come."""
        self._deaf = True
        self._closed = self._closed or event.direction == self._client
        self._drain()
        if event.direction == self._client and self._mode is not Mode.OVER:
            self._hang_up(event)
        return self._emit()

    def _emit(self) -> list[Emitted]:
        out, self._out = self._out, []
        return out

    def _learn_sides(self, event: Data | Gap) -> None:
        """Picked up midstream, the server may have come first: it speaks in digits, the client in letters."""
        if not self._known:
            self._known = True
            if isinstance(event, Data) and event.payload[:1].isdigit() == (event.direction == ORIG):
                self._client = 1 - self._client

    # The client's bytes.

    def _drain(self) -> None:
        while self._inbox and self._mode is not Mode.OVER:
            if self._mode in _UNDECIDED:
                if not self._decide():
                    return
                continue
            event = self._inbox[0]
            if isinstance(event, Gap):
                self._inbox.popleft()
                self._waiting -= PIECE
                self._hole(event)
            else:
                self._consume(event)

    def _consume(self, data: Data) -> None:
        begin = self._start
        if self._mode is Mode.TEXT:
            self._start = self._read_text(data, begin)
        elif self._mode is Mode.CHUNK:
            self._start = self._read_chunk(data, begin)
        else:
            line, self._start = self._commands.take(data.payload, begin)
            if line is not None:
                self._read_command(line, data)
        self._waiting -= self._start - begin
        if self._start >= len(data.payload):
            self._inbox.popleft()
            self._waiting -= PIECE
            self._start = 0

    def _ahead(self) -> bytes:
        """The client's next line or its beginning, as far as it is here; nothing where bytes are missing."""
        line = bytearray()
        start = self._start
        for event in self._inbox:
            if isinstance(event, Gap) or len(line) >= LONGEST_GLANCE or b"\n" in line:
                break
            line += event.payload[start : start + LONGEST_GLANCE - len(line)]
            start = 0
        return bytes(line[: line.find(b"\n") + 1 or LONGEST_GLANCE])

    def _decide(self) -> bool:
        """Whether the next bytes are mail, where the server has not said; False while it is too early to tell."""
        if self._mode is Mode.ASKED and not self._deaf and self._waiting <= self._origin.limits.undecided_bytes:
            return False
        line = self._ahead()
        if self._mode is Mode.ASKED and self._verb in _TLS:
            self._after_starttls(line)
            return True
        whole = self._closed or line.endswith(b"\n") or len(line) >= LONGEST_GLANCE
        if not whole and not any(isinstance(event, Gap) for event in self._inbox):
            return False
        command = _COMMAND.match(line) is not None
        if self._mode is Mode.ASKED:
            if command:
                self._mode = Mode.COMMAND
            else:
                self._begin_text()
        elif self._mode is Mode.DOT:
            self._pass_dot(command)
        elif command:
            self._end_mail(self._inbox[0].time)
        else:
            self._mode = Mode.TEXT
        return True

    def _after_starttls(self, line: bytes) -> None:
        if line[:1] in (b"", b"\x16", b"\x80"):
            self._switch(())
        else:
            self._mode = Mode.COMMAND

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
        self._asked.append((self._verb, ""))
        act = _ACTS.get(self._verb)
        if act is not None:
            act(self, rest.strip(), data)

    def _is_found(self, line: bytes, data: Data) -> bool:
        """After a gap: whether this line is a command again. Mail may have begun in the gap."""
        if _COMMAND.match(line):
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
        self._out += self._opened(data).gap(lost, data.time)
        text, _, _ = self._text.feed(rest, 0)
        self._write(text, data)

    def _hello(self, rest: bytes, data: Data) -> None:
        self._lmtp = self._verb == "LHLO"
        self._abandon(data.time)
        self._envelope.helo = words(rest[:LONGEST_PATH])

    def _mail_from(self, rest: bytes, data: Data) -> None:
        if self._envelope.mail_from is not None:
            self._find("smtp.nested_mail")
            return
        self._envelope.mail_from = _path(rest)
        self._asked[-1] = ("MAIL", self._envelope.mail_from)

    def _rcpt_to(self, rest: bytes, data: Data) -> None:
        path = _path(rest)
        self._asked[-1] = ("RCPT", path)
        if len(self._envelope.rcpt_to) < self._origin.limits.recipients:
            self._envelope.rcpt_to.append(path)

    def _data(self, rest: bytes, data: Data) -> None:
        self._mode = Mode.ASKED

    def _starttls(self, rest: bytes, data: Data) -> None:
        if self._strict:
            self._mode = Mode.ASKED

    def _bdat(self, rest: bytes, data: Data) -> None:
        match = _CHUNK.match(rest)
        if match is None:
            self._find("smtp.bdat_invalid")
            return
        self._chunk, self._last = int(match[1]), match[2] is not None
        self._mode = Mode.CHUNK
        if not self._chunk:
            self._end_chunk(data.time)

    def _reset(self, rest: bytes, data: Data) -> None:
        self._abandon(data.time)

    def _abandon(self, time: int) -> None:
        """RSET, EHLO and the end give up a transaction: chunks without a last one are no whole mail."""
        if self._mail is not None:
            self._find("smtp.bdat_unfinished")
            self._out += self._mail.finish(time, "reset")
            self._mail = None
        self._envelope.clear()

    # Mail.

    def _begin_text(self) -> None:
        if self._mail is not None:
            self._find("smtp.bdat_data_mix")
        self._mode = Mode.TEXT
        self._text = DottedText(bare_ends=self._bare or not self._strict)
        self._torn, self._lost = None, 0

    def _read_text(self, data: Data, begin: int) -> int:
        text, end, found = self._text.feed(data.payload, begin)
        self._write(text, data)
        if self._second is not None:
            piece = data.payload[begin:end]
            self._out += self._second.feed(Data(self._client, piece, data.began, data.time))
        if found is Found.END:
            self._end_mail(data.time)
        elif found is Found.BARE:
            self._mode = Mode.DOT
        return end

    def _read_chunk(self, data: Data, begin: int) -> int:
        end = min(len(data.payload), begin + self._chunk)
        self._chunk -= end - begin
        self._write(data.payload[begin:end], data)
        if not self._chunk:
            self._end_chunk(data.time)
        return end

    def _end_chunk(self, time: int) -> None:
        self._mode = Mode.COMMAND
        if self._last:
            self._end_mail(time, answers=0)  # the answer is the command's

    def _opened(self, event: Data | Gap) -> Message:
        if self._mail is None:
            began = event.began if isinstance(event, Data) else event.time
            self._mail = Message(self._origin, self._client, NAME, began, self._envelope.facts())
        return self._mail

    def _write(self, text: bytes, data: Data) -> None:
        if text:
            self._out += self._opened(data).feed(text, data.time)

    def _end_mail(self, time: int, cut: str | None = None, answers: int = 1) -> None:
        if self._mail is not None:
            self._out += self._mail.finish(time, cut)
            self._mail = None
        if self._lmtp:  # "one reply for each previously successful RCPT command" (RFC 2033, section 4.2)
            answers += max(0, len(self._envelope.rcpt_to) - 1)
        self._asked.extend([(".", "")] * answers)
        self._envelope.clear()
        self._mode = Mode.COMMAND
        if self._second is not None:
            self._out += self._second.close(Close(self._client, "fin", time))
            self._second = None

    def _pass_dot(self, command: bool) -> None:
        """A bare LF's lone dot is text for a server as strict as RFC 5321; commands behind it are read as such too."""
        self._find("smtp.bare_lf_dot")
        event = self._inbox[0]
        if command and self._second is None:
            self._second = Parser(self._origin, second=True)
            self._second._known, self._second._client = True, self._client
            self._second._envelope.helo = self._envelope.helo
        if isinstance(event, Data):
            self._write(self._text.lone_dot(), event)
        self._mode = Mode.TEXT

    def _hole(self, gap: Gap) -> None:
        if self._mode is Mode.TEXT:
            held = self._text.gap()
            if held:
                self._out += self._opened(gap).feed(held, gap.time)
            self._out += self._opened(gap).gap(gap.length, gap.time)
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
        self._out += self._opened(gap).gap(length, gap.time)
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
                self._begin_torn(Data(self._client, b"", event.time, event.time))
        if self._mode is Mode.TEXT and (held := self._text.gap()):
            self._write(held, Data(self._client, held, event.time, event.time))
        if self._mail is not None:
            self._end_mail(event.time, event.how)

    # The server's replies.

    def _read_replies(self, data: Data) -> None:
        start = 0
        while start < len(data.payload) and self._mode is not Mode.OVER:
            line, start = self._replies.take(data.payload, start)
            answer = reply(line) if line is not None else None
            if answer is not None and answer[1]:
                self._heed(answer[0], data, start)

    def _heed(self, code: int, data: Data, start: int) -> None:
        greeting, self._greeted = not self._greeted, True
        if self._asked or self._mode is not Mode.ASKED:
            self._deaf = False
        if greeting and code == 220 and not (self._asked and self._asked[0][0] in _TLS):
            return
        if code == 334:
            self._auth = True
        elif code == 354:
            self._go_ahead(data)
        elif not self._asked:
            self._end_unseen(data.time)
        elif not (self._asked[0][0] == "DATA" and code < 400):  # nothing but 354 lets DATA through: out of step
            verb, argument = self._asked.popleft()
            self._answer(verb, argument, code, (data, start))
        self._drain()

    def _answer(self, verb: str, argument: str, code: int, rest: tuple[Data, int]) -> None:
        refused = code >= 400
        if verb in _TLS and self._mode is Mode.ASKED and self._verb == verb:
            if refused:
                self._mode = Mode.COMMAND
            else:
                data, start = rest
                self._switch((Data(data.direction, data.payload[start:], data.began, data.time),))
        elif verb == "DATA" and self._mode is Mode.ASKED and self._verb == verb:
            self._mode = Mode.COMMAND
        elif verb == "MAIL" and refused and self._envelope.mail_from == argument:
            self._envelope.mail_from = None
        elif verb == "RCPT" and refused and argument in self._envelope.rcpt_to:
            self._envelope.rcpt_to.remove(argument)

    def _go_ahead(self, data: Data) -> None:
        """354: whatever else was lost, the client's next bytes are mail."""
        while self._asked and self._asked.popleft()[0] != "DATA":
            pass
        if self._mode is Mode.ASKED and self._verb == "DATA":
            self._begin_text()
        elif self._mode is Mode.COMMAND and self._torn is not None:
            self._torn += self._commands.torn()
            self._begin_torn(Data(self._client, b"", data.began, data.time))
        elif self._mode is Mode.COMMAND and self._verb in ("", "DATA"):
            self._begin_text()

    def _end_unseen(self, time: int) -> None:
        """A reply that nothing seen has asked for."""
        if self._mode is Mode.DOT:
            self._find("smtp.bare_lf_dot")
            self._end_mail(time)
            self._asked.popleft()
        elif self._mode is Mode.TEXT:
            self._mode = Mode.LULL

    def _miss_replies(self) -> None:
        self._replies.torn()
        self._asked.clear()
        self._deaf = True
        self._drain()

    def _switch(self, rest: tuple[Data, ...]) -> None:
        """What follows is TLS. Whatever was sent before it, unencrypted, is handed on with it."""
        left = [event for event in self._inbox if isinstance(event, Data)]
        if left and self._start and left[0] is self._inbox[0]:
            first = left[0]
            left[0] = Data(first.direction, first.payload[self._start :], first.began, first.time)
        if left and left[0].payload[:1] not in (b"\x16", b"\x80"):
            self._find("smtp.starttls_injection")
        self._mode = Mode.OVER
        self._inbox.clear()
        self._out.append(Note({"tapscan.smtp.starttls": True}))
        self._out.append(Switch(tuple(one for one in (*left, *rest) if one.payload)))

    def _find(self, finding: str) -> None:
        self._origin.findings[finding] = None


def _path(rest: bytes) -> str:
    """The address of `FROM:<a@b> SIZE=1`, also without its brackets."""
    match = _PATH.match(rest)
    return words((match[1] if match[1] is not None else match[2] or b"")[:LONGEST_PATH]) if match else ""


_UNDECIDED = (Mode.ASKED, Mode.DOT, Mode.LULL)
_ACTS: dict[str, Callable[[Parser, bytes, Data], None]] = {
    "EHLO": Parser._hello,
    "HELO": Parser._hello,
    "LHLO": Parser._hello,
    "MAIL": Parser._mail_from,
    "RCPT": Parser._rcpt_to,
    "DATA": Parser._data,
    "BDAT": Parser._bdat,
    "RSET": Parser._reset,
    "STARTTLS": Parser._starttls,
    "X-ANONYMOUSTLS": Parser._starttls,
}

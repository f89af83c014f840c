"""FTP control connections: RFC 959; IPv6 and NAT RFC 2428, MLSD RFC 3659, AUTH TLS RFC 4217, UTF-8 RFC 2640.

Gives no objects itself. It announces each data connection with an `Expect`, whose facts it goes on filling: the address
comes with one command, the file's name with the next, the outcome with a reply.
"""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Callable

from reassembly.builder import Origin
from reassembly.events import Close, Data, Expect, Fact, Gap, Note, Switch
from reassembly.lines import Lines, Sides, reply, words
from reassembly.protocols import Answer, Emitted
from reassembly.waiting import Waiting

NAME = "ftp"
PORTS = frozenset({21, 2121})
LONGEST_ARGUMENT = 4096  # of a command kept: PATH_MAX of Linux
_MOST_OPEN = 20  # clients wait for the place
_CHANNEL_COST = 512  # of a channel and its facts, without the path

_BANNER = re.compile(rb"(?:120|220)[ -][^\r\n]*(?:\bFTP|FTPD?\b|FileZilla)", re.IGNORECASE)
_MAIL_BANNER = re.compile(rb"220[ -][^\r\n]*\bE?SMTP\b", re.IGNORECASE)
_REPLY = re.compile(rb"[1-6][0-9]{2}[ -]")
_OPENING = re.compile(
    rb"(?:AUTH (?:TLS|SSL|TLS-[CP]|GSSAPI)|USER [^\r\n]*|FEAT|SYST|HOST [^\r\n]+|PASV|EPSV(?: [^\r\n]*)?|"
    rb"TYPE [AIEL][^\r\n]*|PORT (?:\d+,){5}\d+|EPRT [^\r\n]+|CWD [^\r\n]+|MLSD[^\r\n]*|PBSZ 0|CLNT [^\r\n]+)\r?\n",
    re.IGNORECASE,
)
_IRC_USER = re.compile(rb"USER [^ \r\n]+ [^ \r\n]+ [^ \r\n]+ :", re.IGNORECASE)
_VERB = re.compile(rb"[A-Za-z]{3,4}[ \r\n]|[A-Za-z]{0,4}$")

# "host-port" of PORT and 227: six numbers; RFC 1123, section 4.1.2.6, has users search 227 for digits.
_HOST_PORT = re.compile(rb"(?<!\d)(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3}),(\d{1,3})(?!\d)")
_EXTENDED = re.compile(rb"\(\D{0,3}(\d{1,5})\D?\)")  # 229, RFC 2428, section 3: (|||port|)
_EPRT = re.compile(rb"([!-~])([12])\1([0-9A-Fa-f:.]{2,45})\1(\d{1,5})\1")  # RFC 2428, section 2
_STORED_AS = re.compile(rb"FILE: *([^\r\n]+)", re.IGNORECASE)  # of STOU; RFC 1123, section 4.1.2.9
_SENT_AS = re.compile(rb"(?:connection )?for ([^\r\n]+?)(?: \(\d+ bytes\))?\.?\r?\n", re.IGNORECASE)
_TELNET = re.compile(rb"\xff(?:[\xfb-\xfe].|[^\xff])", re.DOTALL)  # RFC 854: ABOR is sent behind IAC IP, IAC DM

_TRANSFERS = frozenset(("RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"))


def probe(orig: bytes, resp: bytes) -> Answer:
    """By the greeting when it says FTP, else by a command that no mail session has."""
    if resp and not (_REPLY.match(resp) or (len(resp) < 4 and resp.isdigit())):
        return Answer.NO
    if orig and (_IRC_USER.match(orig) or not _VERB.match(orig)):
        return Answer.NO
    if _BANNER.match(resp):
        return Answer.YES
    if _MAIL_BANNER.match(resp):
        return Answer.NO
    if _OPENING.match(orig) and (resp or b"\n" in orig[:-1]):
        return Answer.YES
    return Answer.MORE


class Channel:
    """One data connection: where it will be, and the facts of the transfer it is for."""

    __slots__ = ("addresses", "facts", "passive", "port", "taken")

    def __init__(self, *, passive: bool) -> None:
        self.passive = passive
        self.addresses: tuple[bytes, ...] = ()
        self.port = 0  # 0: not known yet
        self.facts: dict[str, Fact] = {}
        self.taken = False  # a transfer command uses it

    def again(self) -> Channel:
        """The same place for the next transfer."""
        other = Channel(passive=self.passive)
        other.addresses, other.port = self.addresses, self.port
        return other

    def expects(self, by: str) -> list[Emitted]:
        """What the flow table should look out for. `by`: id of the flow that says so."""
        return [Expect(address, self.port, "ftp-data", self.facts, by) for address in self.addresses if self.port]


class Parser:
    """One session: commands, replies, and which data connection belongs to which."""

    __slots__ = (
        "_asked", "_channel", "_code", "_commands", "_greeted", "_open", "_origin", "_out", "_over", "_replies",
        "_rest", "_sides", "_user",
    )  # fmt: skip

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._sides = Sides()
        self._commands = Lines(origin)
        self._replies = Lines(origin)
        self._code = 0  # of a reply of several lines that is not over
        self._greeted = False
        self._over = False  # TLS from here
        self._asked: Waiting[tuple[str, Channel | None]] = Waiting(origin)
        self._open: deque[Channel] = deque(maxlen=_MOST_OPEN)  # passive, without their reply
        self._channel: Channel | None = None  # of the next transfer command
        self._user: str | None = None
        self._rest: int | None = None
        self._out: list[Emitted] = []

    def feed(self, event: Data | Gap) -> list[Emitted]:
        """Data connections that were announced."""
        if self._over:
            return []
        self._sides.learn(event)
        if isinstance(event, Gap):
            self._miss(event)
        else:
            self._read(event)
        out, self._out = self._out, []
        return out

    def close(self, event: Close) -> list[Emitted]:
        """Nothing is left open: transfers are other flows."""
        return []

    def _miss(self, gap: Gap) -> None:
        if gap.direction == self._sides.client:
            self._commands.torn()
            return
        self._replies.torn()
        self._code = 0
        self._asked.clear()

    def _read(self, data: Data) -> None:
        lines = self._commands if data.direction == self._sides.client else self._replies
        start = 0
        while start < len(data.payload) and not self._over:
            line, start = lines.take(data.payload, start)
            if line is None:
                return
            if lines is self._commands:
                self._command(line)
            else:
                self._reply(line, data, start)

    # Commands.

    def _command(self, line: bytes) -> None:
        verb, _, argument = _TELNET.sub(b"", line).strip(b"\r\n").lstrip().partition(b" ")
        name = verb[:8].decode("latin-1").upper()
        argument = argument[:LONGEST_ARGUMENT]
        self._asked.add((name, None), 0)
        if name in _TRANSFERS:
            self._transfer(name, argument)
        elif name in _ACTS:
            _ACTS[name](self, argument)

    def _login(self, argument: bytes) -> None:
        self._user = words(argument.strip())
        self._out.append(Note({"tapscan.ftp.user": self._user}))

    def _restart(self, argument: bytes) -> None:
        digits = argument.strip()
        self._rest = int(digits) if digits.isdigit() and len(digits) < 19 else None

    def _passive(self, argument: bytes) -> None:
        if argument.strip().upper() == b"ALL":  # EPSV ALL only promises to use no other (RFC 2428, section 4)
            return
        self._channel = Channel(passive=True)
        self._open.append(self._channel)
        self._asked.change(("PASV", self._channel), _CHANNEL_COST)

    def _port(self, argument: bytes) -> None:
        match = _HOST_PORT.match(argument.strip())
        if match is not None and (place := _place(match)) is not None:
            self._listen(*place)

    def _extended_port(self, argument: bytes) -> None:
        match = _EPRT.match(argument.strip())
        if match is None or int(match[4]) > 65535:
            return
        try:
            address = socket.inet_pton(socket.AF_INET if match[2] == b"1" else socket.AF_INET6, match[3].decode())
        except OSError:
            return
        self._listen(address, int(match[4]))

    def _listen(self, address: bytes, port: int) -> None:
        """The client waits for the server there (active mode)."""
        self._channel = Channel(passive=False)
        self._settle(self._channel, address, port, self._sides.client, "ftp.port_address")

    def _settle(self, channel: Channel, address: bytes | None, port: int, side: int, finding: str) -> None:
        """A channel's place is known. Behind NAT the address of the control connection is the one to be seen."""
        own = self._origin.flow.resp_ip if side else self._origin.flow.orig_ip
        channel.addresses = (own,) if address is None or address == own else (own, address)
        channel.port = port
        if len(channel.addresses) > 1:
            self._origin.findings[finding] = None
        self._out += channel.expects(self._origin.flow.id)

    def _transfer(self, name: str, argument: bytes) -> None:
        channel = self._channel
        if channel is None:
            return
        if channel.taken:
            channel = self._channel = channel.again()
            self._out += channel.expects(self._origin.flow.id)
        channel.taken = True
        self._asked.change((name, channel), _CHANNEL_COST + len(argument))
        channel.facts["tapscan.ftp.command"] = name
        if name in ("RETR", "STOR", "APPE") and argument:
            channel.facts["tapscan.ftp.path"] = words(argument)
        if self._user is not None:
            channel.facts["tapscan.ftp.user"] = self._user
        if self._rest:
            channel.facts["tapscan.ftp.rest"] = self._rest
        self._rest = None

    # Replies.

    def _reply(self, line: bytes, data: Data, start: int) -> None:
        answer = reply(line)
        if self._code:  # "the last line must begin with the same code, followed immediately by Space"
            if answer != (self._code, True):
                return
            self._code = 0
        elif answer is None:
            return
        elif not answer[1]:
            self._code = answer[0]
            return
        self._heed(answer[0], line, data, start)

    def _heed(self, code: int, line: bytes, data: Data, start: int) -> None:
        greeting, self._greeted = not self._greeted, True
        if greeting and code in (120, 220):
            return
        if code in (227, 229):
            self._entered_passive(code, line)
        if 100 <= code < 200:
            self._under_way(line)
            return
        verb, channel = self._asked.take() if self._asked else ("", None)
        if code == 234 and verb in ("AUTH", ""):
            self._switch(data, start)
        elif verb == "PASV":
            if code >= 400 and channel is not None and channel in self._open:
                self._open.remove(channel)
        elif channel is not None:
            channel.facts["tapscan.ftp.reply_code"] = code
            if code >= 500 or code == 450:
                self._failed(channel)

    def _entered_passive(self, code: int, line: bytes) -> None:
        channel = self._open.popleft() if self._open else Channel(passive=True)
        place: tuple[bytes | None, int] | None = None
        if code == 227 and (found := _HOST_PORT.search(line, 4)) is not None:
            place = _place(found)
        elif code == 229 and (found := _EXTENDED.search(line)) is not None and int(found[1]) <= 65535:
            place = (None, int(found[1]))
        if place is None:
            return
        if self._channel is None:
            self._channel = channel
        self._settle(channel, *place, 1 - self._sides.client, "ftp.pasv_address")

    def _under_way(self, line: bytes) -> None:
        """1xx: the transfer begins; the server may say what it calls the file."""
        name, channel = self._asked.first if self._asked else ("", self._channel)
        if channel is None or "tapscan.ftp.path" in channel.facts:
            return
        if name in ("STOU", "STOR") and (match := _STORED_AS.search(line)):
            channel.facts["tapscan.ftp.path"] = words(match[1].strip())
        elif name in ("", "STOU") and (match := _SENT_AS.search(line)):
            channel.facts["tapscan.ftp.path"] = words(match[1].strip(b" \"'"))

    def _failed(self, channel: Channel) -> None:
        """No transfer: the next command may use the channel (pyftpdlib and others keep it open)."""
        if channel is self._channel:
            channel.taken = False
            channel.facts.clear()

    def _switch(self, data: Data, start: int) -> None:
        self._over = True
        rest = data.payload[start:]
        self._out.append(Note({"tapscan.ftp.auth_tls": True}))
        self._out.append(Switch((Data(data.direction, rest, data.began, data.time),) if rest else ()))


def _place(match: re.Match[bytes]) -> tuple[bytes, int] | None:
    numbers = [int(number) for number in match.groups()]
    if max(numbers) > 255:
        return None
    return bytes(numbers[:4]), numbers[4] << 8 | numbers[5]


_ACTS: dict[str, Callable[[Parser, bytes], None]] = {
    "USER": Parser._login,
    "REST": Parser._restart,
    "PASV": Parser._passive,
    "EPSV": Parser._passive,
    "PORT": Parser._port,
    "EPRT": Parser._extended_port,
}

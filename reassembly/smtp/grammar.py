"""What SMTP's lines look like: RFC 5321, section 4.1; BDAT RFC 3030. Written as tolerant as servers read it."""

from __future__ import annotations

import re

from reassembly.events import Fact
from reassembly.lines import words
from reassembly.partial import Partial, Place

LONGEST_PATH = 1024  # of an address kept; RFC 5321 has 256, UTF-8 and routes make them longer
_FEW = 10  # recipients
_COST = 64  # what one costs beyond its bytes
TLS_COMMANDS = ("STARTTLS", "X-ANONYMOUSTLS")  # RFC 3207; between Exchange servers

_GREETING = re.compile(rb"220[ -][^\r\n]*(?:\bE?SMTP\b|\bLMTP\b)", re.IGNORECASE)
_FTP_GREETING = re.compile(rb"220[ -][^\r\n]*\bFTP", re.IGNORECASE)
_REPLY = re.compile(rb"(?:220|250|354|421|45[0-2]|55[0-4]|535|235|334|221)[ -]")

# Commands that begin a session or show one, and that no other protocol has.
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
COMMAND = re.compile(
    rb"(?:(?:EHLO|HELO|LHLO|VRFY|EXPN|ETRN|AUTH)[ \t][^\r\n]+|MAIL FROM:[^\r\n]*|RCPT TO:[^\r\n]*|BDAT \d+(?: LAST)?|"
    rb"NOOP[^\r\n]*|HELP[^\r\n:]*|DATA|RSET|QUIT|STARTTLS)[ \t]*\r?\n",
    re.IGNORECASE,
)
_PATH = re.compile(rb"[^:]*:\s*(?:<((?:\"(?:[^\"\\]|\\.)*\"|[^>\"])*)>?|(\S*))")
_CHUNK = re.compile(rb"([0-9]{1,18})(?:[ \t]+(LAST))?[ \t]*$", re.IGNORECASE)


def speaks(orig: bytes, resp: bytes) -> bool | None:
    """Whether a client and a server that begin like this speak SMTP; None when it is too early to say."""
    if _OPENING.match(orig):
        return True
    if resp and not (_REPLY.match(resp) or (len(resp) < 4 and resp.isdigit())):
        return False
    upper = orig[:16].upper()
    if orig and not any(upper.startswith(one) or one.startswith(upper) for one in _OPENINGS):
        return False
    if _GREETING.match(resp):
        return True
    return False if _FTP_GREETING.match(resp) else None


def path(rest: bytes) -> str:
    """The address of `FROM:<a@b> SIZE=1`, also without its brackets."""
    match = _PATH.match(rest)
    return words((match[1] if match[1] is not None else match[2] or b"")[:LONGEST_PATH]) if match else ""


def chunk(rest: bytes) -> tuple[int, bool] | None:
    """Size of a BDAT's chunk in bytes and whether it is the last; None when that is not what it says."""
    match = _CHUNK.match(rest)
    return (int(match[1]), match[2] is not None) if match else None


def begins_tls(head: bytes) -> bool:
    """Whether a client's bytes are a TLS record or an SSL 2.0 hello; also where they are missing."""
    return head[:1] in (b"", b"\x16", b"\x80")


class Recipients(list[str]):
    """Those of one mail. More than a few need room, which all flows share."""

    __slots__ = ("_held", "_place")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._held: Partial | None = None

    def name(self, path: str) -> None:
        """One more, if there is room."""
        if len(self) >= _FEW and self._held is None:
            self._held = Partial(self._place)
        if self._held is None or self._held.takes(len(path) + _COST):
            self.append(path)


class Envelope:
    """One mail transaction (RFC 5321, section 3.3)."""

    __slots__ = ("_before", "_place", "helo", "mail_from", "rcpt_to")

    def __init__(self, place: Place) -> None:
        self._place = place
        self.helo: str | None = None
        self._before: tuple[str | None, str | None, Recipients] = (None, None, Recipients(place))
        self.clear()

    def greet(self, helo: str) -> None:
        """EHLO or HELO: the server forgets the transaction, if it takes it."""
        self._before = (self.helo, self.mail_from, self.rcpt_to)
        self.helo = helo
        self.clear()

    def clear(self) -> None:
        """The transaction is over, the session goes on."""
        self.mail_from: str | None = None
        self.rcpt_to = Recipients(self._place)

    def refuse(self, verb: str, argument: str) -> None:
        """The server did not take this greeting, sender or recipient.

        "The SMTP server MUST stay in the same state [...] that it was in before the EHLO was received."
        """
        if verb in ("EHLO", "HELO", "LHLO") and self.mail_from is None:
            self.helo, self.mail_from, self.rcpt_to = self._before
        elif verb == "MAIL" and self.mail_from == argument:
            self.mail_from = None
        elif verb == "RCPT" and argument in self.rcpt_to:
            self.rcpt_to.remove(argument)

    def facts(self) -> dict[str, Fact]:
        """What the message's objects say of it."""
        facts: dict[str, Fact] = {}
        if self.helo:
            facts["tapscan.smtp.helo"] = self.helo
        if self.mail_from is not None:
            facts["tapscan.smtp.mail_from"] = self.mail_from
        if self.rcpt_to:
            facts["tapscan.smtp.rcpt_to"] = list(self.rcpt_to)
        return facts

"""A user reads one mail, saves the file that is attached to another, and stores a draft."""

from collections.abc import Iterator

from capture import Conversation
from scapy.packet import Packet

MAIL = b"From: alice@example.net\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nAt noon?\r\n"
DRAFT = b"From: bob@example.org\r\nTo: alice@example.net\r\nSubject: Re: lunch\r\n\r\nYes.\r\n"
TABLE = b"YSxiCjEsMgo=\r\n"
STRUCTURE = (
    b'(("TEXT" "PLAIN" ("CHARSET" "UTF-8") NIL NIL "7BIT" 14 1 NIL NIL NIL)'
    b'("TEXT" "CSV" ("NAME" "list.csv") NIL NIL "BASE64" 14 1 NIL ("ATTACHMENT" ("FILENAME" "list.csv")) NIL) "MIXED")'
)


def packets() -> Iterator[Packet]:
    """One connection."""
    flow = Conversation("192.0.2.10:41011", "198.51.100.25:143")
    yield from flow.open()
    yield from flow.talk(
        b"* OK [CAPABILITY IMAP4rev1 LITERAL+] ready\r\n",
        b"a1 LOGIN bob not-shown\r\n",
        b"a1 OK done\r\n",
        b"a2 SELECT INBOX\r\n",
        b"* 2 EXISTS\r\n* OK [UIDVALIDITY 1] valid\r\na2 OK [READ-WRITE] done\r\n",
        b"a3 UID FETCH 7 (BODY.PEEK[])\r\na4 FETCH 2 (UID BODYSTRUCTURE)\r\n",
        b"* 1 FETCH (UID 7 BODY[] {%d}\r\n%b FLAGS (\\Seen))\r\na3 OK done\r\n" % (len(MAIL), MAIL)
        + b"* 2 FETCH (UID 8 BODYSTRUCTURE "
        + STRUCTURE
        + b")\r\na4 OK done\r\n",
        b"a5 FETCH 2 BODY.PEEK[2]\r\n",
        b"* 2 FETCH (BODY[2] {%d}\r\n%b)\r\na5 OK done\r\n" % (len(TABLE), TABLE),
        b"a6 APPEND Drafts (\\Draft) {%d}\r\n" % len(DRAFT),
        b"+ go on\r\n",
        DRAFT + b"\r\na7 LOGOUT\r\n",
        b"a6 OK done\r\n* BYE\r\na7 OK done\r\n",
    )
    yield from flow.close()

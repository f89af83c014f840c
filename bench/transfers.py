"""Servers and clients of what is to be stopped, run inside namespaces.

python transfers.py ROLE ADDRESS ...
    mails                 takes mails; prints "ready", and a line for each that was handed over
    mail COUNT            mails so many with a bad attachment, each on a connection of its own
"""

from __future__ import annotations

import contextlib
import smtplib
import sys
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from downloads import MARKER

ATTACHED = 225_000  # bytes: 300 kB as base64
PATIENCE = 20.0  # seconds until a client gives up


def say(word: object) -> None:
    """A line for who has started this."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def mails(address: str) -> None:
    """What it has accepted is handed over (RFC 5321, section 6.1: from then on it is the server's)."""
    from aiosmtpd.controller import Controller

    class Taker:
        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            say(len(envelope.content))
            return "250 OK"

    Controller(Taker(), hostname=address, port=25).start()
    say("ready")
    threading.Event().wait()


def mail(address: str, count: str) -> None:
    """None is sent again."""
    letter = _letter()
    for _ in range(int(count)):
        with contextlib.suppress(OSError, smtplib.SMTPException), smtplib.SMTP(address, timeout=PATIENCE) as smtp:
            smtp.send_message(letter)


def _letter() -> EmailMessage:
    letter = EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = "a@example.org", "b@example.org", "bill"
    letter.set_content("see attachment")
    payload = bytes(1000) + MARKER.encode() + bytes(ATTACHED - 1000 - len(MARKER))
    letter.add_attachment(payload, maintype="application", subtype="octet-stream", filename="bill.exe")
    return letter


if __name__ == "__main__":
    {"mails": mails, "mail": mail}[sys.argv[1]](*sys.argv[2:])

"""What smtplib says to aiosmtpd, heard in between."""

import random
import smtplib
import socket

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from relay import Relay
from session import bytewise, content, objects, origin, run, whole

from reassembly.protocols import Answer
from reassembly.protocols.smtp import Parser, probe


class Kept:
    """aiosmtpd's handler: keeps what was delivered."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("no"):
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 kept"


class OverLMTP(Controller):
    def factory(self):
        return LMTP(self.handler, **self.SMTP_kwargs)


@pytest.fixture(params=[Controller, OverLMTP], ids=["smtp", "lmtp"])
def server(request):
    controller = request.param(Kept(), hostname="127.0.0.1", port=0, ready_timeout=20)
    controller.port = free_port()
    controller.start()
    yield controller
    controller.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def client(server, port):
    kind = smtplib.LMTP if isinstance(server, OverLMTP) else smtplib.SMTP
    return kind("127.0.0.1", port, local_hostname="pc.example.org")


LETTERS = random.Random(1)
MAILS = [
    b"Subject: one\r\n\r\nHello\r\n",
    b"Subject: dots\r\n\r\n.\r\n..\r\n...a\r\n",
    b"Subject: long\r\n\r\n" + b"".join(bytes(LETTERS.choices(b"abc.\t ", k=70)) + b"\r\n" for _ in range(5000)),
    b"Subject: 8bit\r\n\r\n" + bytes(LETTERS.choices(range(128, 256), k=900)) + b"\r\n",
]


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_each_mail_as_it_was_delivered(server, cut):
    with Relay(("127.0.0.1", server.port)) as relay, client(server, relay.port) as smtp:
        for mail in MAILS if cut is whole else MAILS[:2]:
            smtp.sendmail("a@example.org", ["b@example.org", "c@example.org"], mail)
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail("x@example.org", ["nobody@example.org"], MAILS[0])
        smtp.sendmail("z@example.org", ["nobody@example.org", "y@example.org"], MAILS[0])
    (session,) = relay.sessions
    seen = objects(run(Parser(origin()), cut(session)), "email")
    delivered = server.handler.mails
    assert [content(mail) for mail in seen] == [mail for *_, mail in delivered]
    assert [mail.facts["tapscan.smtp.mail_from"] for mail in seen] == [sender for sender, *_ in delivered]
    assert [mail.facts["tapscan.smtp.rcpt_to"] for mail in seen] == [recipients for _, recipients, _ in delivered]
    assert all(mail.complete and mail.facts["tapscan.smtp.helo"] == "pc.example.org" for mail in seen)


def test_the_session_is_recognised(server):
    with Relay(("127.0.0.1", server.port)) as relay, client(server, relay.port) as smtp:
        smtp.noop()
    heads = [b"".join(piece for side, piece in relay.sessions[0] if side == one) for one in (0, 1)]
    assert probe(*heads) is Answer.YES

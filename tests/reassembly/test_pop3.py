from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, content, flow, holed, objects, origin, run, whole

from reassembly.events import ORIG, RESP, Data, Note, Switch
from reassembly.protocols import Answer
from reassembly.protocols.pop3 import Parser, probe

MAIL = b"From: a@example.com\r\nSubject: one\r\n\r\nfirst line\r\n.dotted line\r\nlast\r\n"
SECOND = b"From: b@example.com\r\nSubject: two\r\n\r\nanother\r\n"
STUFFED = MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"
LOGIN = [
    (RESP, b"+OK POP3 ready <1896.697170952@mail.example.com>\r\n"),
    (ORIG, b"USER anna\r\n"),
    (RESP, b"+OK\r\n"),
    (ORIG, b"PASS secret\r\n"),
    (RESP, b"+OK 2 messages\r\n"),
]
SESSION = [
    *LOGIN,
    (ORIG, b"LIST\r\n"),
    (RESP, b"+OK 2 messages\r\n1 120\r\n2 200\r\n.\r\n"),
    (ORIG, b"RETR 1\r\n"),
    (RESP, b"+OK 70 octets\r\n" + STUFFED),
    (ORIG, b"QUIT\r\n"),
    (RESP, b"+OK bye\r\n"),
]


def parser():
    return Parser(origin(flow(resp=("10.0.0.2", 110))))


def mails(emitted):
    return objects(emitted, "email")


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_mail_comes_out_as_it_was_before_stuffing(cut):
    (mail,) = mails(run(parser(), cut(SESSION)))
    assert content(mail) == MAIL
    assert mail.complete
    assert (mail.direction, mail.protocol) == (RESP, "pop3")
    assert mail.facts["tapscan.pop3.user"] == "anna"
    assert mail.facts["tapscan.pop3.command"] == "RETR"
    assert mail.facts["email.subject"] == "one"


def test_a_hole_in_the_mail_is_kept_and_said():
    before = sum(len(payload) for direction, payload in LOGIN if direction == RESP)
    start = before + len(b"+OK 2 messages\r\n1 120\r\n2 200\r\n.\r\n+OK 70 octets\r\n") + 50
    (mail,) = mails(run(parser(), holed(SESSION, RESP, start, start + 5)))
    assert mail.missing_bytes == 5
    assert not mail.complete
    assert content(mail).startswith(MAIL[:40])


@pytest.mark.parametrize("cut", [whole, bytewise])
def test_pipelined_commands_get_their_answers_in_order(cut):
    session = [
        *LOGIN,
        (ORIG, b"UIDL\r\nRETR 1\r\nLIST 2\r\nDELE 1\r\nRETR 2\r\nTOP 1 0\r\n"),
        (RESP, b"+OK\r\n1 abc\r\n.\r\n+OK\r\n" + STUFFED + b"+OK 2 200\r\n-ERR no\r\n+OK\r\n" + SECOND + b".\r\n"),
        (RESP, b"+OK\r\nFrom: a@example.com\r\n\r\n.\r\n"),
    ]
    found = mails(run(parser(), cut(session)))
    assert [content(mail) for mail in found] == [MAIL, SECOND, b"From: a@example.com\r\n\r\n"]
    assert [mail.facts["tapscan.pop3.command"] for mail in found] == ["RETR", "RETR", "TOP"]


def test_a_refused_command_gives_nothing():
    session = [*LOGIN, (ORIG, b"RETR 9\r\n"), (RESP, b"-ERR no such message\r\n")]
    assert not mails(run(parser(), whole(session)))


def test_a_mail_without_its_end_is_cut():
    session = [*LOGIN, (ORIG, b"RETR 1\r\n"), (RESP, b"+OK\r\n" + MAIL[:60])]
    (mail,) = mails(run(parser(), whole(session), how="reset"))
    assert mail.cut == "reset"


def test_only_the_server_was_seen():
    session = [(direction, payload) for direction, payload in SESSION if direction == RESP]
    assert [content(mail) for mail in mails(run(parser(), whole(session)))] == [MAIL]


def test_the_sides_are_told_by_what_they_say():
    swapped = [(1 - direction, payload) for direction, payload in SESSION]
    (mail,) = mails(run(parser(), whole(swapped)))
    assert (content(mail), mail.direction) == (MAIL, ORIG)


def test_the_answer_to_a_challenge_is_no_command():
    session = [
        SESSION[0],
        (ORIG, b"AUTH PLAIN\r\n"),
        (RESP, b"+ \r\n"),
        (ORIG, b"UkVUUiAx\r\n"),
        (RESP, b"+OK\r\n"),
        *SESSION[5:],
    ]
    assert [content(mail) for mail in mails(run(parser(), whole(session)))] == [MAIL]


def test_tls_is_handed_on():
    session = [SESSION[0], (ORIG, b"STLS\r\n"), (RESP, b"+OK begin\r\n\x16\x03\x01")]
    emitted = run(parser(), whole(session))
    assert any(isinstance(one, Note) and one.facts == {"tapscan.pop3.starttls": True} for one in emitted)
    (switch,) = [one for one in emitted if isinstance(one, Switch)]
    assert [data.payload for data in switch.rest] == [b"\x16\x03\x01"]


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"+OK ready\r\n", Answer.MORE),
        (b"USER a\r\n", b"+OK ready\r\n", Answer.YES),
        (b"CAPA\r\n", b"+OK\r\n", Answer.YES),
        (b"retr 1\r\n", b"", Answer.MORE),
        (b"GET / HTTP/1.1\r\n", b"+OK ready\r\n", Answer.NO),
        (b"US", b"+OK ready\r\n", Answer.MORE),
        (b"", b"220 mail\r\n", Answer.NO),
        (b"", b"+O", Answer.MORE),
        (b"", b"", Answer.MORE),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=60)), max_size=20))
def test_any_bytes_are_survived(pieces):
    run(parser(), whole(pieces))


@given(st.data())
def test_any_cutting_gives_the_same_mail(data):
    events = []
    for event in whole(SESSION):
        at = 0
        while at < len(event.payload):
            size = data.draw(st.integers(1, len(event.payload) - at))
            events.append(Data(event.direction, event.payload[at : at + size], event.began, event.time))
            at += size
    assert [content(mail) for mail in mails(run(parser(), events))] == [MAIL]

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, content, holed, objects, origin, run, whole

from reassembly.events import ORIG, RESP, Close, Data, Gap, Note, Switch
from reassembly.protocols import Answer
from reassembly.protocols.smtp import Parser, probe

C, S = ORIG, RESP
MAIL = b"From: a@example.org\r\nSubject: one\r\n\r\nHello\r\n"
OTHER = b"From: b@example.org\r\nSubject: two\r\n\r\nAgain\r\n"
BANNER = (S, b"220 mx.example.org ESMTP\r\n")
HELLO = [BANNER, (C, b"EHLO pc\r\n"), (S, b"250-mx.example.org\r\n250-PIPELINING\r\n250 CHUNKING\r\n")]
OK = (S, b"250 2.0.0 Ok\r\n")
GO = (S, b"354 go ahead\r\n")
BYE = [(C, b"QUIT\r\n"), (S, b"221 bye\r\n")]
ENVELOPE = [(C, b"MAIL FROM:<a@example.org> SIZE=99\r\n"), OK, (C, b"RCPT TO:<b@example.org>\r\n"), OK]


def sent(mail, end=b".\r\n", data=b"DATA\r\n"):
    return [*ENVELOPE, (C, data), GO, (C, mail + end), OK]


SESSIONS = {
    "one mail": ([*HELLO, *sent(MAIL), *BYE], [MAIL]),
    "two mails": ([*HELLO, *sent(MAIL), *sent(OTHER), *BYE], [MAIL, OTHER]),
    "dots": ([*HELLO, *sent(b"..\r\n..a\r\n"), *BYE], [b".\r\n.a\r\n"]),
    "DATA refused": (
        [*HELLO, *ENVELOPE, (C, b"DATA\r\n"), (S, b"554 no\r\n"), (C, b"RSET\r\n"), OK, *sent(OTHER), *BYE],
        [OTHER],
    ),
    "RSET between": ([*HELLO, *ENVELOPE, (C, b"RSET\r\n"), OK, *sent(MAIL), *BYE], [MAIL]),
    "nothing between DATA and the dot": ([*HELLO, *sent(b""), *sent(OTHER), *BYE], [OTHER]),
    "pipelined": (
        [
            *HELLO,
            (C, b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n"),
            (S, b"250 ok\r\n250 ok\r\n354 go\r\n"),
            (C, MAIL + b".\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n"),
            (S, b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"),
            (C, OTHER + b".\r\nQUIT\r\n"),
            (S, b"250 ok\r\n221 bye\r\n"),
        ],
        [MAIL, OTHER],
    ),
    "mail before the go-ahead is seen": (
        [*HELLO, *ENVELOPE, (C, b"DATA\r\n" + MAIL + b".\r\nQUIT\r\n"), GO, OK, (S, b"221 bye\r\n")],
        [MAIL],
    ),
    "pipelined into a refusal": (
        [*HELLO, *ENVELOPE, (C, b"DATA\r\nRSET\r\nQUIT\r\n"), (S, b"554 no\r\n250 ok\r\n221 bye\r\n")],
        [],
    ),
    "all from the client, then all from the server": (
        [
            (C, b"".join(piece for side, piece in [*HELLO, *sent(MAIL), *sent(OTHER), *BYE] if side == C)),
            (S, b"".join(piece for side, piece in [*HELLO, *sent(MAIL), *sent(OTHER), *BYE] if side == S)),
        ],
        [MAIL, OTHER],
    ),
    "client alone": ([one for one in [*HELLO, *sent(MAIL), *sent(OTHER), *BYE] if one[0] == C], [MAIL, OTHER]),
    "client alone, DATA refused": (
        [one for one in [*HELLO, *ENVELOPE, (C, b"DATA\r\n"), (C, b"RSET\r\n"), *sent(MAIL)] if one[0] == C],
        [MAIL],
    ),
    "server alone": ([one for one in [*HELLO, *sent(MAIL), *BYE] if one[0] == S], []),
    "no greeting": ([*HELLO[1:], *sent(MAIL), *BYE], [MAIL]),
    "chunks": (
        [
            *HELLO,
            *ENVELOPE,
            (C, b"BDAT %d\r\n" % 20 + MAIL[:20]),
            OK,
            (C, b"BDAT %d LAST\r\n" % len(MAIL[20:]) + MAIL[20:]),
            OK,
            *sent(OTHER),
            *BYE,
        ],
        [MAIL, OTHER],
    ),
    "chunks, the last one empty": (
        [*HELLO, *ENVELOPE, (C, b"bdat %d\r\n" % len(MAIL) + MAIL + b"BDAT 0 last\r\nQUIT\r\n"), OK, OK],
        [MAIL],
    ),
    "dots in a chunk": ([*HELLO, *ENVELOPE, (C, b"BDAT 9 LAST\r\n..\r\n.\r\nab"), OK, *BYE], [b"..\r\n.\r\nab"]),
    "chunk of nonsense": (
        [*HELLO, *ENVELOPE, (C, b"BDAT -5 LAST\r\n"), (S, b"501 no\r\n"), (C, b"RSET\r\n"), OK, *sent(MAIL), *BYE],
        [MAIL],
    ),
    "chunk, then DATA": (
        [
            *HELLO,
            *ENVELOPE,
            (C, b"BDAT 5\r\nabcde"),
            OK,
            (C, b"DATA\r\n"),
            (S, b"503 no\r\n"),
            (C, b"BDAT 2 LAST\r\nfg"),
            OK,
        ],
        [b"abcdefg"],
    ),
    "LMTP": (
        [
            (S, b"220 mx LMTP\r\n"),
            (C, b"LHLO pc\r\n"),
            OK,
            (C, b"MAIL FROM:<>\r\n"),
            OK,
            (C, b"RCPT TO:<a@b>\r\n"),
            OK,
            (C, b"RCPT TO:<c@d>\r\n"),
            (S, b"550 no\r\n"),
            (C, b"RCPT TO:<e@f>\r\n"),
            OK,
            (C, b"DATA\r\n"),
            GO,
            (C, MAIL + b".\r\n"),
            OK,
            (S, b"452 <e@f> full\r\n"),
            *sent(OTHER),
            *BYE,
        ],
        [MAIL, OTHER],
    ),
    "AUTH": (
        [
            *HELLO,
            (C, b"AUTH LOGIN\r\n"),
            (S, b"334 VXNlcm5hbWU6\r\n"),
            (C, b"DATA\r\n"),
            (S, b"334 UGFzc3dvcmQ6\r\n"),
            (C, b"cGFzcw==\r\n"),
            (S, b"235 ok\r\n"),
            *sent(MAIL),
            *BYE,
        ],
        [MAIL],
    ),
    "LF everywhere": (
        [(side, piece.replace(b"\r\n", b"\n")) for side, piece in [*HELLO, *sent(b"Subject: x\r\n\r\n..a\r\n"), *BYE]],
        [b"Subject: x\n\n.a\n"],
    ),
    "answers of several lines": (
        [
            BANNER,
            (C, b"EHLO pc\r\n"),
            (S, b"250-a\r\n250-b\r\n250 c\r\n"),
            ENVELOPE[0],
            (S, b"250-x\r\n250 y\r\n"),
            *ENVELOPE[2:],
            (C, b"DATA\r\n"),
            (S, b"354-go\r\n354 on\r\n"),
            (C, MAIL + b".\r\n"),
            OK,
        ],
        [MAIL],
    ),
    "XCLIENT greets again": (
        [*HELLO, (C, b"XCLIENT ADDR=192.0.2.1\r\n"), (S, b"220 again\r\n"), *HELLO[1:], *sent(MAIL)],
        [MAIL],
    ),
    "commands in lower case, with spaces": (
        [
            *HELLO,
            (C, b"mail from: a@example.org\r\n"),
            OK,
            (C, b"rcpt to: <b@example.org>\r\n"),
            OK,
            (C, b"data\r\n"),
            GO,
            (C, MAIL + b".\r\n"),
            OK,
        ],
        [MAIL],
    ),
}
CUTS = pytest.mark.parametrize("cut", [whole, bytewise])


def mails(session, cut=whole, how="fin", **limits):
    return [content(one) for one in objects(run(Parser(origin(**limits)), cut(session), how), "email")]


@CUTS
@pytest.mark.parametrize("name", SESSIONS)
def test_each_mail_of_a_session(name, cut):
    session, expected = SESSIONS[name]
    assert mails(session, cut) == expected


@CUTS
@pytest.mark.parametrize("name", SESSIONS)
def test_sides_change_when_the_server_was_seen_first(name, cut):
    session, expected = SESSIONS[name]
    assert mails([(1 - side, piece) for side, piece in session], cut) == expected


@CUTS
def test_envelope(cut):
    session = [
        *HELLO,
        (C, b'MAIL FROM:<"a>b"@example.org> SIZE=1\r\n'),
        OK,
        (C, b"RCPT TO:<c@example.org>\r\n"),
        OK,
        (C, b"RCPT TO:<no@example.org>\r\n"),
        (S, b"550 no\r\n"),
        (C, "RCPT TO:<ü@example.org>\r\n".encode()),
        OK,
        (C, b"DATA\r\n"),
        GO,
        (C, MAIL + b".\r\n"),
        OK,
        (C, b"MAIL FROM:<>\r\n"),
        OK,
        (C, b"RCPT TO:<d@e>\r\n"),
        OK,
        (C, b"DATA\r\n"),
        GO,
        (C, OTHER + b".\r\n"),
        OK,
    ]
    first, second = objects(run(Parser(origin()), cut(session)), "email")
    assert first.facts["tapscan.smtp.helo"] == "pc"
    assert first.facts["tapscan.smtp.mail_from"] == '"a>b"@example.org'
    assert first.facts["tapscan.smtp.rcpt_to"] == ["c@example.org", "ü@example.org"]
    assert (second.facts["tapscan.smtp.mail_from"], second.facts["tapscan.smtp.rcpt_to"]) == ("", ["d@e"])
    assert (first.protocol, first.direction, first.complete, first.cut) == ("smtp", C, True, None)


def test_a_second_mail_command_is_refused_and_changes_nothing():
    session = [
        *HELLO,
        ENVELOPE[0],
        OK,
        (C, b"MAIL FROM:<evil@example.org>\r\n"),
        (S, b"503 nested\r\n"),
        *ENVELOPE[2:],
        (C, b"DATA\r\n"),
        GO,
        (C, MAIL + b".\r\n"),
        OK,
    ]
    (mail,) = objects(run(Parser(origin()), whole(session)), "email")
    assert mail.facts["tapscan.smtp.mail_from"] == "a@example.org"
    assert "smtp.nested_mail" in mail.findings


def test_a_refused_sender_is_forgotten():
    session = [*HELLO, (C, b"MAIL FROM:<no@example.org>\r\n"), (S, b"550 no\r\n"), *sent(MAIL)]
    (mail,) = objects(run(Parser(origin()), whole(session)), "email")
    assert mail.facts["tapscan.smtp.mail_from"] == "a@example.org"
    assert "smtp.nested_mail" not in mail.findings


@pytest.mark.parametrize(("code", "kept"), [(b"501 no", "a@example.org"), (b"250 ok", None)])
def test_a_greeting_ends_the_transaction_if_it_is_taken(code, kept):
    session = [
        *HELLO,
        *ENVELOPE,
        (C, b"EHLO again\r\n"),
        (S, code + b"\r\n"),
        (C, b"DATA\r\n"),
        GO,
        (C, MAIL + b".\r\n"),
    ]
    (mail,) = objects(run(Parser(origin()), whole(session)), "email")
    assert mail.facts.get("tapscan.smtp.mail_from") == kept
    assert mail.facts["tapscan.smtp.helo"] == ("pc" if kept else "again")


def test_recipients_are_bounded():
    session = [
        *HELLO,
        ENVELOPE[0],
        OK,
        *[(C, b"RCPT TO:<b@c>\r\n"), OK] * 20,
        (C, b"DATA\r\n"),
        GO,
        (C, MAIL + b".\r\n"),
    ]
    (mail,) = objects(run(Parser(origin(recipients=5)), whole(session)), "email")
    assert len(mail.facts["tapscan.smtp.rcpt_to"]) == 5


# What follows STARTTLS.

HELLO_TLS = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"


@CUTS
@pytest.mark.parametrize("order", ["answer first", "client first", "client alone"])
def test_starttls_hands_over(cut, order):
    ask, answer, tls = (C, b"STARTTLS\r\n"), (S, b"220 2.0.0 Ready\r\n"), (C, HELLO_TLS)
    tail = {"answer first": [ask, answer, tls], "client first": [ask, tls, answer], "client alone": [ask, tls]}[order]
    head = [one for one in HELLO if order != "client alone" or one[0] == C]
    parser, left = Parser(origin()), b""
    emitted = run(parser, cut([*head, *tail]))
    assert next(one for one in emitted if isinstance(one, Note)).facts == {"tapscan.smtp.starttls": True}
    (switch,) = [one for one in emitted if isinstance(one, Switch)]
    left = b"".join(data.payload for data in switch.rest)
    assert HELLO_TLS.startswith(left)
    assert objects(emitted) == []


def test_starttls_refused():
    session = [*HELLO, (C, b"STARTTLS\r\n"), (S, b"454 not now\r\n"), *sent(MAIL)]
    assert mails(session) == [MAIL]


def test_commands_smuggled_before_tls_are_found():
    parser = Parser(origin())
    emitted = run(parser, whole([*HELLO, (C, b"STARTTLS\r\nRSET\r\n"), (S, b"220 go\r\nrest")]))
    (switch,) = [one for one in emitted if isinstance(one, Switch)]
    assert [(data.direction, data.payload) for data in switch.rest] == [(C, b"RSET\r\n"), (S, b"rest")]
    assert "smtp.starttls_injection" in parser._origin.findings


def test_nothing_is_read_after_the_switch():
    parser = Parser(origin())
    run(parser, whole([*HELLO, (C, b"STARTTLS\r\n"), (S, b"220 go\r\n")]))
    assert run(parser, whole(sent(MAIL))) == []


# Mail that is cut, or has holes.


@pytest.mark.parametrize("how", ["fin", "reset", "timeout", "end_of_capture"])
@pytest.mark.parametrize("held", [b"", b"."])
def test_mail_without_its_end(how, held):
    (mail,) = objects(run(Parser(origin()), whole([*HELLO, *sent(MAIL, end=held)[:-1]]), how), "email")
    assert (content(mail), mail.cut, mail.complete) == (MAIL + held, how, False)


def test_chunks_without_the_last():
    session = [*HELLO, *ENVELOPE, (C, b"BDAT 5\r\nabcde"), OK, (C, b"RSET\r\n"), OK, *sent(OTHER)]
    first, second = objects(run(Parser(origin()), whole(session)), "email")
    assert (content(first), first.complete, content(second)) == (b"abcde", False, OTHER)
    assert "smtp.bdat_unfinished" in first.findings


def test_a_chunk_cut_off():
    (mail,) = objects(run(Parser(origin()), whole([*HELLO, *ENVELOPE, (C, b"BDAT 99 LAST\r\nabc")]), "reset"), "email")
    assert (content(mail), mail.cut) == (b"abc", "reset")


def positions(session, piece):
    stream = b"".join(payload for side, payload in session if side == C)
    start = stream.index(piece)
    return start, start + len(piece)


TWO = [*HELLO, *sent(MAIL), *sent(OTHER), *BYE]


def test_a_gap_in_the_text():
    start, end = positions(TWO, b"one\r\n\r\nHel")
    first, second = objects(run(Parser(origin()), holed(TWO, C, start, end)), "email")
    assert content(first) == MAIL.replace(b"one\r\n\r\nHel", b"")
    assert (first.cut, first.missing) == ("gap", ((30, 40),))
    assert (content(second), second.complete) == (OTHER, True)


def test_a_gap_over_the_end_of_a_mail():
    start, end = positions(TWO, b"llo\r\n.\r\n")
    first, second = objects(run(Parser(origin()), holed(TWO, C, start, end)), "email")
    assert (content(first), first.complete) == (MAIL.replace(b"llo\r\n", b""), False)
    assert (content(second), second.complete) == (OTHER, True)


def test_a_gap_over_the_beginning_of_a_mail():
    start, end = positions(TWO, b"DATA\r\nFrom: a@example.org\r\nSub")
    first, second = objects(run(Parser(origin()), holed(TWO, C, start, end)), "email")
    assert content(first) == b"ject: one\r\n\r\nHello\r\n"
    assert (first.complete, first.missing_bytes) == (False, end - start)
    assert (content(second), second.complete) == (OTHER, True)


def test_a_gap_over_the_beginning_of_a_mail_that_no_reply_tells_of():
    session = [one for one in TWO if one[0] == C]
    start, end = positions(session, b"DATA\r\nFrom: a@example.org\r\nSub")
    first, second = objects(run(Parser(origin()), holed(session, C, start, end)), "email")
    assert content(first) == b"ject: one\r\n\r\nHello\r\n"
    assert (content(second), second.complete) == (OTHER, True)


def test_a_gap_among_commands():
    start, end = positions(TWO, b"\nMAIL FROM:<a@example")
    assert [content(one) for one in objects(run(Parser(origin()), holed(TWO, C, start, end)), "email")] == [MAIL, OTHER]


def test_a_gap_in_a_chunk():
    session = [*HELLO, *ENVELOPE, (C, b"BDAT 9 LAST\r\nabcdefghi"), OK, *sent(OTHER)]
    start, end = positions(session, b"cde")
    first, second = objects(run(Parser(origin()), holed(session, C, start, end)), "email")
    assert (content(first), first.missing, content(second)) == (b"abfghi", ((2, 5),), OTHER)


def test_a_gap_over_the_end_of_a_chunk():
    session = [*HELLO, *ENVELOPE, (C, b"BDAT 5 LAST\r\nabcdeMAIL FROM:<x@y>\r\n"), OK, OK, *sent(OTHER)[2:]]
    start, end = positions(session, b"deMAIL FROM:<x")
    first, second = objects(run(Parser(origin()), holed(session, C, start, end)), "email")
    assert (content(first), first.missing, content(second)) == (b"abc", ((3, 5),), OTHER)


@pytest.mark.parametrize(
    "piece", [b"220 mx.example.org ESMTP\r\n", b"250 2.0.0 Ok\r\n354 go ahead\r\n", b"354 go ahead\r\n"]
)
def test_lost_replies_lose_no_mail(piece):
    stream = b"".join(payload for side, payload in TWO if side == S)
    start = stream.index(piece)
    assert [
        content(one) for one in objects(run(Parser(origin()), holed(TWO, S, start, start + len(piece))), "email")
    ] == [
        MAIL,
        OTHER,
    ]


def test_picked_up_between_the_go_ahead_and_the_mail():
    assert mails([GO, (C, MAIL + b".\r\n"), OK, *sent(OTHER)]) == [MAIL, OTHER]


@pytest.mark.parametrize("side", [C, S])
def test_no_hole_costs_more_than_its_mail(side):
    """Wherever a hole is, the mail that is wholly behind it, or before it, is there."""
    stream = b"".join(payload for one, payload in TWO if one == side)
    for start in range(len(stream)):
        found = [content(one) for one in objects(run(Parser(origin()), holed(TWO, side, start, start + 7)), "email")]
        assert MAIL in found or OTHER in found
        assert b"".join(found).count(b"Subject: ") <= 2


# A lone dot between bare LFs.

SMUGGLED = b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n" + OTHER


@CUTS
@pytest.mark.parametrize("dot", [b"\n.\n", b"\n.\r\n", b"\r\n.\n"])
def test_both_readings_of_a_smuggled_mail(cut, dot):
    outer = b"Subject: outer\r\n\r\nx" + dot + SMUGGLED
    emitted = objects(run(Parser(origin()), cut([*HELLO, *sent(outer), *sent(MAIL), *BYE])), "email")
    assert OTHER in [content(one) for one in emitted]  # for a server that takes the dot for the end
    strict = next(one for one in emitted if content(one).startswith(b"Subject: outer"))
    assert content(strict).endswith(SMUGGLED)  # for one that does not
    assert content(emitted[-1]) == MAIL
    assert all("smtp.bare_lf_dot" in one.findings for one in emitted[:2])
    smuggled = next(one for one in emitted if content(one) == OTHER)
    assert smuggled.facts["tapscan.smtp.mail_from"] == "evil@example.org"


@CUTS
def test_a_lone_dot_in_text_is_text(cut):
    (mail,) = objects(run(Parser(origin()), cut([*HELLO, *sent(b"a\r\nb\n.\nc\r\n")])), "email")
    assert content(mail) == b"a\r\nb\n.\nc\r\n"
    assert "smtp.bare_lf_dot" in mail.findings


@CUTS
def test_a_lone_dot_that_the_server_takes_for_the_end(cut):
    assert mails([*HELLO, *sent(b"a\r\nb", end=b"\n.\n"), *sent(MAIL), *BYE], cut) == [b"a\r\nb\n", MAIL]


@CUTS
def test_a_lone_dot_is_the_last_that_was_seen(cut):
    assert mails([*HELLO, *sent(b"a\r\nb", end=b"\r\n.\n")[:-1]], cut) == [b"a\r\nb\r\n"]


# Bounds.


def test_a_mail_of_many_runs_is_not_gone_through_twice():
    line = b"x" * 70 + b"\r\n..dots\r\n"
    runs = [(C, line * 13_000)] * 30
    session = [*HELLO, *ENVELOPE, (C, b"DATA\r\n"), GO, *runs, (C, b".\r\n"), OK]
    (mail,) = objects(run(Parser(origin()), whole(session)), "email")
    assert mail.size == (len(line) - 1) * 13_000 * 30


def test_what_waits_for_an_answer_is_bounded():
    parser = Parser(origin(undecided_bytes=1000))
    events = whole([*HELLO, *ENVELOPE, (C, b"DATA\r\n"), *[(C, b"x" * 50 + b"\r\n")] * 100])
    run_on = [parser.feed(event) for event in events]
    assert run_on
    assert parser._inbox.waiting <= 1000
    mail = objects(parser.close(Close(C, "fin", 1)), "email")
    assert len(content(mail[0])) == 5200


@pytest.mark.parametrize(
    "line", [b"DATA\r\n", b"STARTTLS\r\n", b"BDAT 0 LAST\r\n", b"RSET\r\n", b".\r\n", b"\n", b"BDAT 1\r\nx"]
)
def test_floods_of_commands(line):
    for session in (
        [(C, line * 30_000)],
        [BANNER, (C, line * 30_000)],
        [*HELLO, *ENVELOPE, (C, b"DATA\r\n"), GO, (C, line * 30_000)],
    ):
        parser = Parser(origin())
        run(parser, whole(session))
        assert parser._inbox.waiting == 0


def test_long_lines():
    session = [
        *HELLO,
        (C, b"MAIL FROM:<" + b"a" * 100_000 + b">\r\n"),
        OK,
        *ENVELOPE[2:],
        (C, b"DATA\r\n"),
        GO,
        (C, MAIL + b".\r\n"),
    ]
    (mail,) = objects(run(Parser(origin()), whole(session)), "email")
    assert len(mail.facts["tapscan.smtp.mail_from"]) == 1024
    assert content(mail) == MAIL


# Anything at all.

PIECES = st.sampled_from(
    [
        b"EHLO a\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b"STARTTLS\r\n",
        b"BDAT 3\r\n",
        b"BDAT 2 LAST\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b".\r\n",
        b"\n.\n",
        b"\r\n.\n",
        b".",
        b"\r",
        b"\n",
        b"abc",
        b"Subject: x\r\n",
        b"\x16\x03\x01",
        b"220 x\r\n",
        b"250 x\r\n",
        b"354 x\r\n",
        b"550 x\r\n",
        b"334 x\r\n",
        b"250-x\r\n",
        b"AUTH LOGIN\r\n",
        b"LHLO x\r\n",
    ]
)
EVENTS = st.lists(
    st.tuples(st.sampled_from([C, S]), PIECES | st.binary(min_size=1, max_size=20) | st.integers(1, 30)), max_size=30
)


def events_of(pieces):
    return [
        Gap(side, piece, at) if isinstance(piece, int) else Data(side, piece, at, at)
        for at, (side, piece) in enumerate(pieces)
    ]


@given(EVENTS)
def test_anything_is_survived(pieces):
    parser = Parser(origin(undecided_bytes=300, command_bytes=64))
    emitted = run(parser, events_of(pieces))
    assert parser._inbox.waiting >= 0
    assert not parser._inbox
    assert sum(one.size for one in objects(emitted, "email")) <= 2 * sum(
        len(p) for _, p in pieces if isinstance(p, bytes)
    )


@given(st.lists(st.tuples(st.sampled_from([C, S]), PIECES), max_size=25))
def test_cuts_change_nothing(pieces):
    def told(cut):
        emitted = run(Parser(origin()), cut(pieces))
        switched = next((at for at, one in enumerate(emitted) if isinstance(one, Switch)), len(emitted))
        return [(one.kind, content(one), one.cut, one.facts) for one in objects(emitted[:switched], "email")], len(
            emitted
        )

    assert told(whole) == told(bytewise)


# Whose flow it is.

YES, NO, MORE = Answer.YES, Answer.NO, Answer.MORE


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"", MORE),
        (b"", b"220 mx ESMTP Postfix\r\n", YES),
        (b"", b"220-mx\r\n220 more\r\n", MORE),
        (b"", b"220 ProFTPD FTP server\r\n", NO),
        (b"", b"220 hello\r\n", MORE),
        (b"", b"22", MORE),
        (b"", b"554 go away\r\n", MORE),
        (b"", b"HTTP/1.1 200 OK\r\n", NO),
        (b"EHLO pc\r\n", b"220 hello\r\n", YES),
        (b"EHLO pc\r\n", b"", YES),
        (b"EHL", b"220 hello\r\n", MORE),
        (b"HELO\r\n", b"", YES),
        (b"LHLO pc\r\n", b"", YES),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nEHLO pc\r\n", b"", YES),
        (b"MAIL FROM:<a@b>\r\n", b"", YES),
        (b"USER a\r\n", b"220 hello\r\n", NO),
        (b"AUTH TLS\r\n", b"220 hello\r\n", MORE),
        (b"AUTH PLAIN AGE=\r\n", b"220 hello\r\n", YES),
        (b"GET / HTTP/1.1\r\n", b"", NO),
        (b"QUIT\r\n", b"220 hello\r\n", MORE),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_probe_takes_anything(orig, resp):
    assert probe(orig, resp) in Answer

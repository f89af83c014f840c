from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, content, flow, holed, objects, origin, run, whole

from reassembly.events import ORIG, RESP, Close, Data, Gap, Note, Switch
from reassembly.protocols import Answer
from reassembly.protocols.imap import Parser, probe

MAIL = b"From: a@example.com\r\nSubject: one\r\n\r\nfirst line\r\n.dotted\r\n* 5 EXISTS\r\nlast\r\n"
SECOND = b"From: b@example.com\r\nSubject: two\r\n\r\nanother\r\n"
LOGIN = [
    (RESP, b"* OK [CAPABILITY IMAP4rev1] ready\r\n"),
    (ORIG, b'a1 LOGIN "anna" {6}\r\n'),
    (RESP, b"+ go on\r\n"),
    (ORIG, b"secret\r\n"),
    (RESP, b"a1 OK welcome\r\n"),
    (ORIG, b"a2 SELECT INBOX\r\n"),
    (RESP, b"* 2 EXISTS\r\n* FLAGS (\\Seen)\r\na2 OK [READ-WRITE] done\r\n"),
]
STRUCTURE = (
    b'(("TEXT" "PLAIN" ("CHARSET" "UTF-8") NIL NIL "QUOTED-PRINTABLE" 14 1 NIL NIL NIL)'
    b'("APPLICATION" "OCTET-STREAM" ("NAME" "x.bin") NIL NIL "BASE64" 14 NIL '
    b'("ATTACHMENT" ("FILENAME" "a \\"b\\".bin")) NIL) "MIXED" ("BOUNDARY" "edge") NIL NIL)'
)
ATTACHED = bytes(range(256)) * 4
ENCODED = base64.encodebytes(ATTACHED).replace(b"\n", b"\r\n")
CUTS = pytest.mark.parametrize("cut", [whole, bytewise])


def literal(data):
    return b"{%d}\r\n" % len(data) + data


def fetch(number, item, data, rest=b""):
    return b"* %d FETCH (UID %d %b %b%b)\r\n" % (number, number + 100, item, literal(data), rest)


def asked(command, *answers):
    return [*LOGIN, (ORIG, command), *((RESP, answer) for answer in answers)]


def parser(**limits):
    return Parser(origin(flow(resp=("10.0.0.2", 143)), **limits))


def mails(emitted):
    return objects(emitted, "email")


def parts(emitted):
    return objects(emitted, "email_part")


@CUTS
def test_a_mail_is_what_its_literal_says(cut):
    session = asked(b"a3 FETCH 1 BODY[]\r\n", fetch(1, b"BODY[]", MAIL, b" FLAGS (\\Seen)"), b"a3 OK done\r\n")
    (mail,) = mails(run(parser(), cut(session)))
    assert content(mail) == MAIL
    assert mail.complete
    assert (mail.direction, mail.protocol) == (RESP, "imap")
    assert mail.facts["email.subject"] == "one"
    assert mail.facts["tapscan.imap.command"] == "FETCH"
    assert mail.facts["tapscan.imap.user"] == "anna"
    assert mail.facts["tapscan.imap.mailbox"] == "INBOX"
    assert "tapscan.imap.section" not in mail.facts


@CUTS
@pytest.mark.parametrize(
    "item", [b"RFC822", b"RFC822.HEADER", b"BODY[HEADER]", b"BINARY[]", b"body[]", b"BODY[3.MIME]"]
)
def test_mails_and_headers_have_many_names(cut, item):
    (mail,) = mails(run(parser(), cut(asked(b"", fetch(1, item, SECOND)))))
    assert content(mail) == SECOND


@CUTS
def test_one_response_may_bring_several_sections(cut):
    head, text = SECOND.split(b"\r\n\r\n")
    answer = b'* 1 FETCH (BODY[HEADER.FIELDS (SUBJECT "]")] %b BODY[TEXT] %b RFC822.SIZE 9)\r\n'
    session = asked(b"", answer % (literal(head + b"\r\n\r\n"), literal(text)), fetch(2, b"BODY[]", MAIL))
    emitted = run(parser(), cut(session))
    assert [content(mail) for mail in mails(emitted)] == [head + b"\r\n\r\n", MAIL]
    assert mails(emitted)[0].facts["tapscan.imap.section"] == "HEADER.FIELDS"
    section = parts(emitted)[0]
    assert content(section) == text
    assert section.facts["tapscan.imap.section"] == "TEXT"


@CUTS
def test_a_section_may_be_a_quoted_string(cut):
    session = asked(b"", b'* 1 FETCH (ENVELOPE ("x BODY[TEXT] \\"no" NIL) BODY[TEXT] "say \\"yes\\"" BODY[2] NIL)\r\n')
    assert [content(part) for part in objects(run(parser(), cut(session)))] == [b'say "yes"']


@CUTS
def test_an_attachment_is_decoded_as_its_structure_says(cut):
    session = asked(
        b"a3 FETCH 1 BODYSTRUCTURE\r\na4 FETCH 1 (BODY[1] BODY[2])\r\n",
        b"* 1 FETCH (BODYSTRUCTURE " + STRUCTURE + b")\r\na3 OK done\r\n",
        b"* 1 FETCH (BODY[1] " + literal(b"caf=C3=A9\r\n") + b" BODY[2] " + literal(ENCODED) + b")\r\na4 OK\r\n",
    )
    text, attached = objects(run(parser(), cut(session)))
    assert content(text) == "café\r\n".encode()
    assert content(attached) == ATTACHED
    assert attached.name == 'a "b".bin'
    assert attached.declared_type == "application/octet-stream"
    assert attached.codings == ("base64",)
    assert attached.parent is None
    assert attached.facts["tapscan.imap.section"] == "2"


def test_the_name_of_an_attachment_may_be_a_literal():
    named = STRUCTURE.replace(b'"a \\"b\\".bin"', literal(b"lit.bin"))
    session = asked(b"", b"* 1 FETCH (BODYSTRUCTURE " + named + b" BODY[2] " + literal(ENCODED) + b")\r\n")
    (attached,) = objects(run(parser(), bytewise(session)))
    assert (attached.name, content(attached)) == ("lit.bin", ATTACHED)


def test_a_structure_may_follow_a_section():
    session = asked(
        b"",
        b"* 1 FETCH (BODY[1] " + literal(b"hello\r\n") + b" BODYSTRUCTURE " + STRUCTURE + b")\r\n",
        fetch(1, b"BODY[2]", ENCODED),
    )
    text, attached = objects(run(parser(), bytewise(session)))
    assert (content(text), content(attached)) == (b"hello\r\n", ATTACHED)


def test_the_header_of_a_section_may_be_fetched_apart():
    head = b'Content-Type: application/zip; name="z.zip"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    session = asked(b"", fetch(1, b"BODY[2.MIME]", head), fetch(1, b"BODY[2]", ENCODED), fetch(2, b"BODY[2]", b"text"))
    *_, attached, other = objects(run(parser(), whole(session)))
    assert (attached.name, content(attached)) == ("z.zip", ATTACHED)
    assert (other.name, content(other)) == (None, b"text")


def test_the_text_of_a_mail_is_read_with_its_header():
    head = b'Subject: apart\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="edge"\r\n\r\n'
    text = b"--edge\r\nContent-Transfer-Encoding: base64\r\n\r\n" + ENCODED + b"--edge--\r\n"
    session = asked(b"", fetch(1, b"BODY[HEADER]", head), fetch(1, b"BODY[TEXT]", text))
    found = parts(run(parser(), whole(session)))
    assert ATTACHED in [content(part) for part in found]
    assert found[-1].facts["email.subject"] == "apart"


def test_a_binary_section_is_decoded_already():
    session = asked(b"", b"* 1 FETCH (BODYSTRUCTURE " + STRUCTURE + b" BINARY[2] ~" + literal(ATTACHED) + b")\r\n")
    (attached,) = objects(run(parser(), whole(session)))
    assert (content(attached), attached.declared_type) == (ATTACHED, "application/octet-stream")


def test_what_was_said_of_a_mail_does_not_hold_for_the_next_of_its_number():
    said = b"* 1 FETCH (BODYSTRUCTURE " + STRUCTURE + b")\r\n"
    session = asked(b"", said, b"* 1 EXPUNGE\r\n", fetch(1, b"BODY[2]", ENCODED))
    assert all(one.name is None for one in objects(run(parser(), whole(session))))


@CUTS
def test_a_mail_that_is_fetched_in_pieces_is_one(cut):
    session = [*LOGIN]
    for start in range(0, len(MAIL) + 1, 20):
        piece = MAIL[start : start + 20]
        session += [
            (ORIG, b"b%d UID FETCH 101 (UID BODY.PEEK[]<%d.20>)\r\n" % (start, start)),
            (RESP, fetch(1, b"BODY[]<%d>" % start, piece) + b"b%d OK done\r\n" % start),
        ]
    session += [(ORIG, b"c1 FETCH 2 BODY[]\r\n"), (RESP, fetch(2, b"BODY[]", SECOND))]
    first, second = mails(run(parser(), cut(session)))
    assert (content(first), content(second)) == (MAIL, SECOND)
    assert first.complete
    assert first.facts["tapscan.imap.partial"] is True


def test_pieces_are_one_also_where_only_the_server_was_seen():
    session = [LOGIN[0], (RESP, fetch(1, b"BODY[]<0>", MAIL[:50])), (RESP, fetch(1, b"BODY[]<50>", MAIL[50:]))]
    (mail,) = mails(run(parser(), whole(session)))
    assert content(mail) == MAIL


def test_a_piece_from_the_middle_misses_what_is_before_it():
    (mail,) = mails(run(parser(), whole(asked(b"", fetch(1, b"BODY[]<10>", MAIL[10:])))))
    assert content(mail) == MAIL[10:]
    assert mail.missing == ((0, 10),)


@CUTS
@pytest.mark.parametrize("plus", [b"", b"+", b"-"])
def test_a_mail_that_is_stored(cut, plus):
    session = [
        *LOGIN,
        (ORIG, b'a3 APPEND "Sent Mail" (\\Seen) "11-Nov-1999 08:36:54 -0600" {%d%b}\r\n' % (len(MAIL), plus)),
        (RESP, b"+ go on\r\n"),
        (ORIG, MAIL + b"\r\na4 NOOP\r\n"),
        (RESP, b"a3 OK done\r\na4 OK done\r\n"),
    ]
    (mail,) = mails(run(parser(), cut(session)))
    assert (content(mail), mail.direction) == (MAIL, ORIG)
    assert mail.facts["tapscan.imap.command"] == "APPEND"
    assert mail.facts["tapscan.imap.mailbox"] == "Sent Mail"


@CUTS
def test_several_mails_may_be_stored_at_once_in_a_mailbox_named_by_a_literal(cut):
    command = b"a3 APPEND {4+}\r\nSent {%d+}\r\n%b (\\Seen) UTF8 (~{%d+}\r\n%b)\r\na4 FETCH 1 BODY[]\r\n"
    session = [
        *LOGIN,
        (ORIG, command % (len(MAIL), MAIL, len(SECOND), SECOND)),
        (RESP, b"a3 OK done\r\n" + fetch(1, b"BODY[]", MAIL)),
    ]
    found = mails(run(parser(), cut(session)))
    assert [content(mail) for mail in found] == [MAIL, SECOND, MAIL]
    assert found[0].facts["tapscan.imap.mailbox"] == "Sent"


def test_a_refused_mail_is_not_waited_for():
    session = [
        *LOGIN,
        (ORIG, b"a3 APPEND Sent {999}\r\n"),
        (RESP, b"a3 NO [OVERQUOTA] full\r\n"),
        (ORIG, b"a4 APPEND Sent {%d}\r\n" % len(SECOND)),
        (RESP, b"+ go on\r\n"),
        (ORIG, SECOND + b"\r\n"),
    ]
    assert [content(mail) for mail in mails(run(parser(), whole(session)))] == [SECOND]


def before(session, text):
    """Offset in the server's stream of `text`."""
    return b"".join(payload for direction, payload in session if direction == RESP).index(text)


def test_a_hole_in_a_literal_is_kept_and_the_rest_goes_on():
    session = asked(b"", fetch(1, b"BODY[]", MAIL), fetch(2, b"BODY[]", SECOND))
    at = before(session, b"first line")
    first, second = mails(run(parser(), holed(session, RESP, at, at + 5)))
    assert (first.missing_bytes, first.complete, content(second)) == (5, False, SECOND)
    assert content(first) == MAIL.replace(b"first", b"")


def test_a_hole_over_the_end_of_a_literal_costs_what_is_in_it():
    session = asked(b"", fetch(1, b"BODY[]", MAIL), b"* 3 EXISTS\r\n", fetch(2, b"BODY[]", SECOND))
    at = before(session, b"last\r\n")
    first, second = mails(run(parser(), holed(session, RESP, at + 2, at + 7)))
    assert (first.missing_bytes, content(second)) == (4, SECOND)


def test_a_hole_between_responses_is_passed():
    session = asked(b"", fetch(1, b"BODY[]", MAIL), fetch(2, b"BODY[]", SECOND))
    at = before(session, b"* 1 FETCH")
    found = mails(run(parser(), holed(session, RESP, at, at + 12)))
    assert [content(mail) for mail in found] == [SECOND]


def test_a_hole_among_the_commands_is_passed():
    session = [*LOGIN, (ORIG, b"a3 NOOP\r\na4 NOOP\r\na5 APPEND Sent {%d+}\r\n%b\r\n" % (len(MAIL), MAIL))]
    at = sum(len(payload) for direction, payload in LOGIN if direction == ORIG)
    (mail,) = mails(run(parser(), holed(session, ORIG, at + 2, at + 12)))
    assert content(mail) == MAIL
    (mail,) = mails(run(parser(), holed(session, ORIG, at + 60, at + 65)))
    assert mail.missing_bytes == 5


def test_a_mail_without_its_end_is_cut():
    session = asked(b"", b"* 1 FETCH (BODY[] {999}\r\n" + MAIL)
    (mail,) = mails(run(parser(), whole(session), how="reset"))
    assert (mail.cut, content(mail)) == ("reset", MAIL)


def test_the_server_alone_and_the_sides_swapped():
    session = asked(b"a3 FETCH 1 BODY[]\r\n", fetch(1, b"BODY[]", MAIL))
    alone = [one for one in session if one[0] == RESP]
    assert [content(mail) for mail in mails(run(parser(), whole(alone)))] == [MAIL]
    swapped = [(1 - direction, payload) for direction, payload in session]
    assert [(content(mail), mail.direction) for mail in mails(run(parser(), whole(swapped)))] == [(MAIL, ORIG)]


def test_a_flow_that_was_picked_up_in_a_mail():
    events = whole([(RESP, MAIL[30:] + b")\r\na3 OK FETCH done\r\n" + fetch(2, b"BODY[]", SECOND))])
    picked = Parser(origin(flow(resp=("10.0.0.2", 143), midstream=True)))
    assert content(mails(run(picked, events))[-1]) == SECOND


@CUTS
def test_tls_is_handed_on(cut):
    session = [LOGIN[0], (ORIG, b"a1 starttls\r\n"), (RESP, b"a1 OK begin\r\n"), (ORIG, b"\x16\x03\x01\0\5hello")]
    events, emitted, reader = cut(session), [], parser()
    for event in events:
        emitted += reader.feed(event)
        if emitted:
            break
    note, switch = emitted
    assert isinstance(note, Note)
    assert note.facts == {"tapscan.imap.starttls": True}
    assert isinstance(switch, Switch)
    assert not switch.rest
    assert not reader.feed(Data(ORIG, b"\x16\x03\x01", 1, 1))


def test_tls_is_known_where_the_agreement_was_not_seen():
    emitted = run(parser(), whole([LOGIN[0], (RESP, b"a1 OK go\r\n"), (ORIG, b"\x16\x03\x01")]))
    (switch,) = [one for one in emitted if isinstance(one, Switch)]
    assert [data.payload for data in switch.rest] == [b"\x16\x03\x01"]


def compressed(*pieces):
    """Deflated with a flush after each, one stream for all."""
    engine = zlib.compressobj(wbits=-15)
    return [engine.compress(piece) + engine.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]


COMPRESS = [*LOGIN, (ORIG, b"a3 COMPRESS DEFLATE\r\n")]


@CUTS
def test_a_compressed_session_is_read_on(cut):
    append = b"a5 APPEND Sent {%d+}\r\n%b\r\n" % (len(SECOND), SECOND)
    first, second = compressed(b"a4 FETCH 1 BODY[]\r\n", append)
    answer, end = compressed(fetch(1, b"BODY[]", MAIL * 50) + b"a4 OK done\r\n", b"a5 OK done\r\n")
    session = [*COMPRESS, (RESP, b"a3 OK active\r\n"), (ORIG, first), (RESP, answer), (ORIG, second), (RESP, end)]
    emitted = run(parser(), cut(session))
    assert [content(mail) for mail in mails(emitted)] == [MAIL * 50, SECOND]
    assert Note({"tapscan.imap.compressed": True}) in emitted


def test_compressed_bytes_may_follow_the_agreement_at_once():
    (answer,) = compressed(fetch(1, b"BODY[]", MAIL))
    session = [*COMPRESS, (RESP, b"a3 OK active\r\n" + answer)]
    assert [content(mail) for mail in mails(run(parser(), whole(session)))] == [MAIL]


def test_a_hole_ends_a_compressed_direction():
    answer = fetch(1, b"BODY[]", bytes(range(256)) * 40)
    (squeezed,) = compressed(answer)
    reader = parser()
    run_events = whole([*COMPRESS, (RESP, b"a3 OK active\r\n" + squeezed[:200])])
    emitted = [one for event in run_events for one in reader.feed(event)]
    emitted += reader.feed(Gap(RESP, 50, 9))
    emitted += reader.feed(Data(RESP, squeezed[250:], 9, 9))
    (mail,) = mails(emitted)
    assert mail.cut == "gap"
    assert "imap.compression_broken" in mail.findings


def test_a_bomb_ends_a_compressed_direction():
    (bomb,) = compressed(b"\0" * (1 << 20))
    reader = parser(decode_free=1 << 10)
    run(reader, whole([*COMPRESS, (RESP, b"a3 OK active\r\n" + bomb)]))
    assert reader._origin.memory.counters["decode_ratio"] == 1


def test_a_refused_compression_changes_nothing():
    session = [*COMPRESS, (RESP, b"a3 NO deflate is active\r\n" + fetch(1, b"BODY[]", MAIL))]
    assert [content(mail) for mail in mails(run(parser(), whole(session)))] == [MAIL]


def test_limits_hold():
    many = b"* 1 FETCH (ENVELOPE (" + b"{1}\r\nx " * 50 + b") BODY[] " + literal(MAIL) + b")\r\n"
    reader = parser(imap_literals=10)
    assert not mails(run(reader, whole(asked(b"", many, fetch(2, b"BODY[]", SECOND)))))[1:]
    assert reader._origin.memory.counters["imap_literals"]


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (b"", b"* OK ready\r\n", Answer.YES),
        (b"", b"* PREAUTH ready\r\n", Answer.YES),
        (b"", b"* O", Answer.MORE),
        (b"", b"* 12 FETCH (UID 5", Answer.YES),
        (b"", b"+OK ready\r\n", Answer.NO),
        (b"a1 CAPABILITY\r\n", b"", Answer.MORE),
        (b"a1 CAPABILITY\r\n", b"* OK hi\r\n", Answer.YES),
        (b"a001 UID FETCH 1:* FLAGS\r\n", b"", Answer.YES),
        (b"GET / HTTP/1.1\r\n", b"", Answer.NO),
        (b"", b"", Answer.MORE),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


PIECES = st.sampled_from(
    [
        b"* 1 FETCH (BODY[] {10}\r\n", b"0123456789", b")\r\n", b"a1 OK x\r\n", b"* OK hi\r\n", b"a2 APPEND x {3}\r\n",
        b"BODY[1", b"]<5> ", b'"', b"{2}\r\n", b"((((", b"BODYSTRUCTURE (", b"NIL ", b"{99999999999999}\r\n", b"\r\n",
        b"a3 COMPRESS DEFLATE\r\n", b"a3 OK\r\n", b"\\", b"<0>", b"{0}\r\n", b"* 1 EXPUNGE\r\n", b"a4 STARTTLS\r\n",
    ]
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 1), PIECES | st.binary(min_size=1, max_size=60)), max_size=30), st.data())
def test_any_bytes_and_holes_are_survived(pieces, data):
    events = whole(pieces)
    if events:
        at = data.draw(st.integers(0, len(events)))
        events.insert(at, Gap(data.draw(st.integers(0, 1)), data.draw(st.integers(1, 1 << 40)), 1))
    run(parser(), events)


@given(st.data())
def test_any_cutting_gives_the_same_mails(data):
    session = asked(b"", fetch(1, b"BODY[]", MAIL), b"* 2 FETCH (BODYSTRUCTURE " + STRUCTURE + b" BODY[2] ")
    session += [(RESP, literal(ENCODED) + b" BODY[1] NIL)\r\n")]
    events = []
    for event in whole(session):
        at = 0
        while at < len(event.payload):
            size = data.draw(st.integers(1, len(event.payload) - at))
            events.append(Data(event.direction, event.payload[at : at + size], event.began, event.time))
            at += size
    found = [content(one) for one in objects(run(parser(), events))]
    assert found == [content(one) for one in objects(run(parser(), whole(session)))]
    assert MAIL in found
    assert ATTACHED in found


def test_the_end_of_one_direction_is_heard_once():
    reader = parser()
    assert reader.close(Close(ORIG, "fin", 1)) == []
    assert reader.close(Close(RESP, "fin", 1)) == []

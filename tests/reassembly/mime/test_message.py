"""Whole mails: what comes out of them, in whatever pieces they come, with holes, and against all limits."""

import base64
import quopri
import time
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing import ENCODED, FILE, attachment, bodies, lines, mail, part, parts, pieces, read, told
from session import content, origin

from reassembly.mime import Message, parts_of

TEXT = part("Content-Type: text/plain", body=b"Hello\r\n\r\nBye")
INNER = mail(attachment(name="inner.bin"), boundary="inner", header=("Content-Type: multipart/mixed; boundary=inner",))
QUOTED = quopri.encodestring(FILE, quotetabs=True).replace(b"\n", b"\r\n")

MAILS = {
    "text alone": lines("From: a@example.org", "Subject: one", "", "Hello"),
    "header alone": lines("From: a@example.org", "Subject: one"),
    "header and empty line": lines("From: a@example.org", ""),
    "nothing": b"",
    "file alone": lines("From: a@example.org", "Content-Transfer-Encoding: base64", "") + ENCODED,
    "text and file": mail(TEXT, attachment()),
    "no end": mail(TEXT, attachment(), end=False),
    "quoted-printable": mail(TEXT, attachment(QUOTED, encoding="quoted-printable")),
    "binary": mail(attachment(FILE, encoding="binary")),
    "message": mail(part("Content-Type: message/rfc822", body=INNER)),
    "message in base64": mail(
        part("Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", body=base64.encodebytes(INNER))
    ),
    "digest": mail(part(body=INNER), header=("Content-Type: multipart/digest; boundary=cut",)),
    "inside": mail(part("Content-Type: multipart/mixed; boundary=inner", body=INNER.partition(b"\r\n\r\n")[2])),
    "uuencode in text": lines("A: b", "", "look:", "begin 644 a.bin", "#86)C", "`", "end", "that was it"),
    "hidden": lines("From: a@example.org", "") + mail(TEXT, attachment()).partition(b"\r\n\r\n")[2],
    "LF": mail(TEXT, attachment()).replace(b"\r\n", b"\n"),
    "CR": mail(TEXT, attachment()).replace(b"\r\n", b"\r"),
    "junk in base64": mail(attachment(ENCODED.replace(b"A", b"*A"))),
    "bad escapes": mail(attachment(b"=4=41=XY=\r\n= =42", encoding="quoted-printable")),
    "two types": mail(part("Content-Type: text/plain", "Content-Type: text/html", body=b"x")),
}  # fmt: skip


@pytest.mark.parametrize("name", MAILS)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_same_comes_out_however_it_is_cut(name, size):
    assert told(read(*pieces(MAILS[name], size))) == told(read(MAILS[name]))


@pytest.mark.parametrize("name", MAILS)
def test_the_whole_message_comes_last_and_is_the_bytes(name):
    *_, last = read(MAILS[name])
    assert last.kind == "email"
    assert content(last) == MAILS[name]
    assert last.complete


HOLDING = [
    "file alone", "text and file", "no end", "quoted-printable", "binary", "message", "message in base64", "digest",
    "inside", "hidden", "LF", "CR", "junk in base64",
]  # fmt: skip


@pytest.mark.parametrize("name", HOLDING)
def test_the_file_comes_out(name):
    assert FILE in bodies(MAILS[name])


@pytest.mark.parametrize("name", [name for name in MAILS if MAILS[name]])
def test_with_a_hole_at_any_place_everything_stays_marked(name):
    mail_bytes = MAILS[name]
    for start in range(0, len(mail_bytes), 41):
        objects = read(mail_bytes[:start], 17, mail_bytes[start + 17 :])
        assert content(objects[-1]) == mail_bytes[:start] + mail_bytes[start + 17 :]
        assert objects[-1].missing == ((start, start + 17),)
        assert objects[-1].cut == "gap"


def test_a_hole_in_an_attachment_is_found_again_in_its_bytes():
    big = bytes(range(256)) * 64
    whole = mail(TEXT, attachment(base64.encodebytes(big).replace(b"\n", b"\r\n").rstrip()))
    at = whole.index(b"AAECAwQ") + 78 * 20
    for start in range(at, at + 90):
        for length in (1, 2, 77, 78, 79, 500, 4000):
            text, file = parts(whole[:start], length, whole[start + length :])
            assert text.complete
            assert file.cut == "gap"
            ((begin, end),) = file.missing or ((0, 0),)  # only a line end is missing
            assert content(file) == big[:begin] + big[end:], (start, length)
            assert abs((end - begin) - length * 57 // 78) <= 6


def test_a_hole_over_a_delimiter_keeps_both_sides():
    whole = mail(attachment(name="one.bin"), attachment(name="two.bin"))
    at = whole.index(b"\r\n--cut", 100)
    (file,) = parts(whole[: at - 10], 300, whole[at + 290 :])
    assert file.name == "one.bin"
    assert file.cut == "gap"


def test_a_hole_in_a_header_is_told_on_its_part():
    whole = mail(TEXT, attachment())
    at = whole.index(b"Content-Disposition")
    _, file = parts(whole[:at], 30, whole[at + 30 :])
    assert content(file) == FILE
    assert file.cut == "gap"
    assert "mime.gap_in_header" in file.findings


def test_a_hole_from_a_header_into_its_body():
    whole = mail(TEXT, attachment(ENCODED * 6))
    at = whole.index(b"Content-Disposition")
    length = 200
    _, file = parts(whole[:at], length, whole[at + length :])
    assert file.cut == "gap"
    assert file.size > 2000


def test_what_is_told_of_the_message_stands_on_it_and_its_parts():
    header = (
        "Date: Thu, 29 Feb 2024 13:00:00 +0100", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "To: B <b@example.org>, c@d.e",
        "Message-ID: <1@example.org>", "Content-Type: multipart/mixed; boundary=cut",
    )  # fmt: skip
    objects = read(mail(TEXT, attachment(), header=header), of=origin())
    for one in objects:
        assert one.facts["email.from.address"] == ["a@example.org"]
        assert one.facts["email.to.address"] == ["b@example.org", "c@d.e"]
        assert one.facts["email.subject"] == "Grüße"
        assert one.facts["email.message_id"] == "1@example.org"
        assert one.facts["email.content_type"] == "multipart/mixed"
        assert one.facts["email.origination_timestamp"] == "2024-02-29T12:00:00Z"


def test_the_envelope_stays_on_all_objects():
    message = Message(origin(), 0, "smtp", 1, {"tapscan.smtp.mail_from": "x@y.z"})
    found = message.feed(mail(TEXT), 2) + message.finish(3)
    assert [one.facts["tapscan.smtp.mail_from"] for one in found] == ["x@y.z"] * 2


def test_a_part_tells_what_its_header_said():
    (file,) = parts(mail(attachment(ENCODED.rstrip(), "Content-ID: <7@x>")))
    assert file.name == "file.bin"
    assert file.declared_type == "application/octet-stream"
    assert file.codings == ("base64",)
    assert file.protocol == "smtp"
    assert file.facts["tapscan.mime.disposition"] == "attachment"
    assert file.facts["tapscan.mime.encoding"] == "base64"
    assert file.facts["tapscan.mime.content_id"] == "7@x"


def test_parts_are_numbered_as_imap_does_and_hang_on_what_holds_them():
    inside = part("Content-Type: multipart/mixed; boundary=inner", body=INNER.partition(b"\r\n\r\n")[2])
    objects = read(mail(TEXT, inside, part("Content-Type: message/rfc822", body=INNER)))
    whole = objects[-1]
    by_path = {one.facts["tapscan.mime.path"]: one for one in objects[:-1]}
    assert sorted(by_path) == ["1", "2.1", "3", "3.1"]
    assert [by_path[path].parent for path in ("1", "2.1", "3")] == [whole.id] * 3
    assert by_path["3.1"].parent == by_path["3"].id
    assert (whole.depth, by_path["1"].depth, by_path["3.1"].depth) == (0, 1, 2)


def test_parts_come_as_soon_as_they_end():
    message = Message(origin(), 0, "smtp", 1)
    assert message.feed(mail(TEXT, end=False), 2) == []
    (text,) = message.feed(b"--cut\r\n", 3)
    assert content(text) == b"Hello\r\n\r\nBye"
    assert (text.began, text.time) == (2, 3)
    assert message.feed(attachment() + b"\r\n--cut--", 4) == []  # more could follow on this line
    (file,) = message.feed(b"\r\n", 5)
    assert content(file) == FILE
    assert [one.kind for one in message.finish(6)] == ["email"]


def test_a_cut_message_marks_what_was_open():
    objects = read(mail(TEXT, attachment(), end=False), cut="reset")
    assert [one.cut for one in objects] == [None, "reset", "reset"]


@pytest.mark.parametrize(("body", "kept"), [(b"a\r\n\r\n", b"a\r\n"), (b"a\r\n", b"a"), (b"\r\n", b""), (b"a\n", b"a")])
def test_the_line_end_before_a_delimiter_is_its(body, kept):
    head = b"From: a@b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\n"
    assert bodies(head + body + b"--c--\r\n") == [kept]


def test_a_finished_message_is_read_like_one_that_arrives():
    found = {one.name: one for one in read(mail(part('Content-Type: message/rfc822; name="m.eml"', body=INNER)))}
    whole, (inner, *rest) = found["m.eml"], parts_of(found["m.eml"], origin().memory)
    assert not rest
    assert (inner.name, content(inner)) == ("inner.bin", FILE)
    assert inner.parent == whole.id
    assert inner.depth == whole.depth + 1
    assert inner.facts["email.from.address"] == ["a@example.org"]


def test_a_finished_message_with_a_hole_is_read_with_it():
    body = mail(attachment(ENCODED * 20))
    whole = read(body[:4000], 156, body[4156:])[-1]
    (file,) = parts_of(whole, origin().memory)
    assert file.cut == "gap"
    assert file.missing_bytes in range(110, 118)


# limits


def test_too_many_parts():
    where = origin(mime_parts=5)
    objects = read(mail(*[TEXT] * 20), of=where)
    assert len(objects) == 5
    assert "mime.too_many_parts" in objects[-1].findings
    assert where.memory.counters["mime_parts"] == 1


def test_too_deep_multiparts_stay_text():
    nested = b"".join(lines(f"Content-Type: multipart/mixed; boundary=b{n}", "", f"--b{n}") for n in range(9))
    where = origin(mime_depth=4)
    objects = read(nested + b"\r\nx", of=where)
    assert any(one.cut == "limit:mime_depth" for one in objects)
    assert where.memory.counters["mime_depth"] >= 1


def test_too_deep_messages_stay_whole():
    where = origin(mime_messages=3)
    objects = parts(lines(*["Content-Type: message/rfc822", ""] * 9, "A: b", "", "end"), of=where)
    assert len(objects) == 4
    assert [one.cut for one in sorted(objects, key=lambda one: one.depth)] == [None] * 3 + ["limit:mime_messages"]


def test_a_flood_of_header_lines():
    where = origin(header_lines=10, header_bytes=1000)
    whole = lines("Subject: one", *["X: y"] * 5000, "", "body")
    objects = read(whole, of=where)
    assert [content(one) for one in objects] == [b"body\r\n", whole]
    assert where.memory.counters["header_bytes"] + where.memory.counters["header_lines"] > 0
    assert "mime.header_limit" in objects[0].findings


def test_a_line_without_end_is_not_held():
    where = origin(header_bytes=1000)
    message = Message(where, 0, "smtp", 1)
    for _ in range(300):
        message.feed(b"X" * 1000, 2)
    assert where.memory.held <= 301_000  # the whole message; nothing else
    assert [one.size for one in message.finish(3) if one.kind == "email"] == [300_000]


def test_other_readings_are_bounded():
    doubtful = mail(attachment(ENCODED.replace(b"A", b"*A")))
    assert len(read(doubtful)) > 2
    where = origin(mime_readings=0)
    assert len(read(doubtful, of=where)) == 2
    assert where.memory.counters["mime_readings"] == 1
    assert len(read(doubtful, mime_alternatives=1)) == 3
    assert len(read(doubtful, mime_reread_bytes=100)) == 2


# nothing is quadratic: each of these takes a few tenths of a second, and hours if it were

HEAD = lines("From: a@b.c", "Content-Type: multipart/mixed; boundary=cut", "", "--cut")
FLOODS = {
    "short lines": HEAD + attachment(b"AAAA\r\n" * 100_000),
    "parts": HEAD + b"--cut\r\n\r\nx\r\n" * 10_000,
    "lines like delimiters": HEAD + b"--cut\r\n\r\n" + b"--cuT\r\n" * 100_000,
    "longer delimiters": HEAD + b"--cut\r\n\r\n" + b"--cut2\r\n" * 100_000,
    "CR and hyphens": HEAD + b"--cut\r\n\r\n" + b"\r--c" * 100_000,
    "hyphens": HEAD + b"-" * 1_000_000,
    "CR": HEAD + b"\r" * 1_000_000,
    "LF": HEAD + b"\n" * 1_000_000,
    "padding": HEAD + attachment(b"A=A=" * 100_000),
    "escapes": HEAD + attachment(b"=" * 1_000_000, encoding="quoted-printable"),
    "spaces": HEAD + attachment(b" " * 1_000_000, encoding="quoted-printable"),
    "begins": b"A: b\r\n\r\n" + b"begin 644 a\r\n" * 50_000,
    "hidden delimiters": b"A: b\r\n\r\n" + b"--a\r\nContent-a: b\r\n\r\n" * 20_000,
    "comments": b"Content-Type: text/plain; " + b"(" * 200_000 + b"\r\n\r\n",
    "quotes": b'Content-Type: text/plain; name="' + b'\\"(' * 60_000 + b"\r\n\r\n",
    "parameters": b"Content-Type: text/plain; " + b"a*1=b;" * 40_000 + b"\r\n\r\n",
    "encoded words": b"Subject: " + b"=?a?b?" * 40_000 + b"\r\n\r\n",
    "addresses": b"To: " + b"a@b," * 60_000 + b"\r\n\r\n",
    "quoted names": b"To: " + b'"' * 60_001 + b"\r\n\r\n",
    "multiparts": b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(999)
    ),
    "messages": b"Content-Type: message/rfc822\r\n\r\n" * 3000,
    "junk in a header": b"A: b\r\n" + b"junk\r\n" * 100_000,
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("size", [4000, 1 << 24])
def test_floods_take_linear_time(name, size):
    begun = time.process_time()
    read(*pieces(FLOODS[name], size))
    assert time.process_time() - begun < 8


def test_a_large_attachment_is_decoded_in_bulk():
    big = bytes(range(256)) * 20_000
    whole = mail(attachment(base64.encodebytes(big).replace(b"\n", b"\r\n").rstrip()))
    begun = time.process_time()
    assert big in bodies(*pieces(whole, 1 << 16))
    assert time.process_time() - begun < 1


def test_memory_stays_within_its_limits():
    where = origin(object_memory=100_000)
    message = Message(where, 0, "smtp", 1)
    message.feed(HEAD + attachment(b""), 2)
    for _ in range(200):
        message.feed(ENCODED * 10, 3)
        assert where.memory.held < 300_000
    big, whole = message.finish(4)
    assert big.size == len(FILE) * 2000
    assert whole.content.file is not None


# properties

PIECES = st.sampled_from(
    [
        *(b"--a", b"--a--", b"--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"begin 644 a", b"end", b"#86)C", b"=yend"),
        *(
            b"QUJD",
            b"QUI=",
            b"=",
            b"=41",
            b" ",
            b"\t",
            b":",
            b"\0",
            b"\xff",
            b"(",
            b'"',
            b"Content-",
            b"-",
            b"=\r\n",
            b"X: y",
        ),
        *(b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: message/rfc822", b"=?utf-8?b?QQ==?="),
        *(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: x-uue", b"=ybegin line=128 size=1 name=a"),
        *(b"Content-Transfer-Encoding: quoted-printable", b"filename*0=a; filename*1*=''%41"),
    ]
)
MADE = st.lists(PIECES | st.binary(max_size=4), max_size=40).map(b"".join)


@given(MADE, st.lists(st.integers(1, 60), max_size=12))
def test_any_cutting_gives_the_same(made, cuts):
    given_pieces, at = [], 0
    for size in cuts:
        given_pieces.append(made[at : at + size])
        at += size
    assert told(read(*given_pieces, made[at:])) == told(read(made))


@given(st.lists(MADE | st.integers(1, 10**12), max_size=6))
def test_nothing_raises_and_the_message_stays(made):
    *_, whole = read(*made)
    assert content(whole) == b"".join(one for one in made if isinstance(one, bytes))
    assert whole.missing_bytes == sum(one for one in made if isinstance(one, int))


@given(st.binary(max_size=3000))
def test_any_bytes_are_a_message(made):
    assert read(made)[-1].size == len(made)


names = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters='/\\"'), min_size=1, max_size=40)


@given(
    st.lists(st.tuples(st.binary(max_size=400), names), min_size=1, max_size=4),
    st.sampled_from([SMTP, SMTPUTF8]),
    st.sampled_from(["base64", "quoted-printable"]),
)
def test_what_the_standard_library_makes_comes_back(files, policy, encoding):
    message = EmailMessage(policy=policy)
    message["Subject"] = "files"
    message.set_content("see inside\n")
    for payload, name in files:
        message.add_attachment(payload, "application", "octet-stream", filename=name + ".bin", cte=encoding)
    found = {(one.name, content(one)) for one in parts(message.as_bytes())}
    assert {(name + ".bin", payload) for payload, name in files} <= found

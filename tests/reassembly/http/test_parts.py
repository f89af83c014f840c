"""Bodies of several parts: forms, ranges, mixed pages; whole, byte by byte, and with holes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, content, holed, objects, origin, run, whole

from reassembly.protocols.http1 import Parser

each_way = pytest.mark.parametrize("feed", [whole, bytewise], ids=["whole", "bytewise"])
FILE = b"MZ\x90\0" + bytes(range(256)) + b"\r\n--bound\r\n--boun\r\n\r\n"


def form(*parts, boundary=b"boundary", end=b"--\r\n", breaks=b"\r\n"):
    out = b""
    for head, body in parts:
        out += b"--" + boundary + breaks + breaks.join(head) + breaks + breaks + body + breaks
    return out + b"--" + boundary + end


def upload(body, kind=b"multipart/form-data; boundary=boundary"):
    head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    return [(0, head + body)]


def parse(session, feed=whole, **limits):
    return objects(run(Parser(origin(**limits)), feed(session)))


FIELD = ([b'Content-Disposition: form-data; name="a"'], b"short")
ONE = (
    [b'Content-Disposition: form-data; name="f"; filename="C:\\\\x\\\\setup.exe"', b"Content-Type: Application/X"],
    FILE,
)
TWO = ([b"Content-Disposition: form-data; name=g; filename*=UTF-8''%e2%82%ac.txt"], b"two")


@each_way
@pytest.mark.parametrize("breaks", [b"\r\n", b"\n"])
def test_a_form(feed, breaks):
    body = form(FIELD, ONE, TWO, breaks=breaks)
    found = parse(upload(body), feed)
    (outer,) = (one for one in found if one.depth == 0)
    one, two = (part for part in found if part.depth == 1)
    assert content(outer) == body
    assert (content(one), one.name, one.declared_type) == (FILE, "setup.exe", "application/x")
    assert (content(two), two.name) == (b"two", "€.txt")
    assert {part.parent for part in (one, two)} == {outer.id}
    assert one.facts["tapscan.http.field"] == "f"
    assert one.facts["http.request.method"] == "POST"
    assert one.complete
    assert two.complete


@each_way
def test_a_large_field_is_an_object(feed):
    large = ([b'Content-Disposition: form-data; name="a"'], b"x" * 1000)
    assert [one.size for one in parse(upload(form(FIELD, large)), feed) if one.depth] == [1000]


@each_way
def test_no_end_and_no_line_before_the_first_part(feed):
    body = form(ONE)[: -len(b"\r\n--boundary--\r\n")]
    part, outer = sorted(parse(upload(body), feed), key=lambda one: -one.depth)
    assert (content(part), part.cut, outer.cut) == (FILE, "fin", None)


@each_way
def test_preamble_and_epilogue(feed):
    body = b"preamble\r\n" + form(ONE) + b"epilogue\r\n--boundary\r\n\r\nno part"
    assert [content(one) for one in parse(upload(body), feed) if one.depth] == [FILE]


@each_way
@pytest.mark.parametrize(
    "kind",
    [b'multipart/mixed; boundary="boundary"', b"MULTIPART/FORM-DATA; charset=x; BOUNDARY=boundary", b"multipart/x",
     b"text/plain; boundary=boundary"],
)  # fmt: skip
def test_kinds_of_multipart(kind, feed):
    assert FILE in [content(one) for one in parse(upload(form(ONE, TWO), kind), feed)]


@each_way
def test_parts_of_parts(feed):
    inner = form(ONE, TWO, boundary=b"inner")
    outer = form(([b"Content-Type: multipart/mixed; boundary=inner"], inner), FIELD)
    found = parse(upload(outer), feed)
    assert sorted(one.depth for one in found) == [0, 1, 2, 2]
    assert [content(one) for one in found if one.depth == 2] == [FILE, b"two"]


def test_parts_of_parts_have_an_end():
    body = b"x"
    for number in range(50):
        name = b"b%d" % number
        body = form(([b"Content-Type: multipart/x; boundary=" + name], body), boundary=name)
    found = parse(upload(body, b"multipart/x; boundary=b49"))
    assert max(one.depth for one in found) <= 9


@each_way
def test_ranges(feed):
    one = ([b"Content-Type: application/pdf", b"Content-Range: bytes 0-4/20"], b"%PDF-")
    two = ([b"Content-Type: application/pdf", b"Content-Range: bytes 10-12/20"], b"abc")
    body = form(one, two)
    answer = b"HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=boundary\r\n\r\n" + body
    found = parse([(0, b"GET /a.pdf HTTP/1.1\r\nHost: a\r\n\r\n"), (1, answer)], feed)
    parts = [(content(part), part.name, part.facts["tapscan.http.range"]) for part in found if part.depth]
    assert parts == [(b"%PDF-", "a.pdf", "bytes 0-4/20"), (b"abc", "a.pdf", "bytes 10-12/20")]


@each_way
def test_transfer_encodings_that_some_clients_undo(feed):
    coded = ([b"Content-Type: a/b", b"Content-Transfer-Encoding: Base64"], base64.encodebytes(FILE))
    quoted = ([b"Content-Type: a/b", b"Content-Transfer-Encoding: quoted-printable"], b"a=3Db")
    found = [content(one) for one in parse(upload(form(coded, quoted)), feed)]
    assert FILE in found
    assert b"a=b" in found
    assert base64.encodebytes(FILE) in found


@each_way
def test_a_mail_as_a_page(feed):
    mail = b"Content-Type: application/x\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(FILE), FILE)
    (part, outer) = sorted(parse(upload(mail, b"message/rfc822"), feed), key=lambda one: -one.depth)
    assert content(part) == FILE
    assert content(outer) == mail


def test_a_hole_in_a_part():
    session = upload(form(ONE, TWO))
    start = session[0][1].index(b"MZ")
    found = parse(session, lambda given: holed(given, 0, start + 10, start + 20))
    one, two, outer = sorted(found, key=lambda part: (-part.depth, part.name or ""))
    assert content(one) == FILE[:10] + FILE[20:]
    assert (one.missing_bytes, one.cut) == (10, "gap")
    assert (two.size, two.complete) == (3, True)
    assert outer.missing_bytes == 10


def test_parts_are_counted():
    source = origin(mime_parts=5)
    found = objects(run(Parser(source), whole(upload(form(*[TWO] * 20)))))
    assert len(found) == 6
    assert source.memory.counters["mime_parts"] == 1
    assert source.memory.held == 0


def test_parts_come_out_while_the_body_goes_on():
    ((_, raw),) = upload(form(ONE, TWO))
    parser = Parser(origin())
    emitted = run(parser, whole([(0, raw[:-30]), (0, raw[-30:])])[:1], how="reset")
    assert content(objects(emitted)[0]) == FILE


@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=5), st.integers(1, 60))
def test_any_content_in_any_cut(files, size):
    parts = [([b"Content-Type: a/b"], content) for content in files]
    ((_, raw),) = upload(form(*parts, boundary=b"\xff\xfe unlikely"), b'multipart/x; boundary="\xff\xfe unlikely"')
    pieces = [(0, raw[at : at + size]) for at in range(0, len(raw), size)]
    assert [content(one) for one in parse(pieces) if one.depth] == files

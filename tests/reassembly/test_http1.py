"""HTTP/1 as it should be: whole, byte by byte and with holes; pairing, framing, names, and what cuts a message off."""

import gzip
import hashlib
import http.client
import http.server
import threading
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session import bytewise, content, flow, holed, objects, origin, run, whole

from reassembly.events import ORIG, RESP, Close, Data, Gap, Switch
from reassembly.protocols import Answer
from reassembly.protocols.http1 import Parser, probe

PAGE = b"<html><body>" + b"x" * 300 + b"</body></html>"
GET = b"GET /a/page.html?q=1 HTTP/1.1\r\nHost: www.example.org:8080\r\nUser-Agent: test/1\r\nReferer: http://b/\r\n\r\n"


def ok(body=PAGE, fields=b"", status=b"200 OK", length=True):
    sized = b"Content-Length: %d\r\n" % len(body) if length else b""
    return b"HTTP/1.1 " + status + b"\r\n" + sized + fields + b"\r\n" + body


def chunked(body, size=7):
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def parse(session, feed=whole, how="fin", of=None, **limits):
    return run(Parser(origin(of or flow(resp=("10.0.0.2", 80)), **limits)), feed(session), how)


def bodies(emitted):
    return [content(one) for one in objects(emitted)]


each_way = pytest.mark.parametrize("feed", [whole, bytewise], ids=["whole", "bytewise"])


@each_way
def test_a_page(feed):
    (page,) = objects(parse([(0, GET), (1, ok(fields=b"Content-Type: Text/HTML; charset=utf-8\r\n"))], feed))
    assert content(page) == PAGE
    assert (page.kind, page.name, page.declared_type, page.direction) == ("web_page", "page.html", "text/html", RESP)
    assert page.complete
    assert page.sha256 == hashlib.sha256(PAGE).hexdigest()
    assert page.findings == ()
    assert dict(page.facts) == {
        "http.request.method": "GET",
        "http.request.referrer": "http://b/",
        "http.response.status_code": 200,
        "http.version": "1.1",
        "url.domain": "www.example.org",
        "url.full": "http://www.example.org:8080/a/page.html?q=1",
        "url.original": "/a/page.html?q=1",
        "url.path": "/a/page.html",
        "url.port": 8080,
        "url.query": "q=1",
        "url.scheme": "http",
        "user_agent.original": "test/1",
    }


FRAMES = {
    "length": ok(),
    "chunked": ok(chunked(PAGE), b"Transfer-Encoding: chunked\r\n", length=False),
    "extensions and trailers": ok(
        b"5;a=b\r\n<html\r\n%x  \r\n%b\r\n0\r\nA: b\r\n\r\n" % (len(PAGE) - 5, PAGE[5:]),
        b"Transfer-Encoding: chunked\r\n",
        length=False,
    ),
    "gzip": ok(gzip.compress(PAGE), b"Content-Encoding: gzip\r\n"),
    "gzip in chunks": ok(
        chunked(gzip.compress(PAGE)), b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", length=False
    ),
    "gzip as transfer coding": ok(
        chunked(gzip.compress(PAGE)), b"Transfer-Encoding: gzip, chunked\r\n", length=False
    ),
    "repeated length": ok(fields=b"Content-Length: %d\r\n" % len(PAGE)),
    "bare LF": ok().replace(b"\r\n", b"\n"),
    "folded field": ok(fields=b"X-Long: a\r\n b\r\n"),
    "many fields": ok(fields=b"".join(b"X-%d: y\r\n" % number for number in range(300))),
}  # fmt: skip


@each_way
@pytest.mark.parametrize("name", FRAMES)
def test_messages_follow_each_other_however_they_are_framed(name, feed):
    emitted = parse([(0, GET * 3), (1, FRAMES[name] + ok(b"second") + FRAMES[name])], feed)
    assert bodies(emitted) == [PAGE, b"second", PAGE]
    assert all(one.complete for one in objects(emitted))


@each_way
def test_a_body_to_the_end_of_the_stream(feed):
    (page,) = objects(parse([(0, GET), (1, ok(length=False))], feed))
    assert (content(page), page.cut) == (PAGE, None)


@pytest.mark.parametrize("how", ["reset", "timeout", "eviction", "end_of_capture"])
def test_a_body_whose_end_was_not_seen(how):
    (page,) = objects(parse([(0, GET), (1, ok(length=False))], how=how))
    assert (content(page), page.cut, page.complete) == (PAGE, how, False)


@each_way
@pytest.mark.parametrize("fields", [b"Content-Length: 900\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_is_cut_off(fields, feed):
    body = PAGE if b"Length" in fields else chunked(PAGE)[:-5]
    (page,) = objects(parse([(0, GET), (1, ok(body, fields, length=False))], feed))
    assert (content(page), page.cut) == (PAGE, "fin")


@each_way
def test_messages_without_body(feed):
    head = b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n"
    answers = (
        ok(b"", b"Content-Length: 999\r\n", length=False)  # to HEAD
        + b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
        + b"HTTP/1.1 204 No Content\r\n\r\n"
        + b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12345\r\n\r\n"
        + ok(b"")
        + ok(b"last")
    )
    emitted = parse([(0, head + GET * 3 + GET.replace(b"page.html", b"last.txt")), (1, answers)], feed)
    (last,) = objects(emitted)
    assert (content(last), last.name) == (b"last", "last.txt")


@each_way
def test_responses_are_paired_in_order(feed):
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(5))
    emitted = parse([(0, requests), (1, b"".join(ok(b"body %d" % number) for number in range(5)))], feed)
    assert [(one.name, content(one)) for one in objects(emitted)] == [
        (str(number), b"body %d" % number) for number in range(5)
    ]


def test_a_response_that_was_captured_before_its_request():
    session = [(1, ok(b"one")), (0, GET), (0, GET.replace(b"page.html", b"two")), (1, ok(b"two"))]
    one, two = objects(parse(session))
    assert (content(one), one.name, two.name) == (b"one", None, "two")


@each_way
def test_one_direction_alone(feed):
    assert bodies(parse([(1, ok() + ok(b"b"))], feed)) == [PAGE, b"b"]
    (upload,) = objects(parse([(0, b"PUT /up.bin HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")], feed))
    assert (content(upload), upload.name, upload.direction, upload.kind) == (b"abc", "up.bin", ORIG, "file")


@each_way
def test_directions_of_a_flow_that_was_picked_up_in_the_middle(feed):
    late = flow(resp=("10.0.0.2", 50000), midstream=True)
    emitted = parse([(1, GET), (0, ok())], whole, of=late)
    assert [(content(one), one.direction) for one in objects(emitted)] == [(PAGE, ORIG)]
    emitted = parse([(1, b"tail of a body"), (1, ok())], whole, of=flow(midstream=True))
    assert bodies(emitted) == [PAGE]


@each_way
def test_uploads(feed):
    session = [
        (0, b"POST /form HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"),
        (1, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (0, b"a=1&b=2PUT /up%20load.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"data")),
        (1, ok(b"", status=b"201 Created") + ok(b"done")),
    ]
    form, upload, done = objects(parse(session, feed))
    assert (content(form), form.facts["http.request.method"], form.direction) == (b"a=1&b=2", "POST", ORIG)
    assert (content(upload), upload.name) == (b"data", "up load.bin")
    assert (content(done), done.name, done.facts["http.request.method"]) == (b"done", "up load.bin", "PUT")


@each_way
def test_a_body_without_a_length_after_a_request(feed):
    post = b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n"
    (body,) = objects(parse([(0, post + b"name=value&other=thing")], feed))
    assert (content(body), body.findings) == (b"name=value&other=thing", ("http.data_after_message",))


@each_way
def test_bytes_behind_a_response_are_for_clients_that_read_on(feed):
    found = bodies(parse([(0, GET), (1, ok() + b"$and more")], feed))
    assert found[0] == PAGE
    assert found[1].endswith(b"$and more")
    assert bodies(parse([(0, GET), (1, ok() + b"\r\n\r\n")], feed)) == [PAGE]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        (b'attachment; filename="a b.exe"', "a b.exe"),
        (b"attachment; filename=plain.txt", "plain.txt"),
        (b"attachment; filename*=UTF-8''na%C3%AFve.txt; filename=\"x\"", "naïve.txt"),
        (b'attachment; filename="..\\\\..\\\\evil.exe"', "evil.exe"),
        (b'attachment; filename="../../etc/passwd"', "passwd"),
        (b'attachment; filename="caf\xe9.txt"', "café.txt"),
        (b'attachment; filename="unclosed.txt', "unclosed.txt"),
        (b"attachment; filename*=bogus''x%ff.txt", "xÿ.txt"),
        (b"inline", "page.html"),
        (b'attachment; filename=""', "page.html"),
    ],
)
def test_names_from_content_disposition(disposition, name):
    (one,) = objects(parse([(0, GET), (1, ok(fields=b"Content-Disposition: " + disposition + b"\r\n"))]))
    assert one.name == name


@pytest.mark.parametrize(
    ("target", "name", "facts"),
    [
        (b"/", None, {"url.path": "/"}),
        (b"/a/%66ile.zip?x=/y", "file.zip", {"url.path": "/a/%66ile.zip", "url.query": "x=/y"}),
        (b"http://User@Other.example:81/z.gif", "z.gif", {"url.domain": "other.example", "url.port": 81}),
        (b"https://h/", None, {"url.scheme": "https", "url.domain": "h"}),
        (b"*", None, {"url.original": "*"}),
        (b"/caf\xe9", "café", {"url.path": "/café"}),
        (b"/x#frag", "x", {"url.path": "/x"}),
    ],
)
def test_names_and_facts_from_the_target(target, name, facts):
    request = b"GET " + target + b" HTTP/1.1\r\nHost: [::1]\r\n\r\n"
    (one,) = objects(parse([(0, request), (1, ok())]))
    assert one.name == name
    assert facts.items() <= one.facts.items()


def test_a_range_says_which():
    partial = ok(b"abc", b"Content-Range: bytes 5-7/100\r\n", status=b"206 Partial Content")
    (one,) = objects(parse([(0, GET), (1, partial)]))
    assert one.facts["tapscan.http.range"] == "bytes 5-7/100"


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        (b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "http.te_and_cl"),
        (b"Transfer-Encoding: xchunked\r\n", "http.invalid_transfer_encoding"),
        (b"Content-Length: 3, 4\r\n", "http.invalid_content_length"),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", "http.duplicate_content_length"),
        (b"Content-Encoding: chunked\r\n", "http.chunked_as_content_encoding"),
        (b"Transfer-Encoding : chunked\r\n", "http.malformed_head"),
        (b"X: a\r\n b\r\n", "http.folded_field"),
        (b"Content-Encoding: gzip\r\n", "http.coding_not_applied"),
        (b"Content-Encoding: foo\r\n", "http.unknown_coding"),
    ],
)
def test_findings_name_what_is_odd(fields, finding):
    found = objects(parse([(0, GET), (1, ok(chunked(PAGE), fields, length=False))]))
    assert all(finding in one.findings for one in found)
    assert found


def test_both_readings_of_two_framings():
    answer = ok(chunked(b"one reading"), b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n", length=False)
    found = objects(parse([(0, GET * 2), (1, answer + ok(b"next"))]))
    assert [content(one) for one in found] == [b"one reading", b"7\r\none re", b"next"]
    assert ["http.ambiguous_framing" in one.findings for one in found] == [True, True, False]


# Other protocols

TUNNEL = b"CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n"


def rest(emitted, direction):
    (switch,) = (one for one in emitted if isinstance(one, Switch))
    return b"".join(data.payload for data in switch.rest if data.direction == direction)


def test_connect():
    parser = Parser(origin())
    assert parser.feed(Data(0, TUNNEL + b"\x16\x03\x01early", 1, 1)) == []
    emitted = parser.feed(Data(1, b"HTTP/1.1 200 Connection established\r\n\r\n\x16\x03\x03hello", 2, 2))
    assert rest(emitted, 0) == b"\x16\x03\x01early"
    assert rest(emitted, 1) == b"\x16\x03\x03hello"
    assert parser.feed(Data(0, GET, 3, 3)) == []
    assert parser.close(Close(0, "fin", 4)) == []


@each_way
def test_connect_refused(feed):
    session = [(0, TUNNEL), (1, ok(b"no", status=b"407 Proxy Authentication Required")), (0, GET), (1, ok())]
    assert bodies(parse(session, feed)) == [b"no", PAGE]
    session = [(0, TUNNEL + GET), (1, ok(b"no", status=b"403 Forbidden") + ok())]
    assert b"no" in bodies(parse(session, feed))


def test_upgrade():
    ask = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x05hello"
    emitted = parse([(0, ask), (1, answer)])
    assert rest(emitted, 1) == b"\x81\x05hello"
    upgrade = ask.replace(b"websocket", b"h2c") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    emitted = parse([(0, upgrade), (1, b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n\0\0\0")])
    assert rest(emitted, 1) == b"\0\0\0"


@each_way
def test_upgrade_not_taken(feed):
    ask = GET[:-2] + b"Upgrade: h2c\r\n\r\n"
    assert bodies(parse([(0, ask), (1, ok()), (0, GET), (1, ok(b"b"))], feed)) == [PAGE, b"b"]


# Holes

SESSION = [(0, GET), (1, ok(b"0123456789" * 10)), (0, GET), (1, ok(b"second")), (0, GET), (1, ok(b"third"))]
FIRST = len(ok(b"0123456789" * 10)) - 100


def test_a_hole_in_a_body_of_known_length():
    first, *others = objects(parse_holed(SESSION, FIRST + 20, FIRST + 50))
    assert content(first) == b"0123456789" * 2 + b"0123456789" * 5
    assert (first.missing, first.cut, first.complete) == (((20, 50),), "gap", False)
    assert [content(one) for one in others] == [b"second", b"third"]


def parse_holed(session, start, end, direction=1):
    return run(Parser(origin()), holed(session, direction, start, end))


def test_a_hole_over_the_end_of_a_body():
    first, *others = objects(parse_holed(SESSION, FIRST + 90, FIRST + 110))
    assert (content(first), first.missing) == ((b"0123456789" * 10)[:90], ((90, 100),))
    assert [content(one) for one in others] == [b"second", b"third"]


def test_a_hole_up_to_the_end_of_a_body():
    first, *others = objects(parse_holed(SESSION, FIRST + 90, FIRST + 100))
    assert first.missing == ((90, 100),)
    assert [content(one) for one in others] == [b"second", b"third"]


def test_a_hole_in_the_requests():
    assert bodies(parse_holed(SESSION, 5, 20, direction=0)) == bodies(parse(SESSION))


def test_a_hole_in_a_head_keeps_the_body():
    raw = ok(b"the body", b"Server: something\r\nContent-Type: text/plain\r\n")
    start = raw.index(b"Server")
    found = objects(parse_holed([(0, GET), (1, raw)], start, start + 12))
    assert b"the body" in [content(one) for one in found]


def test_a_hole_in_a_body_to_the_end():
    (page,) = objects(parse_holed([(0, GET), (1, ok(length=False))], 40, 60))
    assert page.missing_bytes == 20
    assert page.cut == "gap"


def test_a_hole_within_a_chunk():
    raw = ok(chunked(PAGE, 100), b"Transfer-Encoding: chunked\r\n", length=False)
    start = raw.index(b"<html")
    page, second = objects(parse_holed([(0, GET * 2), (1, raw), (1, ok(b"second"))], start + 10, start + 30))
    assert content(page) == PAGE[:10] + PAGE[30:]
    assert page.missing == ((10, 30),)
    assert content(second) == b"second"


def test_a_hole_over_chunks():
    body = bytes(range(256)) * 4
    raw = ok(chunked(body, 64), b"Transfer-Encoding: chunked\r\n", length=False)
    start = raw.index(b"\r\n\r\n") + 4
    page, second = objects(parse_holed([(0, GET * 2), (1, raw), (1, ok(b"second"))], start + 100, start + 300))
    assert content(page).startswith(body[:90])
    assert content(page).endswith(body[-640:])
    assert page.cut == "gap"
    assert content(second) == b"second"


def test_a_hole_in_a_coded_body():
    body = b"".join(b"%d " % (number * number) for number in range(3000))
    raw = ok(gzip.compress(body), b"Content-Encoding: gzip\r\n")
    page, second = objects(parse_holed([(0, GET * 2), (1, raw), (1, ok(b"second"))], len(raw) - 3000, len(raw) - 2900))
    assert 0 < page.size < len(body)
    assert body.startswith(content(page))
    assert page.cut == "gap"
    assert content(second) == b"second"


def test_a_message_in_doubt_ends_at_a_hole():
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n" + chunked(PAGE)
    page, *_ = objects(parse_holed([(0, GET), (1, raw), (1, ok(b"x"))], len(raw) - 10, len(raw)))
    assert PAGE.startswith(content(page))


# Bounds


def test_a_head_without_end_is_given_up():
    parser = Parser(origin(header_bytes=1000))
    endless = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 3000
    events = bytewise([(1, endless)]) + whole([(1, ok())])
    emitted = run(parser, events)
    assert bodies(emitted) == [PAGE]


def test_requests_that_wait_are_counted():
    source = origin(pending_requests=2)
    emitted = run(Parser(source), whole([(0, GET * 5), (1, ok(b"a") * 5)]))
    assert [one.name for one in objects(emitted)] == ["page.html", "page.html", None, None, None]
    assert source.memory.counters["pending_requests"] == 3


def test_messages_in_doubt_are_counted():
    source = origin(doubtful_messages=3)
    odd = b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\nx"
    run(Parser(source), whole([(1, odd)] * 10))
    assert source.memory.counters["doubtful_messages"] == 7


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length : 5000\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: 5000\r\nTransfer-Encoding: chunked\r\n",
        b"Foo\r\n",
    ],
)
def test_a_long_message_in_doubt_goes_on_as_it_comes(fields):
    body = b"0123456789" * 500
    raw = ok(chunked(body, 999) if b"chunked" in fields else body, fields, length=False)
    source = origin(reread_bytes=1000)
    events = [Data(1, raw[at : at + 300], 1, 1) for at in range(0, len(raw), 300)]
    page, *_ = objects(run(Parser(source), events))
    assert content(page) == body
    assert "http.ambiguous_framing" in page.findings
    assert source.memory.counters["reread_bytes"] == 1
    assert source.memory.held == 0


def test_nothing_is_held_when_all_is_over():
    source = origin()
    odd = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chu\0nked\r\n\r\n" + chunked(PAGE)
    run(Parser(source), whole([(0, GET * 2), (1, odd), (1, ok())]))
    run(Parser(source), holed(SESSION, 1, 30, 90))
    assert source.memory.held == 0


def test_large_bodies_are_passed_on_in_linear_time():
    body = bytes(8 << 20)
    raw = ok(body)
    events = [Data(1, raw[at : at + 1448], 1, 1) for at in range(0, len(raw), 1448)]
    (one,) = objects(run(Parser(origin()), events))
    assert one.sha256 == hashlib.sha256(body).hexdigest()


# Recognition


@pytest.mark.parametrize(
    ("orig", "resp", "answer"),
    [
        (GET, b"", Answer.YES),
        (b"", ok(), Answer.YES),
        (ok(), b"", Answer.YES),
        (b"GE", b"", Answer.MORE),
        (b"GET /some/thing", b"", Answer.MORE),
        (b"GET /old\r\n", b"", Answer.YES),
        (b"GET /" + b"a" * 2000, b"", Answer.YES),
        (b"\r\nPOST / HTTP/1.1\r\n", b"", Answer.YES),
        (b"PROPFIND / HTTP/1.1\r\n", b"", Answer.YES),
        (b"OPTIONS rtsp://a/b RTSP/1.0\r\n", b"RTSP/1.0 200 OK\r\n", Answer.NO),
        (b"REGISTER sip:a SIP/2.0\r\n", b"SIP/2.0 200 OK\r\n", Answer.NO),
        (b"EHLO there\r\n", b"220 mail ready\r\n", Answer.NO),
        (b"USER anonymous\r\n", b"220 FTP\r\n", Answer.NO),
        (b"SSH-2.0-x\r\n", b"SSH-2.0-y\r\n", Answer.NO),
        (b"\x16\x03\x01\x02", b"", Answer.NO),
        (b"POST/ HTTP/1.1\r\nHost: a\r\n", b"", Answer.MORE),
        (b"POST/ HTTP/1.1\r\nHost: a\r\n", ok(), Answer.YES),
        (b"OPTIONS\nHost: a\n\n", b"", Answer.MORE),
        (b"OPTIONS\nHost: a\n\n", ok(), Answer.YES),
        (b"OPTIONS\nHost: a\n\n", b"no", Answer.NO),
        (b"GETTING on\n", b"", Answer.NO),
        (b"", b"", Answer.MORE),
    ],
)
def test_probe(orig, resp, answer):
    assert probe(orig, resp) is answer


# Properties

heads = st.sampled_from([b"", b"Content-Type: text/html\r\n", b"X: y\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"])
payloads = st.binary(max_size=200).filter(lambda body: not body.startswith(b"HTTP"))


@st.composite
def responses(draw):
    body = draw(payloads)
    kind = draw(st.sampled_from(["length", "chunked", "gzip"]))
    if kind == "gzip":
        return ok(gzip.compress(body, mtime=0), b"Content-Encoding: gzip\r\n" + draw(heads)), body
    if kind == "length":
        return ok(body, draw(heads)), body
    fields = b"Transfer-Encoding: chunked\r\n" + draw(heads)
    return ok(chunked(body, draw(st.integers(1, 50))), fields, length=False), body


def cut(raw, places):
    marks = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[start:end] for start, end in pairwise(marks)]


@given(st.lists(responses(), max_size=5), st.lists(st.integers(0, 5000), max_size=20))
def test_the_cut_makes_no_difference(answers, places):
    raw = b"".join(answer for answer, _ in answers)
    emitted = parse([(0, GET * len(answers)), *((1, piece) for piece in cut(raw, places))])
    assert bodies(emitted) == [body for _, body in answers if body]


FRAGMENTS = st.lists(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"GET / HTTP/1.1", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\0", b"Content-Length",
         b":", b"5", b"0", b"ff", b"Transfer-Encoding", b"chunked", b"gzip", b"Content-Encoding", b"\x1f\x8b\x08\0",
         b"hello", b"HTTP", b"multipart/x; boundary=a", b"--a", b"Content-Type", b"100", b"CONNECT a HTTP/1.1",
         b"Upgrade", b"101"]
    ) | st.binary(max_size=8),
    max_size=60,
).map(b"".join)  # fmt: skip


@settings(max_examples=300)
@given(FRAGMENTS, FRAGMENTS, st.lists(st.integers(0, 500), max_size=6), st.integers(1, 50), st.booleans())
def test_no_bytes_and_no_holes_raise(orig, resp, places, lost, midstream):
    source = origin(flow(midstream=midstream), reread_bytes=300, header_bytes=200, doubtful_messages=4)
    parser = Parser(source)
    for number, piece in enumerate(cut(resp, places)):
        parser.feed(Data(1, piece, 1, 1))
        parser.feed(Data(0, orig[number::7] or b"x", 1, 1))
        if number % 3 == 2:
            parser.feed(Gap(number % 2, lost, 1))
    parser.feed(Data(0, orig or b"x", 1, 1))
    for direction in (0, 1):
        parser.close(Close(direction, "fin", 2))
    assert source.memory.held == 0


# The real thing


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    posted = b""

    def do_GET(self):
        self.send_response(200)
        body = gzip.compress(PAGE) if self.path == "/gz" else PAGE
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            body = chunked(PAGE)
        else:
            self.send_header("Content-Length", str(len(body)))
        if self.path == "/gz":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[::-1])

    def log_message(self, *_):
        """Keeps quiet."""


class Tapped(http.client.HTTPConnection):
    """A client whose socket notes what goes through it."""

    def connect(self):
        super().connect()
        self.seen = []
        self.sock = Tap(self.sock, self.seen)


class Tap:
    def __init__(self, sock, seen):
        self._sock, self._seen = sock, seen

    def sendall(self, data):
        self._seen.append((0, bytes(data)))
        return self._sock.sendall(data)

    def makefile(self, *_):
        return TappedFile(self._sock.makefile("rb"), self._seen)

    def __getattr__(self, name):
        return getattr(self._sock, name)


class TappedFile:
    def __init__(self, file, seen):
        self._file, self._seen = file, seen

    def _note(self, data):
        self._seen.append((1, bytes(data)))
        return data

    def readline(self, *sizes):
        return self._note(self._file.readline(*sizes))

    def read(self, *sizes):
        return self._note(self._file.read(*sizes))

    def readinto(self, buffer):
        count = self._file.readinto(buffer)
        self._note(memoryview(buffer)[:count])
        return count

    def peek(self, *sizes):
        return self._file.peek(*sizes)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_against_a_real_server_and_client():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = Tapped("127.0.0.1", server.server_port)
        got = []
        for method, path, body in (("GET", "/plain", None), ("GET", "/chunks", None), ("POST", "/x", b"abc" * 99)):
            client.request(method, path, body)
            got.append(client.getresponse().read())
        client.close()
        server.shutdown()
        thread.join()
    found = bodies(parse([(direction, data) for direction, data in client.seen if data]))
    assert got == [PAGE, PAGE, b"cba" * 99]
    assert found == [PAGE, PAGE, b"abc" * 99, b"cba" * 99]

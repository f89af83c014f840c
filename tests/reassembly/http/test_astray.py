"""Bodies whose head was lost: an object all the same, up to where the next message begins."""

import pytest
from session import bytewise, content, holed, objects, origin, run

from reassembly.events import ORIG, RESP, Gap
from reassembly.protocols.http1 import Parser

FILE = b"MZ" + bytes(range(256)) * 4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(FILE)
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"


def get(path):
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path


SESSION = [(ORIG, get(b"/0")), (RESP, NEXT), (ORIG, get(b"/1")), (RESP, HEAD + FILE), (ORIG, get(b"/2")), (RESP, NEXT)]
START = len(NEXT)


def parse(events):
    return objects(run(Parser(origin()), events))


def without(start, end):
    """What comes out when these bytes of the second response are missing."""
    return parse(holed(SESSION, RESP, START + start, START + end))


@pytest.mark.parametrize("into", [0, 100])
def test_the_rest_of_a_response(into):
    before, astray, after = without(0, len(HEAD) + into)
    assert (content(before), content(after)) == (b"next", b"next")
    assert content(astray) == FILE[into:]
    assert (astray.cut, astray.complete, astray.findings) == ("gap", False, ("http.no_head",))
    assert astray.missing == ((0, len(HEAD) + into),)
    assert (astray.name, astray.direction) == ("1", RESP)  # by its request
    assert after.name == "2"


def test_the_rest_of_its_head_is_no_part_of_it():
    _, astray, _ = without(0, 5)
    assert content(astray) == FILE


def test_it_may_be_in_chunks():
    body = b"%x\r\n%b\r\n" % (len(FILE), FILE)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    session = [(ORIG, get(b"/0") + get(b"/1")), (RESP, head + body * 2 + b"0\r\n\r\n" + NEXT)]
    astray, after = parse(holed(session, RESP, 0, len(head) + len(body) - len(FILE) - 2))
    assert (content(astray), astray.cut, astray.name) == (FILE * 2, "gap", "0")
    assert (content(after), after.name) == (b"next", "1")


def test_the_hole_may_begin_in_the_body_before():
    before, astray, _ = parse(holed(SESSION, RESP, START - 2, START + len(HEAD)))
    assert (content(before), before.missing) == (b"ne", ((2, 4),))
    assert (content(astray), astray.missing, astray.name) == (FILE, ((0, len(HEAD)),), "1")


def test_more_holes():
    events = holed(SESSION, RESP, START, START + len(HEAD))
    at = next(at for at, event in enumerate(events) if isinstance(event, Gap))
    events.insert(at + 1, Gap(RESP, 7, events[at].time))
    events.insert(at + 3, Gap(RESP, 9, events[at].time))
    _, astray, after = parse(events)
    assert astray.missing == ((0, len(HEAD) + 7), (len(HEAD) + 7 + len(FILE), len(HEAD) + 16 + len(FILE)))
    assert (content(astray), content(after)) == (FILE, b"next")


def test_a_hole_with_nothing_behind_gives_nothing():
    assert [content(one) for one in without(0, len(HEAD + FILE))] == [b"next", b"next"]


def test_byte_by_byte_to_the_end():
    events = bytewise([(ORIG, get(b"/0")), (RESP, FILE)])
    events.insert(len(get(b"/0")), Gap(RESP, 50, events[0].time))
    (astray,) = parse(events)
    assert (content(astray), astray.name) == (FILE, "0")


def test_the_rest_of_an_upload():
    head = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(FILE)
    session = [(ORIG, get(b"/0")), (RESP, NEXT), (ORIG, head + FILE), (RESP, NEXT)]
    start = len(get(b"/0"))
    *pages, astray = parse(holed(session, ORIG, start, start + len(head)))
    assert [content(one) for one in pages] == [b"next", b"next"]
    assert (content(astray), astray.direction, astray.facts) == (FILE, ORIG, None)

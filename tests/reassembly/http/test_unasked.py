"""Responses to HEAD where the request was not seen."""

import pytest
from session import bytewise, content, flow, holed, objects, origin, run, whole

from reassembly.events import RESP
from reassembly.protocols.http1 import Parser

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nContent-Type: text/html\r\n\r\n"
PAGE = b"<html>" + b"y" * 494
cuts = pytest.mark.parametrize("cut", [whole, bytewise], ids=["whole", "bytewise"])


def parse(session, cut=whole, how="fin"):
    return objects(run(Parser(origin(flow(resp=("10.0.0.2", 80)))), cut(session), how))


@cuts
@pytest.mark.parametrize("split", [len(HEAD), len(HEAD) + 3, 0])
def test_the_next_response_stands_where_the_body_should(cut, split):
    said = HEAD + HEAD + PAGE
    session = [(RESP, piece) for piece in (said[:split], said[split:]) if piece]
    (page,) = parse(session, cut)
    assert content(page) == PAGE
    assert page.complete


@cuts
@pytest.mark.parametrize("body", [PAGE, b"HTTP/2" + PAGE[6:], b"H" * 500, b"HTTP/0." + PAGE[7:]])
def test_a_body_is_still_a_body(cut, body):
    assert [content(page) for page in parse([(RESP, HEAD), (RESP, body), (RESP, HEAD + PAGE)], cut)] == [body, PAGE]


@cuts
@pytest.mark.parametrize("size", [1, 3, 6])
def test_a_short_body_is_not_waited_for(cut, size):
    body = b"HTTP/1."[:size]
    head = HEAD.replace(b"500", b"%d" % size)
    assert [content(page) for page in parse([(RESP, head), (RESP, body + HEAD + PAGE)], cut)] == [body, PAGE]


def test_what_was_held_is_kept_when_the_stream_ends():
    (page,) = parse([(RESP, HEAD), (RESP, b"HTT")], how="reset")
    assert (content(page), page.cut) == (b"HTT", "reset")


@pytest.mark.parametrize("start", [0, 3, 100])
def test_a_hole_stays_where_it_is(start):
    session = [(RESP, HEAD), (RESP, b"HTT" + PAGE[3:]), (RESP, HEAD + PAGE)]
    first, second = parse(session, lambda said: holed(said, RESP, len(HEAD) + start, len(HEAD) + start + 50))
    assert first.missing == ((start, start + 50),)
    assert content(second) == PAGE


def test_what_was_asked_for_is_a_body_whatever_it_looks_like():
    body = (HEAD + PAGE)[:500]
    session = [(0, b"GET /raw HTTP/1.1\r\nHost: a\r\n\r\n"), (RESP, HEAD + body[:3]), (RESP, body[3:])]
    assert content(parse(session)[0]) == body

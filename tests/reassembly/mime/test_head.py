"""Where a header ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailing import pieces
from session import origin

from reassembly.mime.delimiters import Delimiters, Level
from reassembly.mime.head import Head
from reassembly.mime.reading import Reading


def headed(*given_pieces, cr=None, boundary=None, **choices):
    """The head of these bytes, and what was left of them."""
    reading = Reading(0, "smtp", origin(header_bytes=5000, header_lines=50).memory, choices)
    delimiters = Delimiters(reading)
    if boundary is not None:
        delimiters.push(Level((boundary,), ""))
    head = Head(reading, cr, delimiters.match)
    rest = b""
    for piece in given_pieces:
        data = rest + piece
        rest = data[head.feed(data, 0) :]
    if not head.over:
        head.feed(rest + b"\n", 0) if rest else None
        head.finish()
    return head, rest, reading


ENDS = {
    b"A: 1\r\n\r\nbody": b"body",
    b"A: 1\n\nbody": b"body",
    b"A: 1\n\r\nbody": b"body",
    b"A: 1\r\rbody": b"body",
    b"A: 1\r\n\r\r\nbody": b"body",
    b"A: 1\r\n \r\n\r\nbody": b"body",
    b"A: 1\r\njunk\r\n\r\nbody": b"body",
    b"From me\r\nA: 1\r\n\r\nbody": b"body",
    b"\r\nbody": b"body",
    b"A: 1\r\n": b"",
}


@pytest.mark.parametrize("source", ENDS)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_an_empty_line_ends_it(source, size):
    head, rest, _ = headed(*pieces(source, size))
    assert head.body + rest == ENDS[source]
    assert head.fields.first(b"a") == (b"1" if b"A" in source else None)


BODIES = {
    b"body\r\n\r\nmore": b"body\r\n\r\nmore",
    b"A: 1\r\nbody": b"body",
    b"A: 1\r\n \r\nbody\r\n": b"body",
    b"A: 1\r\n" + b"line\r\n" * 1000: b"line\r\n" * 1000,
}


@pytest.mark.parametrize("source", BODIES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_body_without_an_empty_line(source, size):
    head, rest, _ = headed(*pieces(source, size))
    assert (head.body + rest).rstrip() == BODIES[source].rstrip()


@pytest.mark.parametrize(
    ("source", "doubt", "body"),
    [
        (b"A: 1\r\njunk\r\n\r\nbody", "header_end", b"junk\r\n\r\nbody"),
        (b"A: 1\r\n \r\nB: 2\r\n\r\nbody", "blank_header", b"B: 2\r\n\r\nbody"),
    ],
)
def test_other_ends(source, doubt, body):
    assert doubt in headed(source)[2].doubts
    head, rest, _ = headed(source, **{doubt: 1})
    assert head.body + rest == body


def test_a_cr_inside_a_line():
    head, _, reading = headed(b"A: 1\r\nX: y\rB: 2\r\n\r\n")
    assert head.fields.first(b"b") is None
    assert "bare_cr" in reading.doubts
    assert headed(b"A: 1\r\nX: y\rB: 2\r\n\r\n", bare_cr=1)[0].fields.first(b"b") == b"2"
    assert headed(b"X: y\rB: 2\r\n\r\n")[0].fields.first(b"b") == b"2"
    assert headed(b"X: y\rB: 2\r\n\r\n", cr_lines=1)[0].fields.first(b"b") is None


def test_a_delimiter_ends_it():
    head, rest, reading = headed(b"A: 1\r\n--x\r\nB: 2\r\n\r\n", boundary=b"x")
    assert head.hit is not None
    assert rest == b"B: 2\r\n\r\n"
    assert "boundary_in_header" in reading.doubts
    head, rest, _ = headed(b"A: 1\r\n--x\r\nB: 2\r\n\r\n", boundary=b"x", boundary_in_header=1)
    assert head.hit is None
    assert head.fields.first(b"b") == b"2"


def test_a_delimiter_at_once_is_no_doubt():
    head, _, reading = headed(b"--x\r\n", boundary=b"x")
    assert head.hit is not None
    assert not reading.doubts


def test_there_are_bounds():
    head, rest, reading = headed(*pieces(b"A: 1\r\n" + b"X: y\r\n" * 3000 + b"\r\nbody", 100))
    assert len(head.fields) == 50
    assert rest == b"body"
    assert reading.memory.counters["header_lines"] > 0
    head, rest, reading = headed(*pieces(b"A: 1\r\nX: " + b"y" * 90_000 + b"\r\nB: 2\r\n\r\nbody", 1000))
    assert rest == b"body"
    assert len(head.fields.first(b"x") or b"") < 5000
    assert reading.memory.counters["header_bytes"] > 0


def test_a_hole_takes_its_line():
    reading = Reading(0, "smtp", origin().memory, {})
    head = Head(reading, None, Delimiters(reading).match)
    head.feed(b"A: 1\r\nB: 2", 0)
    head.gap()
    head.feed(b"rest\r\nC: 3\r\n\r\n", 0)
    assert head.over
    assert [head.fields.first(name) for name in (b"a", b"b", b"c")] == [b"1", b"2", b"3"]


@given(st.text("A: \r\nx-", max_size=60).map(str.encode), st.integers(1, 9), st.sampled_from([None, True, False]))
def test_it_does_not_depend_on_cuts(source, size, cr):
    head, rest, _ = headed(*pieces(source, size), cr=cr, boundary=b"x")
    other, other_rest, _ = headed(source, cr=cr, boundary=b"x")
    assert (head.body, head.hit, head.fields.all(b"a")) == (other.body, other.hit, other.fields.all(b"a"))
    assert rest.endswith(other_rest) or other_rest.endswith(rest)

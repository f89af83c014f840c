"""Which line delimits which multipart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import origin

from reassembly.mime.delimiters import Delimiters, Hit, Level
from reassembly.mime.line_starts import LineStarts, end_of_line
from reassembly.mime.reading import Reading


def stack(*boundaries, **choices):
    reading = Reading(0, "smtp", origin().memory, choices)
    delimiters = Delimiters(reading)
    for one in boundaries:
        delimiters.push(Level(one if isinstance(one, tuple) else (one,), ""))
    return delimiters, reading


OPEN, CLOSE = False, True


@pytest.mark.parametrize(
    ("boundaries", "line", "hit"),
    [
        ([b"a"], b"--a", (0, OPEN)),
        ([b"a"], b"--a--", (0, CLOSE)),
        ([b"a"], b"--a \t", (0, OPEN)),
        ([b"a"], b"--a-- ", (0, CLOSE)),
        ([b"a"], b"-- a", (0, OPEN)),
        ([b"a"], b"--b", None),
        ([b"a"], b"--", None),
        ([b"a"], b"----", None),
        ([b" a "], b"--a", (0, OPEN)),
        ([b"a", b"b"], b"--a", (0, OPEN)),
        ([b"a", b"b"], b"--b", (1, OPEN)),
        ([b"a", b"a"], b"--a", (1, OPEN)),
        ([b"ab", b"a"], b"--ab", (0, OPEN)),
        ([b"a", b"ab"], b"--ab", (1, OPEN)),
        ([b"a", b"ab"], b"--abc", (1, OPEN)),
        ([b"a"], b"--abc", (0, OPEN)),
        ([b"a"], b"--a--bc", (0, CLOSE)),
        ([(b"a", b"b")], b"--b", (0, OPEN)),
        ([], b"--a", None),
    ],
)
def test_lines(boundaries, line, hit):
    delimiters, _ = stack(*boundaries)
    assert delimiters.match(line) == (None if hit is None else Hit(*hit))


def test_a_closed_multipart_leaves_the_line_to_the_one_around_it():
    delimiters, _ = stack(b"a", b"a")
    delimiters.levels[1].closed = True
    assert delimiters.match(b"--a--") == Hit(0, CLOSE)
    delimiters.levels[0].closed = True
    assert delimiters.match(b"--a") == Hit(1, OPEN)


def test_popped_ones_are_gone():
    delimiters, _ = stack(b"a", b"b")
    delimiters.pop()
    assert delimiters.match(b"--b") is None
    assert delimiters.match(b"--a") == Hit(0, OPEN)
    delimiters.pop()
    assert delimiters.match(b"--a") is None


@pytest.mark.parametrize(
    ("boundaries", "line", "doubt"),
    [([b"a"], b"--ab", "boundary_prefix"), ([b"a", b"b"], b"--a", "nesting"), ([b"a "], b"--a", "boundary_space")],
)
def test_turns(boundaries, line, doubt):
    delimiters, reading = stack(*boundaries)
    assert delimiters.match(line) is not None
    assert doubt in reading.doubts
    assert stack(*boundaries, **{doubt: 1})[0].match(line) is None


def test_two_boundaries_in_use_are_a_doubt():
    delimiters, reading = stack((b"a", b"b"))
    delimiters.match(b"--a")
    assert not reading.doubts
    delimiters.match(b"--b")
    assert "boundary" in reading.doubts
    assert stack((b"a", b"b"), boundary=1)[0].match(b"--b") is None
    assert stack((b"a", b"b"), boundary=2)[0].match(b"--a") is None
    assert stack((b"a", b"b"), boundary=4)[0].match(b"--a") == Hit(0, OPEN)


@given(st.lists(st.sampled_from([b"a", b"ab", b"abc", b"b", b"-"]), max_size=5), st.text("ab- ", max_size=8))
def test_what_is_a_delimiter_is_possible(boundaries, line):
    delimiters, _ = stack(*boundaries)
    data = b"--" + line.encode() + b"\r\n" + b"x" * 20_000
    if not delimiters.possible(data, 0):
        assert delimiters.match(b"--" + line.encode()) is None


@given(st.text("-\r\na", max_size=80).map(str.encode), st.integers(0, 5))
def test_all_line_starts_are_found(data, start):
    starts, found, at = LineStarts(data), [], start
    while (at := starts.next(at)) >= 0:
        found.append(at)
    assert found == [at for at in range(start + 1, len(data)) if data[at - 1] in b"\r\n" and data.startswith(b"--", at)]


@pytest.mark.parametrize(
    ("data", "start", "end"),
    [
        (b"a\nb", 0, 2),
        (b"a\r\nb", 0, 3),
        (b"a\rb", 0, 2),
        (b"a\r", 0, -1),
        (b"ab", 0, -1),
        (b"a\nb\n", 2, 4),
        (b"\n", 0, 1),
    ],
)
def test_ends_of_lines(data, start, end):
    assert end_of_line(data, start, 100) == end


def test_a_line_that_is_too_long_has_no_end():
    assert end_of_line(b"a" * 100 + b"\n", 0, 100) == -1
    assert end_of_line(b"a" * 99 + b"\n", 0, 100) == 100

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import origin

from reassembly.lines import Lines, reply, words


def lines_of(pieces, limit=100):
    where = origin(command_bytes=limit)
    lines, out = Lines(where), []
    for piece in pieces:
        start = 0
        while start < len(piece):
            line, start = lines.take(piece, start)
            if line is not None:
                out.append(line)
    return out, lines.torn(), where.memory.counters["command_bytes"]


def test_lines_whole_and_split():
    assert lines_of([b"EHLO a\r\nMA", b"IL", b"\r", b"\n\nQ"])[:2] == ([b"EHLO a\r\n", b"MAIL\r\n", b"\n"], b"Q")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_long_line_loses_its_excess_once(size):
    wire = b"x" * 500 + b"\r\nQUIT\r\n"
    lines, rest, counted = lines_of([wire[at : at + size] for at in range(0, len(wire), size)], limit=10)
    assert (lines, rest, counted) == ([b"x" * 11, b"QUIT\r\n"], b"", 1)


@given(st.binary(max_size=200), st.integers(1, 9), st.integers(1, 30))
def test_cuts_change_nothing(wire, size, limit):
    pieces = [wire[at : at + size] for at in range(0, len(wire), size)]
    assert lines_of(pieces, limit) == lines_of([wire] if wire else [], limit)


def test_a_line_that_never_ends_is_kept_to_its_limit():
    assert len(lines_of([b"x" * 1000] * 1000, limit=50)[1]) == 51


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"220 hello\r\n", (220, True)),
        (b"250-SIZE\r\n", (250, False)),
        (b"250\r\n", (250, True)),
        (b"354", (354, True)),
        (b"25 x\r\n", None),
        (b"x250 \r\n", None),
        (b"2500 \r\n", None),
        (b"", None),
    ],
)
def test_reply(line, answer):
    assert reply(line) == answer


def test_words():
    assert words("ü@example.org".encode()) == "ü@example.org"
    assert words(b"\xfc@example.org") == "ü@example.org"
    assert words(b"a\x00\x1bb") == "a\\x00\\x1bb"

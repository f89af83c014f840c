"""Header blocks, as they should be and as they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.mime.headers import fields_of

BLOCKS = {
    b"A: 1\r\nB: 2\r\n\r\n": [(b"a", b"1"), (b"b", b"2")],
    b"A: 1\nB: 2": [(b"a", b"1"), (b"b", b"2")],
    b"A: 1\rB: 2\r": [(b"a", b"1"), (b"b", b"2")],
    b"A:1": [(b"a", b"1")],
    b"A : 1": [(b"a", b"1")],
    b"A\t:\t1 ": [(b"a", b"1")],
    b"A:": [(b"a", b"")],
    b"A: 1\r\n 2\r\n\t3": [(b"a", b"1 2 3")],
    b"A:\r\n 1": [(b"a", b"1")],
    b"A: 1\r\n \r\n 2": [(b"a", b"1 2")],
    b"A: 1\r\njunk\r\nB: 2": [(b"a", b"1"), (b"b", b"2")],
    b" first\r\nA: 1": [(b"a", b"1")],
    b": 1\r\nA: 1": [(b"a", b"1")],
    b"": [],
}


@pytest.mark.parametrize("block", BLOCKS)
def test_fields_are_read(block):
    fields = fields_of(block)
    assert len(fields) == len(BLOCKS[block])
    for name, value in BLOCKS[block]:
        assert fields.first(name) == value


def test_all_fields_of_a_name_in_their_order():
    fields = fields_of(b"A: 1\r\nB: 2\r\nA: 3\r\n")
    assert fields.all(b"a") == [b"1", b"3"]
    assert fields.first(b"c") is None
    assert fields.all(b"c") == []


@pytest.mark.parametrize(
    "block",
    [
        b"X :y\r\n Content-Type: a/b",
        b"Content-Type a/b",
        b"Content-Type\r\n : a/b",
        b"X :y\r\n Z: 1\r\n Content-Type: a/b",
    ],
)
def test_hidden_fields_count_if_there_is_no_other(block):
    assert fields_of(block).first(b"content-type") == b"a/b"
    assert fields_of(block + b"\r\nContent-Type: c/d").all(b"content-type") == [b"c/d"]


def test_a_folded_line_under_a_right_name_hides_nothing():
    assert fields_of(b"X: y\r\n Content-Type: a/b").first(b"content-type") is None


def test_lines_that_are_no_fields_are_counted():
    assert fields_of(b"A: 1\r\njunk\r\n\x01\x02\r\nB: 2").junk == 2


@given(st.binary(max_size=300))
def test_nothing_raises(block):
    fields = fields_of(block)
    assert fields.all(b"a") is not None

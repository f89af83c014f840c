"""Files in pieces: put together in any order, bounded, and nothing left open."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.limits import Limits
from reassembly.objects import Content
from reassembly.pieces import SMALLEST_FILE, Pieces


def pieces(**limits):
    return Pieces(Limits(**limits), Counter())


def add(to, file, begin, end, key="key"):
    """What is whole when these bytes of the file are there as well."""
    whole = to.add((key,), begin, len(file), Content(end - begin, file[begin:end]))
    if whole is None:
        return None
    with whole:
        return whole.read()


@pytest.mark.parametrize("size", [10, SMALLEST_FILE + 10])
def test_two_pieces(size):
    file = bytes(range(256)) * (size // 256 + 1)
    to = pieces()
    assert add(to, file, 5, len(file)) is None
    assert (len(to), to.held) == (1, len(file) - 5)
    assert add(to, file, 0, 5) == file
    assert (len(to), to.held) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 39), st.integers(1, 40)), max_size=30))
def test_whole_as_soon_as_all_bytes_were_there(spans):
    file = bytes(range(40))
    to, there = pieces(), set()
    for begin, end in spans:
        if begin >= end:
            continue
        there |= set(range(begin, end))
        if len(there) == len(file):
            assert add(to, file, begin, end) == file
            there.clear()
        else:
            assert add(to, file, begin, end) is None
        assert to.held == len(there)


def test_files_do_not_mix():
    to = pieces()
    assert add(to, b"abcd", 0, 2, "a") is None
    assert add(to, b"efgh", 2, 4, "b") is None
    assert add(to, b"abcd", 2, 4, "a") == b"abcd"


def test_the_one_that_grew_longest_ago_goes():
    counters = Counter()
    to = Pieces(Limits(joined_files=2), counters)
    for key in ("a", "b", "a", "c"):
        add(to, b"abcd", 0, 2, key)
    assert (len(to), to.held, counters) == (2, 4, {"joined_files": 1})
    assert add(to, b"abcd", 2, 4, "b") is None
    assert counters == {"joined_files": 2}


def test_bytes_are_bounded():
    counters = Counter()
    to = Pieces(Limits(joined_bytes=6), counters)
    assert add(to, b"12345678", 0, 4) is None
    assert len(to) == 0  # too large from the beginning
    for key in ("a", "b"):
        add(to, b"abcdef", 0, 4, key)
    assert (len(to), to.held, counters) == (1, 4, {"joined_bytes": 1})


def test_no_more_pieces_come():
    to = pieces()
    add(to, bytes(2 * SMALLEST_FILE), 0, 5)
    to.clear()
    assert (len(to), to.held) == (0, 0)

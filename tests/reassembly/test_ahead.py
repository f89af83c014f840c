"""Parts of a large object leave while it arrives: in order, without holes, from memory and from its file."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import flow

from reassembly.builder import Memory, Origin
from reassembly.growing import PART
from reassembly.limits import Limits


class Parts:
    """Takes parts; what is there of which object."""

    def __init__(self):
        self.there = {}
        self.forgotten = []

    def part(self, key, begin, piece):
        assert begin == len(self.there.get(key, b""))
        assert len(piece) >= PART
        self.there[key] = self.there.get(key, b"") + piece

    def forget(self, key):
        del self.there[key]
        self.forgotten.append(key)


def opened(parts, **limits):
    memory = Memory(Limits(**limits), ahead=parts)
    return Origin(flow(), memory).open(1, "file", "http", 0)


sizes = st.lists(st.integers(min_value=1, max_value=3 * PART), max_size=8)


@given(sizes, st.sampled_from([PART // 2, 2 * PART, 100 * PART]), st.booleans())
def test_what_leaves_is_the_beginning_of_the_object(written, in_memory, crowded):
    parts = Parts()
    builder = opened(parts, object_memory=in_memory, total_memory=PART if crowded else 1 << 30)
    whole = b""
    for size in written:
        chunk = os.urandom(size)
        builder.write(chunk)
        whole += chunk
        assert len(whole) - len(parts.there.get(builder.id, b"")) < PART
    done = builder.finish(0)
    with done.content.view() as view:
        assert bytes(view) == whole
    assert whole.startswith(parts.there.get(done.id, b""))
    assert parts.forgotten == []


def test_what_is_over_the_limit_does_not_leave():
    parts = Parts()
    builder = opened(parts, object_bytes=PART + 10)
    for _ in range(5):
        builder.write(bytes(PART // 2 + 1))
    done = builder.finish(0)
    assert done.cut == "limit:object_bytes"
    assert len(parts.there[done.id]) <= done.size == PART + 10


@pytest.mark.parametrize(("size", "forgotten"), [(PART - 1, 0), (PART, 1)])
def test_an_object_that_is_none_after_all_is_forgotten(size, forgotten):
    parts = Parts()
    builder = opened(parts)
    builder.write(bytes(size))
    builder.drop()
    assert parts.there == {}
    assert parts.forgotten == [builder.id] * forgotten


def test_nobody_has_to_want_them():
    builder = opened(None)
    builder.write(bytes(3 * PART))
    assert builder.finish(0).size == 3 * PART

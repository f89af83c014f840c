"""Bytes on disk: the same again, bounded, and the disk is free when they are read."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import spill
from engines.spill import Spill


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 30)), max_size=60),
    st.sampled_from([1, 50, 1000]),
)
def test_all_bytes_come_back_and_the_disk_is_free_again(steps, segment):
    whole, spill.SEGMENT = spill.SEGMENT, segment
    kept, store = [], Spill(1000)
    try:
        for step in steps:
            if isinstance(step, bytes):
                ticket = store.put(step)
                assert ticket is not None or store.held + len(step) > 1000
                kept += [(ticket, step)] if ticket else []
            elif kept:
                ticket, data = kept.pop(step % len(kept))
                assert store.take(ticket) == data
            assert sum(len(data) for _, data in kept) <= store.held <= 1000
        for ticket, data in kept:
            assert store.take(ticket) == data
        assert store.held == 0
    finally:
        spill.SEGMENT = whole
        store.close()


def test_many_small_ones_are_few_files(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    store = Spill(1 << 30, str(tmp_path))
    tickets = [store.put(b"%d" % number) for number in range(5000)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    assert [store.take(ticket) for ticket in tickets[:3]] == [b"0", b"1", b"2"]
    store.close()


def test_a_full_disk_is_no_room():
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = Spill(1 << 30)
    first = store.put(b"x" * 1000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        assert store.put(b"y" * 1000) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    third = store.put(b"z" * 1000)
    assert (store.take(first), store.take(third)) == (b"x" * 1000, b"z" * 1000)
    store.close()


def test_a_directory_that_is_not_there_is_no_room(tmp_path):
    store = Spill(1000, str(tmp_path / "none"))
    assert store.put(b"x") is None
    store.close()


def test_bytes_that_the_disk_lost_are_said():
    store = Spill(1000)
    ticket = store.put(b"x" * 100)
    ticket.segment.file.truncate(50)
    with pytest.raises(OSError, match="50 bytes are missing"):
        store.take(ticket)
    assert store.held == 0
    store.close()

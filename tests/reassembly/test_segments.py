from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reassembly.segments import POLICIES, OverlapPolicies, Segments

OLD, NEW = b"A", b"B"

# Which copy a receiver keeps of the bytes that both segments carry, (old start, old end), (new start, new end):
# measured on Linux 6.18; Windows as the reference engines have it.
RELATIONS = {
    "tail overlap, new later": ((10, 20), (15, 25), OLD, OLD),
    "head overlap, new earlier": ((10, 20), (5, 15), NEW, NEW),
    "new covers old": ((10, 20), (5, 25), NEW, NEW),
    "new inside old": ((10, 20), (13, 17), OLD, OLD),
    "exact": ((10, 20), (10, 20), OLD, OLD),
    "same start, new longer": ((10, 20), (10, 25), NEW, OLD),
    "same start, new shorter": ((10, 20), (10, 15), OLD, OLD),
    "same end, new longer": ((10, 20), (5, 20), NEW, NEW),
    "same end, new shorter": ((10, 20), (15, 20), OLD, OLD),
}


def content(segments):
    return {
        piece.start + at: piece.payload[at : at + 1] for piece in segments.pieces for at in range(len(piece.payload))
    }


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("policy", ["linux", "windows"])
def test_overlap_is_resolved_as_the_receiver_does(relation, policy):
    old, new, linux, windows = RELATIONS[relation]
    segments = Segments(policy)
    assert not segments.add(old[0], OLD * (old[1] - old[0]), 1)
    assert segments.add(new[0], NEW * (new[1] - new[0]), 2)
    kept = content(segments)
    expected = linux if policy == "linux" else windows
    for offset in range(max(old[0], new[0]), min(old[1], new[1])):
        assert kept[offset] == expected
    assert set(kept) == set(range(old[0], old[1])) | set(range(new[0], new[1]))


def test_new_segment_over_two_old_ones_wins_on_linux():
    segments = Segments("linux")
    segments.add(10, b"A" * 5, 1)
    segments.add(20, b"A" * 5, 2)
    assert segments.add(5, b"B" * 25, 3)
    assert b"".join(piece.payload for piece in segments.pieces) == b"B" * 25


def test_same_bytes_are_no_conflict():
    segments = Segments()
    assert not segments.add(10, b"abcdef", 1)
    assert not segments.add(12, b"cdefgh", 2)
    assert not segments.add(8, b"..abcd", 3)
    assert content(segments) == {8 + at: b"..abcdefgh"[at : at + 1] for at in range(10)}


def test_repr_draws_the_pieces():
    segments = Segments()
    segments.add(4, b"abcd", 1)
    segments.add(10, b"ab", 1)
    assert repr(segments) == "[4-8) [10-12)"


def test_pop_gives_pieces_in_order_and_counts_what_is_held():
    segments = Segments()
    segments.add(10, b"second", 1)
    segments.add(2, b"first", 2)
    assert segments.held == 11
    assert segments.pop().payload == b"first"
    assert (segments.start, segments.end, segments.held, len(segments)) == (10, 16, 6, 1)


def test_policy_of_a_host_is_that_of_its_network():
    import ipaddress

    policies = OverlapPolicies("linux", ((ipaddress.ip_network("10.1.0.0/16"), "windows"),))
    assert policies.of(bytes([10, 1, 2, 3])) == "windows"
    assert policies.of(bytes([10, 2, 2, 3])) == "linux"
    assert policies.of(bytes(16)) == "linux"


@given(
    st.sampled_from(sorted(POLICIES)),
    st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=20)), max_size=30),
)
def test_any_segments_are_kept_in_order_without_overlap(policy, adds):
    segments = Segments(policy)
    reference = {}
    for start, payload in adds:
        differs = any(reference.get(start + at, payload[at]) != payload[at] for at in range(len(payload)))
        assert segments.add(start, payload, 0) == differs
        for at in range(len(payload)):
            if policy == "last" or start + at not in reference:
                reference[start + at] = payload[at]
        pieces = segments.pieces
        assert all(one.end <= two.start for one, two in pairwise(pieces))
        assert all(piece.payload for piece in pieces)
        assert segments.held == sum(len(piece.payload) for piece in pieces)
        assert set(content(segments)) == set(reference)
        if policy not in ("first", "last"):
            reference = {offset: byte[0] for offset, byte in content(segments).items()}
    if policy in ("first", "last"):
        assert {offset: byte[0] for offset, byte in content(segments).items()} == reference

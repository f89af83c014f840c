import random
from collections import Counter
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.fragments import LONGEST, PIECES, POLICIES, Fragment, Fragments

SECOND = 1_000_000_000
HEADER = b"H" * 20


def piece(offset, payload, more=True, time=0, key="k", strict=False):
    return Fragment(key, time, offset, more, HEADER, payload, strict)


def put(pieces, **settings):
    """All datagrams that the pieces give, and the counters."""
    counters = Counter()
    held = Fragments(counters, **settings)
    whole = [found for found in map(held.add, pieces) if found is not None]
    held.close()
    return whole, counters


def split(payload, size):
    starts = range(0, len(payload), size)
    return [piece(start, payload[start : start + size], start + size < len(payload)) for start in starts]


PAYLOAD = bytes(range(256)) * 2


def test_every_order():
    for order in permutations(split(PAYLOAD, 128)):
        whole, counters = put(order)
        assert whole == [(HEADER, PAYLOAD)]
        assert not counters


@pytest.mark.parametrize("size", [8, 16, 64])
def test_tiny_fragments(size):
    pieces = split(PAYLOAD, size)
    for order in (pieces, pieces[::-1], random.Random(1).sample(pieces, len(pieces))):
        whole, counters = put(order)
        assert whole == [(HEADER, PAYLOAD)]
        assert counters["ip.fragment_tiny"] == (len(pieces) - 1 if size < 64 else 0)


def test_duplicates():
    whole, counters = put([fragment for fragment in split(PAYLOAD, 128) for _ in range(3)])
    assert whole == [(HEADER, PAYLOAD)]
    assert counters == {"ip.fragment_duplicate": 8}


def test_header_is_that_of_the_first_fragment():
    second = Fragment("k", 0, 64, False, b"second", b"b" * 8, False)
    first = Fragment("k", 0, 0, True, b"first", b"a" * 64, False)
    assert put([second, first])[0] == [(b"first", b"a" * 64 + b"b" * 8)]


def test_keys_are_kept_apart():
    pieces = [piece(0, b"a" * 64, key=1), piece(0, b"b" * 64, key=2), piece(64, b"B", False, key=2)]
    whole, counters = put([*pieces, piece(64, b"A", False, key=1)])
    assert [payload for _, payload in whole] == [b"b" * 64 + b"B", b"a" * 64 + b"A"]
    assert not counters


def test_a_number_used_again():
    whole, counters = put([*split(b"a" * 200, 128), *split(b"b" * 300, 128)])
    assert [payload for _, payload in whole] == [b"a" * 200, b"b" * 300]
    assert not counters


@pytest.mark.parametrize(
    ("wrong", "counter"),
    [
        (piece(64, b""), "ip.fragment_empty"),
        (piece(64, b"x" * 65), "ip.fragment_unaligned"),
        (piece(65528, b"x" * 8, False), "ip.fragment_too_large"),
        (piece(LONGEST - 7, b"x" * 24), "ip.fragment_too_large"),
    ],
)
def test_unsound_fragments_are_dropped(wrong, counter):
    whole, counters = put([piece(0, b"a" * 64), wrong, piece(64, b"b", False)])
    assert whole == [(HEADER, b"a" * 64 + b"b")]
    assert counters == {counter: 1}


@pytest.mark.parametrize("strict", [True, False])
def test_the_largest_datagram(strict):
    room = LONGEST if strict else LONGEST - len(HEADER)
    pieces = [piece(0, b"a" * 65000, strict=strict), piece(65000, b"b" * (room - 65000), False, strict=strict)]
    assert len(put(pieces)[0][0][1]) == room


def test_the_end_is_where_the_first_last_fragment_ended():
    whole, counters = put([
        piece(64, b"b" * 8, False),
        piece(64, b"c" * 64),  # beyond it
        piece(128, b"d", False),  # another end
        piece(0, b"a" * 64),
    ])  # fmt: skip
    assert whole == [(HEADER, b"a" * 64 + b"b" * 8)]
    assert counters == {"ip.fragment_beyond_end": 2}


def test_a_last_fragment_that_ends_too_early():
    whole, counters = put([piece(0, b"a" * 128), piece(64, b"x", False), piece(128, b"b", False)])
    assert whole == [(HEADER, b"a" * 128 + b"b")]
    assert counters == {"ip.fragment_beyond_end": 1}


def test_teardrop():
    """The second fragment lies inside the first and claims to be the last."""
    whole, counters = put([piece(0, b"a" * 40), piece(24, b"b" * 4, False)])
    assert whole == []
    assert counters["ip.fragment_beyond_end"] == 1
    assert counters["ip.fragments_unfinished"] == 1


# The old fragment covers 64..192 of "o", the new one is laid over it: what stands of both, by policy.
OVERLAPS = {
    "tail": (128, 128, {"first", "linux", "bsd", "windows", "solaris"}),
    "head": (0, 128, {"first", "windows", "solaris"}),
    "around": (0, 256, {"first"}),
    "inside": (96, 64, {"first", "linux", "bsd", "windows", "solaris"}),
    "same start, longer": (64, 192, {"first", "bsd", "windows", "solaris"}),
    "same start, shorter": (64, 64, {"first", "bsd", "windows", "solaris"}),
    "same end, longer": (0, 192, {"first", "windows"}),
    "same end, shorter": (128, 64, {"first", "linux", "bsd", "windows", "solaris"}),
    "the same": (64, 128, {"first", "bsd", "windows", "solaris"}),
}


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - {"bsd-right"}))
@pytest.mark.parametrize("case", OVERLAPS)
def test_overlaps(policy, case):
    start, size, old_wins = OVERLAPS[case]
    ends = [piece(0, b"z" * 64), piece(192, b"z" * 64), piece(256, b"z", False)]
    whole, counters = put([piece(64, b"o" * 128), piece(start, b"n" * size), *ends], policy=policy)
    low, high = max(64, start), min(192, start + size)
    assert set(whole[0][1][low:high]) == {ord("o" if policy in old_wins else "n")}
    assert counters["ip.fragment_overlap"] >= 1
    assert counters["ip.fragment_conflict"] == 1


def test_bsd_right_favours_what_begins_later():
    tail = [piece(0, b"o" * 128), piece(64, b"n" * 128), piece(192, b"z", False)]
    assert put(tail, policy="bsd-right")[0][0][1] == b"o" * 64 + b"n" * 128 + b"z"
    head = [piece(64, b"o" * 128), piece(0, b"n" * 128), piece(192, b"z", False)]
    assert put(head, policy="bsd-right")[0][0][1] == b"n" * 64 + b"o" * 128 + b"z"


def test_overlap_of_the_same_bytes_is_no_conflict():
    whole, counters = put([piece(0, PAYLOAD[:128]), piece(64, PAYLOAD[64:256]), piece(256, PAYLOAD[256:], False)])
    assert whole == [(HEADER, PAYLOAD)]
    assert counters == {"ip.fragment_overlap": 1}


def test_another_policy_holds_for_datagrams_that_come():
    pieces = [piece(0, b"a" * 64), piece(0, b"b" * 64), piece(64, b"c" * 8, more=False)]
    held = Fragments(Counter(), policy="first")
    assert [held.add(one) for one in pieces[:2]] == [None, None]
    assert held.add(pieces[2]) == (HEADER, b"a" * 64 + b"c" * 8)
    held.change(policy="last", datagrams=1, timeout=1.0, held_bytes=1 << 20)
    again = [piece(one.span[0], one.payload, one.more, key="again") for one in pieces]
    assert [held.add(one) for one in again[:2]] == [None, None]
    assert held.add(again[2]) == (HEADER, b"b" * 64 + b"c" * 8)
    assert held.add(piece(0, b"a" * 64, key="old")) is None
    assert held.add(piece(64, b"c" * 8, more=False, key="old", time=2 * SECOND)) is None  # too late
    held.close()


def test_ipv6_overlap_costs_the_datagram():
    """RFC 5722: all fragments of it, those that come later too."""
    pieces = [piece(0, b"a" * 128), piece(64, b"b" * 128), piece(128, b"c" * 64), piece(192, b"d", False)]
    whole, counters = put([Fragment(p.key, 0, p.offset, p.more, HEADER, p.payload, True) for p in pieces])
    assert whole == []
    assert counters == {"ip.fragment_overlap": 1, "ip.fragments_discarded": 1}


def test_timeout_runs_on_packet_time():
    early = [piece(0, b"a" * 64, time=0), piece(64, b"b", False, time=30 * SECOND)]
    assert len(put(early)[0]) == 1
    late = [piece(0, b"a" * 64, time=0), piece(64, b"b", False, time=31 * SECOND)]
    assert put(late) == ([], {"ip.fragment_timeout": 1, "ip.fragments_unfinished": 1})
    assert len(put(late, timeout=31)[0]) == 1


def test_oldest_datagrams_go_first():
    pieces = [piece(0, b"a" * 64, key=key) for key in range(10)]
    last = [piece(64, b"b", False, key=key) for key in range(10)]
    whole, counters = put(pieces + last[5:] + last[:5], datagrams=5)
    assert len(whole) == 5
    assert counters["ip.fragment_limit"] == 5


def test_bytes_held_are_bounded():
    pieces = [piece(0, b"a" * 8000, key=key) for key in range(10)]
    last = [piece(8000, b"b", False, key=key) for key in (9, 8, 0)]
    whole, counters = put(pieces + last, held_bytes=40_000)
    assert len(whole) == 2
    assert counters["ip.fragment_limit"] == 5


def test_pieces_of_one_datagram_are_bounded():
    scattered = [piece(16 * number, b"a" * 8) for number in range(PIECES + 5)]
    whole, counters = put(scattered)
    assert whole == []
    assert counters["ip.fragments_discarded"] == 1


@given(
    st.binary(min_size=1, max_size=600),
    st.lists(st.tuples(st.integers(0, 80), st.integers(1, 20)), max_size=20),
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(POLICIES)),
)
def test_any_agreeing_overlaps_give_the_original(payload, extra, source, policy):
    pieces = split(payload, 64)
    for start, size in extra:
        begin, end = 8 * start, 8 * (start + size)
        if end < len(payload):
            pieces.append(piece(begin, payload[begin:end]))
    source.shuffle(pieces)
    whole, counters = put(pieces, policy=policy)
    assert [found for _, found in whole][:1] == [payload]
    assert not counters["ip.fragment_conflict"]


@given(st.lists(st.tuples(st.integers(0, 8191), st.binary(max_size=100), st.booleans(), st.booleans()), max_size=30))
def test_anything(fragments):
    counters = Counter()
    held = Fragments(counters, datagrams=3, held_bytes=500)
    for number, (offset, payload, more, strict) in enumerate(fragments):
        whole = held.add(Fragment(strict, number, offset * 8, more, HEADER, payload, strict))
        assert whole is None or len(whole[1]) <= LONGEST

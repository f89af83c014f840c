"""What goes ahead of an object: bounded, without holes, the oldest forgotten first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engines import ahead
from engines.ahead import Held, Sent


class Other:
    """Where parts go: what is there of which object."""

    def __init__(self):
        self.there = {}

    def take(self, key, begin, piece):
        assert begin == len(self.there.setdefault(key, b""))
        self.there[key] += piece

    def forget(self, key):
        del self.there[key]


steps = st.lists(
    st.tuples(
        st.sampled_from(["part", "part", "part", "part", "gap", "again", "claim", "forget"]),
        st.sampled_from("abc"),
        st.binary(min_size=1, max_size=40),
    )
)


@given(steps)
def test_both_ends_agree_on_what_is_there_and_it_is_bounded(taken):
    other = Other()
    sent = Sent(other.take, other.forget, max_bytes=100)
    arrived = {"a": b"", "b": b"", "c": b""}
    for kind, key, piece in taken:
        begin = len(arrived[key])
        if kind == "part":
            arrived[key] += piece
            sent.part(key, begin, piece)
        elif kind == "gap":
            sent.part(key, begin + 1, piece)
        elif kind == "again" and begin:
            sent.part(key, 0, piece) if key in other.there else None
        elif kind == "claim":
            size = sent.claim(key)
            assert other.there.pop(key, b"") == arrived[key][:size]
            arrived[key] = b""
        else:
            sent.forget(key)
            arrived[key] = b""
            assert key not in other.there
        assert sum(map(len, other.there.values())) <= 100
        assert all(arrived[name].startswith(there) for name, there in other.there.items())


def test_the_one_begun_first_is_forgotten_first():
    other = Other()
    sent = Sent(other.take, other.forget, max_bytes=10)
    for key in "ab":
        sent.part(key, 0, b"12345")
    sent.part("b", 5, b"6")
    assert other.there == {"b": b"123456"}
    assert (sent.claim("a"), sent.claim("b"), sent.claim("b")) == (0, 6, 0)


@given(st.permutations(range(5)), st.integers(0, 5))
def test_parts_come_in_any_order_and_all_or_nothing_is_taken(order, kept):
    held = Held()
    for number in order[:kept]:
        held.part("a", number * 10, b"%d" % number * 10)
    assert held.take("a", 10 * kept) == [b"%d" % number * 10 for number in sorted(order[:kept])]
    assert held.take("a", 0) == []


def test_what_is_held_is_bounded():
    held = Held(max_bytes=100)
    for key in "abc":
        held.part(key, 0, bytes(40))
    assert held.take("b", 40) == [bytes(40)]
    assert held.take("c", 40) == [bytes(40)]
    held.part("d", 0, bytes(100))
    assert held.take("d", 100) == [bytes(100)]


def test_what_is_gone_is_not_there(monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 0.01)
    held = Held(max_bytes=100)
    for key in "abc":
        held.part(key, 0, bytes(40))
    held.part("x", 0, b"12")
    held.forget("x")
    assert [held.take(key, 40) for key in "ax"] == [None, None]

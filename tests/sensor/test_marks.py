"""Marks: ours are known, others' aren't."""

from hypothesis import given
from hypothesis import strategies as st

from sensor.marks import Mark

NUMBER, PORT = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)
SEGMENT = st.tuples(NUMBER, NUMBER, PORT, PORT)


@given(SEGMENT)
def test_ours_is_known_by_label_and_by_identification(segment):
    label, window = Mark(b"secret").of(*segment)
    assert 0 <= label < 1 << 20
    assert 0 <= window < 1 << 16
    again = Mark(b"secret")
    assert again.is_ours(label, window, *segment)
    assert again.is_ours(label & 0xFFFF, window, *segment)


@given(SEGMENT, st.integers(1, 0xFFFF))
def test_another_window_or_identification_is_not_ours(segment, change):
    mark = Mark(b"secret")
    label, window = mark.of(*segment)
    assert not mark.is_ours(label, window ^ change, *segment)
    assert not mark.is_ours(label ^ change, window, *segment)


def test_each_field_and_the_secret_make_a_difference():
    first = Mark(b"a").of(1, 2, 3, 4)
    others = {Mark(b"a").of(*one) for one in ((9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9), (2, 1, 4, 3))}
    assert len({first, Mark(b"b").of(1, 2, 3, 4)} | others) == 7


def test_a_long_secret_is_taken():
    assert Mark(bytes(100)).of(1, 2, 3, 4) == Mark(bytes(64)).of(1, 2, 3, 4)


def test_marks_are_spread_over_all_values():
    made = {Mark(b"secret").of(seq, 0, 80, 40000) for seq in range(2000)}
    assert len(made) > 1998
    assert len({window for _, window in made}) > 1900

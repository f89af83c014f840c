import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.columns import gather

LAYOUT = np.dtype([("a", "u1"), ("b", ">u2"), ("c", "<u4")])


@given(st.binary(max_size=40), st.lists(st.integers(0, 45), max_size=20))
def test_every_offset_even_beyond_the_end(buffer, offsets):
    found = gather(buffer, np.array(offsets, np.int64), LAYOUT)
    assert len(found) == len(offsets)
    for row, offset in zip(found, offsets, strict=True):
        raw = buffer[offset : offset + 7].ljust(7, b"\0")
        expected = (raw[0], int.from_bytes(raw[1:3], "big"), int.from_bytes(raw[3:], "little"))
        assert row.item() == expected


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_kinds_of_buffer(kind):
    assert gather(kind(bytes(range(20))), np.array([3, 5]), LAYOUT)["a"].tolist() == [3, 5]

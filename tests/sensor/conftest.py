"""Captures written to a temporary folder, and read back whole."""

import numpy as np
import pytest

from sensor.captures import open_capture


class Reader:
    """Writes bytes to a file, reads them as a capture, and keeps what came of it."""

    def __init__(self, folder):
        self.path = folder / "test.cap"

    def __call__(self, data, **settings):
        self.path.write_bytes(data)
        self.capture = open_capture(str(self.path), **settings)
        self.batches = list(self.capture)
        self.counters = {name: count for name, count in self.capture.counters.items() if count}
        return self

    def column(self, name):
        return [value for batch in self.batches for value in getattr(batch, name).tolist()]

    @property
    def payloads(self):
        return [
            bytes(batch.buffer[start : start + size])
            for batch in self.batches
            for start, size in zip(batch.payload.tolist(), batch.length.tolist(), strict=True)
        ]


@pytest.fixture
def read(tmp_path):
    return Reader(tmp_path)


@pytest.fixture(scope="session")
def readers(tmp_path_factory):
    """For hypothesis: one folder for all examples."""
    return Reader(tmp_path_factory.mktemp("captures"))


def in_bounds(batch):
    """What every consumer of a batch relies on."""
    size = len(batch.buffer)
    for name in ("frame", "network", "transport", "payload"):
        offsets = getattr(batch, name)
        assert offsets.dtype == np.int64
        assert ((offsets >= 0) & (offsets <= size)).all(), name
    assert (batch.length >= 0).all()
    assert (batch.length <= batch.wire_length).all()
    assert (batch.payload + batch.length <= size).all()
    assert (batch.transport <= batch.payload).all()


@pytest.fixture(scope="session")
def check_bounds():
    return in_bounds

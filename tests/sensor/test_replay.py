"""A capture that passes by at its own pace: the same batches as read at once, no sooner than they were recorded."""

import time

import pytest
from capturefile import BEGAN, SECOND, pcap

from sensor.captures import CaptureError, open_capture
from sensor.packets import PacketBatch
from sensor.replay import Replay

GAP = SECOND // 20
FRAME = bytes.fromhex(
    "02000000000a02000000000b0800450000200000400040110ea30a4300010a430002"  # UDP over IPv4
    "03e80035000c000000000001"
)


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "some.pcap"
    path.write_bytes(pcap([(BEGAN + number * GAP, FRAME) for number in range(10)], unit="ns"))
    return str(path)


def played(replay):
    """Batches with the monotonic ns at which they came, and the times between them."""
    batches, ticks = [], []
    for one in replay:
        if isinstance(one, PacketBatch):
            batches.append((time.monotonic_ns(), one))
        else:
            ticks.append(one)
    return batches, ticks


def test_packets_pass_at_the_pace_of_their_recording(capture, monkeypatch):
    monkeypatch.setattr("sensor.replay.BATCH_BYTES", 16 + len(FRAME))
    replay = Replay(capture, 1.0)
    begun = time.monotonic_ns()
    batches, ticks = played(replay)
    times = [when for _, batch in batches for when in batch.time.tolist()]
    assert times == [BEGAN + number * GAP for number in range(10)]
    assert all(came - begun >= batch.time[-1] - BEGAN for came, batch in batches)
    assert ticks
    assert all(BEGAN <= tick <= BEGAN + 10 * SECOND for tick in ticks)
    assert (replay.packets, replay.lost) == (10, 0)


@pytest.mark.parametrize("speed", [100.0, 0.0])
def test_faster_than_it_was(capture, speed):
    begun = time.monotonic()
    batches, _ = played(Replay(capture, speed))
    assert time.monotonic() - begun < 9 * GAP / 1e9
    wanted = [batch.time.tolist() for batch in open_capture(capture)]
    assert [batch.time.tolist() for _, batch in batches] == wanted


def test_its_clock_is_that_of_the_packets(capture):
    replay = Replay(capture, 1.0)
    for one in replay:
        if isinstance(one, PacketBatch):
            assert one.time[-1] <= replay.now() <= one.time[-1] + SECOND


def test_it_can_be_stopped(capture):
    replay = Replay(capture, 0.001)
    for _ in replay:
        replay.stop()
    assert replay.packets <= 10


def test_what_is_no_capture_is_said(tmp_path):
    with pytest.raises(CaptureError, match="no such file"):
        Replay(str(tmp_path / "none.pcap"), 1.0)

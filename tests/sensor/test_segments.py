"""Packets on disk: what is kept, what is forgotten, and what is picked out of it."""

import errno
import resource
import signal
import subprocess

import numpy as np
import pytest
from capture import write
from nouns import web

from sensor.captures import Capture, open_capture
from sensor.packets import ETHERNET, TCP
from sensor.picked import Picker, Wanted, marked
from sensor.records import Records
from sensor.segments import FOLDER, Chunk, Segments

SECOND = 1_000_000_000
ENDS = (bytes([192, 0, 2, 10]), 40001), (bytes([198, 51, 100, 80]), 80)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FOLDER.mkdir()


def chunk(second, size=1000, interface="eth1", tag=None):
    one = np.array([0]), np.array([size]), np.array([size]), np.array([second * SECOND])
    return Chunk(interface, bytes([second % 256]) * size, Records(ETHERNET, *one, tag))


def seconds(segments, begin=0, end=1000):
    return [int(one.records.time[0]) // SECOND for one in segments.between(begin * SECOND, end * SECOND)]


def wanted(**more):
    return Wanted(**{"id": "f00", "ends": ENDS, "protocol": TCP, "begin": 0, "end": 1 << 62, "since": 0} | more)


def of_capture(path, interface="eth1", tag=None):
    capture = Capture(path)
    for buffer, found in capture.chunks():
        for records in found:
            tags = None if tag is None else np.full(len(records), tag, np.uint32)
            records = Records(records.link, records.frame, records.captured, records.wire, records.time, tags)
            yield Chunk(interface, buffer, records)
    capture.close()


def shown(path, *names):
    words = ["tshark", "-r", path, "-T", "fields", *(word for name in names for word in ("-e", name))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [tuple(line.split("\t")) for line in done.stdout.splitlines()]


def test_what_is_written_comes_out_of_its_time_alone():
    segments = Segments(1 << 20)
    for second in range(1, 20):
        segments.write(chunk(second, tag=np.array([0x81000005], np.uint32) if second == 7 else None))
    assert seconds(segments) == [*range(1, 20)]
    assert seconds(segments, 5, 7) == [5, 6, 7]
    (one,) = segments.between(7 * SECOND, 7 * SECOND)
    assert (one.interface, one.buffer, one.records.tag.tolist()) == ("eth1", bytes([7]) * 1000, [0x81000005])
    assert segments.oldest == SECOND


def test_the_oldest_goes_and_the_rest_stays_within_bounds():
    segments = Segments(40_000)
    for second in range(1, 200):
        segments.write(chunk(second))
        assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 40_000 + 5_000
    kept = seconds(segments)
    assert kept == [*range(kept[0], 200)]
    assert 20 < len(kept) < 40
    assert segments.oldest == kept[0] * SECOND


def test_a_ring_of_an_earlier_run_goes_on():
    before = Segments(40_000)
    for second in range(1, 12):
        before.write(chunk(second))
    last = sorted(FOLDER.iterdir())[-1]
    last.write_bytes(last.read_bytes()[:-10])  # it was killed while it wrote
    after = Segments(40_000)
    assert seconds(after) == [*range(1, 11)]
    for second in range(12, 200):
        after.write(chunk(second))
    kept = seconds(after)
    assert kept == [*range(kept[0], 200)]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 45_000


def test_a_full_disk_leaves_whole_chunks_alone():
    segments = Segments(1 << 20)
    segments.write(chunk(1))
    before, signals = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            segments.write(chunk(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signals)
    assert raised.value.errno == errno.EFBIG
    segments.write(chunk(3))
    assert seconds(segments) == [1, 3]


def test_one_flow_of_several_is_picked_with_its_tags(tmp_path):
    other = web(("/b", b"other"), orig="192.0.2.11:40001")
    packets = web(("/a", b"payload" * 1000))
    write([*packets, *other], tmp_path / "some.pcap")
    segments = Segments(1 << 20)
    for one in of_capture("some.pcap", tag=0x8100 << 16 | 3 << 13 | 77):
        segments.write(one)
    Picker([wanted(comment="why it is here")]).pick(segments.between(0, 1 << 62))
    found = shown("f00.pcapng", "ip.src", "vlan.id", "vlan.priority", "frame.interface_name")
    assert len(found) == len(packets)
    assert {one[1:] for one in found} == {("77", "3", "eth1")}
    about = subprocess.run(["capinfos", "f00.pcapng"], capture_output=True, text=True, check=True).stdout
    assert "why it is here" in about
    assert "nanoseconds (9)" in about
    batches = [*open_capture("f00.pcapng")]
    assert sum(map(len, batches)) == len(packets)
    assert {vlan for batch in batches for vlan in batch.vlan.tolist()} == {77}


def test_two_interfaces_are_in_order_of_time(tmp_path):
    packets = web(("/a", b"payload" * 1000))
    for name, sport in (("one.pcap", 80), ("two.pcap", 40001)):
        write([one for one in packets if one.sport == sport], tmp_path / name)
    Picker([wanted()]).pick([*of_capture("one.pcap", "eth1"), *of_capture("two.pcap", "eth2")])
    found = shown("f00.pcapng", "frame.time_epoch", "frame.interface_name")
    assert found == sorted(found)
    assert {name for _, name in found} == {"eth1", "eth2"}
    assert len(found) == len(packets)


def test_a_flow_that_began_before_the_ring_says_so():
    assert marked(wanted(since=5 * SECOND), 4 * SECOND) == (wanted(since=5 * SECOND), False)
    for oldest in (6 * SECOND, None):
        one, lacking = marked(wanted(since=5 * SECOND, comment="a"), oldest)
        assert lacking
        assert one.comment == "a; the beginning was no longer, or not yet, recorded"

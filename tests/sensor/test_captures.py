import gzip
import os
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import zstandard
from capturefile import BEGAN, ether, ipv4, pcap, pcapng, segment, tcp, udp
from hypothesis import example, given
from hypothesis import strategies as st

from sensor.captures import CaptureError, FragmentLimits, open_capture
from sensor.packets import TCP, UDP

PAYLOADS = [bytes([number]) * (20 + number) for number in range(40)]
WHOLE = pcap([segment(payload) for payload in PAYLOADS])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing", None, "no such file"),
        ("empty", b"", "is empty"),
        ("short", b"\xd4\xc3\xb2\xa1\x02\0", "is cut off in its header of 24 bytes"),
        ("text", b"#!/bin/sh\necho no capture\n", "is not a capture; pcap and pcapng can be read, plain, gzip or zstd"),
        ("magic", b"\n\r\r\n" + bytes(40), "is not a capture"),
        ("gz", gzip.compress(b"text " * 100), "is not a capture"),
        ("emptygz", gzip.compress(b""), "is empty"),
        ("badgz", b"\x1f\x8b" + b"\xff" * 60, "the gzip stream is damaged"),
        ("badzst", b"\x28\xb5\x2f\xfd" + b"\xff" * 60, "the zstd stream is damaged"),
    ],
)
def test_what_is_no_capture_is_said_in_one_line(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CaptureError, match=said) as error:
        open_capture(str(path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_directory(tmp_path):
    with pytest.raises(CaptureError, match="is a directory"):
        open_capture(str(tmp_path))


def test_name_that_no_file_has():
    with pytest.raises(CaptureError, match="cannot be read"):
        open_capture("a\0b")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user to be refused as")
def test_no_permission(tmp_path):
    path = tmp_path / "secret.pcap"
    path.write_bytes(WHOLE)
    path.chmod(0)
    child = os.fork()
    if not child:
        os.setuid(65534)
        tmp_path_open = 1
        try:
            open_capture(str(path))
        except CaptureError as error:
            tmp_path_open = 0 if "permission" in str(error) else 2
        os._exit(tmp_path_open)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("content", [WHOLE, pcapng([segment(payload) for payload in PAYLOADS])], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("batch_bytes", [100, 1 << 20])
def test_formats_are_found_by_content(read, content, packed, batch_bytes):
    found = read(packed(content), batch_bytes=batch_bytes)
    assert found.payloads == PAYLOADS
    assert found.capture.warnings == []
    assert found.capture.packets == len(PAYLOADS)


def test_counts_and_position(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(WHOLE)
    capture = open_capture(str(path), batch_bytes=500)
    assert capture.size == len(WHOLE)
    positions = []
    for batch in capture:
        assert batch.capture == str(path)
        assert batch.arrived > 0
        positions.append(capture.position)
    assert positions == sorted(positions)
    assert len(positions) > 3
    assert capture.position == len(WHOLE)
    assert capture.bytes == sum(len(segment(payload)) for payload in PAYLOADS)


def test_position_in_a_compressed_file_is_that_of_the_file(tmp_path):
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(WHOLE))
    capture = open_capture(str(path))
    list(capture)
    assert capture.position == capture.size == path.stat().st_size


def test_iteration_may_stop_early(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(WHOLE)
    capture = open_capture(str(path), batch_bytes=500)
    for _ in capture:
        break
    assert 0 < capture.packets < len(PAYLOADS)


SCRIPT = """
import sys
from sensor.captures import open_capture
capture = open_capture("-")
print(sum(len(batch) for batch in capture), capture.packets, capture.size, capture.warnings)
"""


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress])
def test_standard_input(packed):
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=packed(WHOLE), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "40 40 None []"


def test_standard_input_from_a_file(tmp_path):
    path = tmp_path / "a.pcap"
    path.write_bytes(WHOLE)
    with path.open("rb") as file:
        done = subprocess.run([sys.executable, "-c", SCRIPT], stdin=file, capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"40 40 {len(WHOLE)} []"


def test_a_silent_pipe_hands_on_what_has_come(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    seen = threading.Event()

    def write():
        with path.open("wb", buffering=0) as pipe:
            pipe.write(WHOLE[: 24 + 16 + len(segment(PAYLOADS[0]))])
            assert seen.wait(10)  # the writer goes on only when the first packet has been handed on
            pipe.write(WHOLE[24 + 16 + len(segment(PAYLOADS[0])) :])

    writer = threading.Thread(target=write)
    writer.start()
    sizes = []
    for batch in open_capture(str(path)):
        sizes.append(len(batch))
        seen.set()
    writer.join()
    assert sizes[0] == 1
    assert sum(sizes) == len(PAYLOADS)


def test_mixed_traffic(read):
    frames = [
        segment(b"tcp"),
        ether(bytes(46), 0x0806),
        ether(ipv4(b"\x08\0" + bytes(30), protocol=1)),
        ether(ipv4(udp(b"dns"), protocol=17)),
        ether(bytes(46), 0x88CC),
        ether(b"\x42\x42\x03" + bytes(43), 38),
        ether(ipv4(bytes(30), protocol=132)),
        ether(ipv4(bytes(30), protocol=253)),
        ether(bytes(46), 0x7777),
    ]
    found = read(pcap(frames))
    assert found.payloads == [b"tcp", b"dns"]
    assert found.column("protocol") == [TCP, UDP]
    assert found.column("seq") == [1, 0]
    assert found.column("time") == [BEGAN, BEGAN + 3_000_000]
    assert found.counters == dict.fromkeys(
        [
            "decode.arp",
            "decode.icmp",
            "decode.lldp",
            "decode.llc",
            "decode.sctp",
            "decode.unknown_protocol",
            "decode.unknown_ethertype",
        ],
        1,
    )


def test_fragment_settings_reach_the_defragmenter(read):
    data = ipv4(tcp(b"x" * 76))
    first = ether(ipv4(data[20:84], fragment=0x2000))
    last = ether(ipv4(data[84:], fragment=8))
    later = [(BEGAN, first), (BEGAN + 2_000_000_000, last)]
    assert read(pcap(later)).payloads == [b"x" * 76]
    assert read(pcap(later), fragments=FragmentLimits(timeout=1.0)).payloads == []
    assert read.counters["ip.fragment_timeout"] == 1


@given(st.binary(max_size=400))
@example(b"")
def test_any_bytes_are_a_capture_error_or_nothing_worse(readers, data):
    with suppress(CaptureError):
        readers(data)
        assert data[:4] in MAGICS or data[:2] == b"\x1f\x8b"


MAGICS = [pcap([], order, unit)[:4] for order in "<>" for unit in ("us", "ns")] + [b"\n\r\r\n"]
HEADS = [WHOLE[:24], pcap([], ">"), pcap([], link=113), pcap([], link=276), pcap([], link=0), pcap([], link=101)]
HEADS += [pcap([], link=9), pcapng([]), pcapng([], ">"), pcapng([], link=12)]


@given(st.sampled_from(HEADS), st.binary(max_size=600), st.integers(1, 700))
def test_any_bytes_behind_a_header(readers, check_bounds, head, data, batch_bytes):
    for batch in readers(head + data, batch_bytes=batch_bytes).batches:
        check_bounds(batch)


FRAMES = st.lists(st.binary(max_size=120), max_size=8)


@given(st.sampled_from([1, 113, 276, 0, 108, 101, 228, 229, 9, 50]), FRAMES, st.sampled_from([pcap, pcapng]))
def test_any_frames(readers, check_bounds, link, frames, write):
    found = readers(write(frames, link=link))
    assert found.capture.packets == len(frames)
    for batch in found.batches:
        check_bounds(batch)


@given(st.data())
def test_damage_anywhere(readers, check_bounds, data):
    """Real packets with some bytes changed reach the deeper stages."""
    frames = [segment(b"abc"), ether(ipv4(udp(b"x" * 30), protocol=17)), ether(ipv4(bytes(64), fragment=0x2000))]
    changed = [bytearray(frame) for frame in frames * 2]
    for frame in changed:
        for _ in range(data.draw(st.integers(0, 3))):
            frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    found = readers(pcap([bytes(frame) for frame in changed]))
    for batch in found.batches:
        check_bounds(batch)


@given(st.integers(0, 2000), st.sampled_from([gzip.compress, zstandard.compress]))
def test_any_cut_of_a_compressed_capture_gives_a_prefix(readers, cut, packed):
    content = packed(WHOLE)
    try:
        found = readers(content[: cut % len(content)])
    except CaptureError:
        return
    assert found.payloads == PAYLOADS[: len(found.payloads)]
    assert found.capture.warnings or found.payloads == PAYLOADS

"""Packets without the kernel's ring: the same frames, times and tags."""

import os
import select
import socket
import struct
import time
from contextlib import closing

import pytest

from sensor.plain import Plain, opened_plain, reader
from sensor.ring import Ring, RingRefused, RingSize, opened

HEAD = bytes.fromhex("ffffffffffff02000000000b88b5")


def taken(plain, count, seconds=5.0):
    found, end, poll = [], time.monotonic() + seconds, select.poll()
    poll.register(plain, select.POLLIN)
    while len(found) < count and time.monotonic() < end:
        poll.poll(50)
        for block, records in plain.blocks():
            tags = [0] * len(records) if records.tag is None else records.tag.tolist()
            rows = zip(records.frame.tolist(), records.captured.tolist(), records.time.tolist(), tags, strict=True)
            seen = [(block[at : at + size], when, tag) for at, size, when, tag in rows]
            found += [one for one in seen if one[0][12:14] == HEAD[12:]]
    return found


def sees_times(plain, out):
    """Sends until the kernel gives packets a time as they come; how many it had given none, or dropped."""
    end, sent = time.monotonic() + 5, 0
    while time.monotonic() < end:
        out.send(HEAD + bytes(60))
        sent += 1
        if taken(plain, 1, 0.1):
            return sent - 1
    pytest.fail("no packet has the time at which it came")


def test_packets_that_came_before_the_kernel_gave_them_a_time_are_counted_not_misdated(span):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((span.port + "p", 0))
        begun = time.time_ns()
        made = opened(span.port, RingSize(), ring=False)
        for number in range(20):
            out.send(HEAD + bytes([number]) * 60)
        made.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        sent = time.time_ns()
        with closing(Plain(span.port, made)) as plain:
            found = taken(plain, 20, 0.2)
            assert all(begun <= when <= sent for _, when, _ in found)
            assert len(found) + plain.lost() >= 20  # and a frame of the system's own
            sees_times(plain, out)
            assert plain.lost() < 20


def test_frames_with_their_time_and_tag(span):
    with closing(Plain(span.port, opened_plain(span.port, RingSize()))) as plain:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
            out.bind((span.port + "p", 0))
            sees_times(plain, out)
            plain.lost()
            sent = [HEAD + struct.pack(">I", number) + bytes(number) for number in range(50, 1000)]
            for one in sent:
                out.send(one)
            out.send(HEAD[:12] + b"\x81\0" + struct.pack(">H", 5 << 13 | 77) + HEAD[12:] + bytes(60))
        found = taken(plain, 951)
        assert [frame for frame, _, _ in found] == [*sent, HEAD + bytes(60)]
        assert [tag for _, _, tag in found] == [0] * 950 + [0x8100 << 16 | 5 << 13 | 77]
        times = [when for _, when, _ in found]
        assert times == sorted(times)
        assert time.time_ns() - 5_000_000_000 <= times[0] <= times[-1] <= time.time_ns()
        assert plain.lost() == 0


def test_the_longest_frames_are_whole(span):
    span.mtu(65535)
    with (
        closing(Plain(span.port, opened_plain(span.port, RingSize()))) as plain,
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out,
    ):
        out.bind((span.port + "p", 0))
        sees_times(plain, out)
        sent = HEAD + os.urandom(65535)
        out.send(sent)
        assert [frame for frame, _, _ in taken(plain, 1)] == [sent]


def test_a_ring_that_is_refused_is_told_from_what_is_given(span):
    with pytest.raises(RingRefused):
        opened(span.port, RingSize(block=3))
    with opened_plain(span.port, RingSize(block=3)) as made:
        assert isinstance(reader(span.port, made, RingSize()), Plain)
    small = RingSize(blocks=4)
    with closing(reader(span.port, opened(span.port, small), small)) as ring:
        assert isinstance(ring, Ring)

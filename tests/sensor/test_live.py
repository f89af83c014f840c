"""Live interfaces as batches: two ports of a TAP are one timeline, whichever block comes first."""

import os
import socket
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from span import needed, run

from sensor import live
from sensor.captures import BATCH_BYTES
from sensor.clock import Clock, Jump
from sensor.live import PORTION, SETTLED, Least, Live, Order, portions
from sensor.packets import ETHERNET, PacketBatch
from sensor.records import Records
from sensor.ring import Ring, RingSize, opened

NOW = 1_700_000_000_000_000_000


def block(*times, vlan=None):
    """A block of frames of eight bytes, each of which holds its time."""
    payload = b"".join(b"--" + when.to_bytes(8, "big") for when in times)
    size = np.full(len(times), 8)
    vlans = None if vlan is None else np.full(len(times), vlan, np.uint32)
    return payload, Records(ETHERNET, np.arange(len(times)) * 10 + 2, size, size, np.array(times, np.int64), vlans)


def read(blocks):
    """The times that the frames hold, which are those of the records."""
    told = []
    for buffer, records in blocks:
        held = [int.from_bytes(buffer[begin : begin + 8], "big") for begin in records.frame.tolist()]
        assert held == records.time.tolist()
        told += held
    return told


def test_a_question_comes_before_its_answer_though_its_block_comes_behind():
    order = Order()
    assert read(order.sorted([block(NOW + 2)], NOW + 2)) == []
    assert read(order.sorted([block(NOW + 1)], NOW + 2 + SETTLED)) == [NOW + 1, NOW + 2]
    assert order.waiting == []


def test_at_the_end_nothing_waits():
    order = Order()
    assert read(order.sorted([block(NOW + 5, NOW + 9), block(NOW + 7)], None)) == [NOW + 5, NOW + 7, NOW + 9]
    assert order.sorted([], None) == []


def test_tags_stay_with_their_frames():
    order = Order()
    ((_, records),) = order.sorted([block(NOW + 1, NOW + 3, vlan=7), block(NOW + 2)], None)
    assert records.tag.tolist() == [7, 0, 7]


@given(st.lists(st.lists(st.tuples(st.booleans(), st.integers(0, 2 * SETTLED)), max_size=6), max_size=8))
def test_whatever_comes_when_everything_comes_once_and_each_portion_in_order(rounds):
    """What is late by less than `SETTLED` comes in order throughout."""
    order, now, sent, told = Order(), NOW, [], []
    for portion in rounds:
        now += SETTLED
        sides = [sorted(now - age for second, age in portion if second is side) for side in (False, True)]
        sent += sides[0] + sides[1]
        given_blocks = [block(*side) for side in sides if side]
        portion_told = read(order.sorted(given_blocks, now))
        assert portion_told == sorted(portion_told)
        told += portion_told
        held = sum(len(buffer) for buffer, _ in order.waiting)
        assert held <= 10 * 6 * 4  # no more than came lately
    told += read(order.sorted([], None))
    assert sorted(told) == sorted(sent)


@pytest.fixture
def tap():
    """The two ports of a TAP, and what is connected to them."""
    needed()
    key, ports = os.getpid() % 100000, []
    for side in "ab":
        name, other = f"tl{side}{key}", f"tm{side}{key}"
        run("ip", "link", "add", name, "type", "veth", "peer", "name", other)
        for one in (name, other):
            run("sysctl", "-qw", f"net.ipv6.conf.{one}.disable_ipv6=1")
            run("ip", "link", "set", one, "up")
        ports.append((name, other))
    yield ports
    for name, _ in ports:
        run("ip", "link", "del", name)


def ring_on(interface, size=RingSize(1 << 16, 8)):  # noqa: B008 - is frozen
    return Ring(interface, opened(interface, size), size)


def udp(source, target, number):
    head = bytes.fromhex("ffffffffffff02000000000b0800")
    ip = bytes.fromhex("4500002000004000401100000a430001") + bytes((10, 67, 0, 2))
    from sensor.checksums import header_sum

    ip = ip[:10] + header_sum(ip).to_bytes(2, "big") + ip[12:]
    return head + ip + b"".join(word.to_bytes(2, "big") for word in (source, target, 12, 0)) + number.to_bytes(4, "big")


@pytest.mark.parametrize("timeout", [1, 50])
def test_both_ports_of_a_tap_are_one_timeline(tap, timeout):
    size = RingSize(1 << 16, 8, timeout)
    source = Live([ring_on(port, size) for port, _ in tap], settled=size.settled)
    assert source.path == "+".join(port for port, _ in tap)
    outs = []
    for _, other in tap:
        out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        out.bind((other, 0))
        outs.append(out)

    def talk():
        for number in range(200):
            outs[number % 2].send(udp(1000 + number % 2, 53, number))
        time.sleep(0.1)
        source.stop()

    talking = threading.Thread(target=talk)
    talking.start()
    numbers, ticks, last = [], 0, 0
    for batch in source:
        if isinstance(batch, PacketBatch):
            assert batch.time[0] >= last
            last = int(batch.time[-1])
            numbers += [int.from_bytes(batch.buffer[at : at + 4], "big") for at in batch.payload.tolist()]
        else:
            ticks += 1
            assert abs(batch - time.time_ns()) < 1_000_000_000
    talking.join()
    for out in outs:
        out.close()
    assert numbers == list(range(200))
    assert ticks
    assert (source.packets, source.lost) == (200, 0)
    assert source.bytes == 200 * 46


def test_frames_larger_than_a_block_are_counted(tap):
    for name in tap[0]:
        run("ip", "link", "set", name, "mtu", "65535")
    source = Live([ring_on(tap[0][0], RingSize(1 << 14, 8))])
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((tap[0][1], 0))
        for size in (100, 60_000, 16_000, 20_000):
            out.send(udp(1, 53, 7).ljust(size, b"x"))
        for _ in source:
            if source.packets == 4:
                source.stop()
    assert source.counters["cut_frames"] == 2
    assert source.bytes == 100 + 60_000 + 16_000 + 20_000


def test_where_nothing_passes_the_time_goes_on(tap):
    source = Live([ring_on(tap[0][0])])
    begun = time.monotonic()
    times = []
    for when in source:
        times.append(when)
        if len(times) == 3:
            source.stop()
    assert times == sorted(times)
    assert 2 * live.TICK < time.monotonic() - begun < 10


@pytest.mark.parametrize("years", [1, -1])
def test_a_clock_that_is_set_is_said_and_what_waits_is_of_the_new_time(tap, caplog, years):
    by = years * 365 * 86_400 * 1_000_000_000
    offset = [0]
    source = Live([ring_on(port) for port, _ in tap], clock=Clock(lambda: time.time_ns() + offset[0]))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((tap[0][1], 0))
        came = iter(source)
        assert isinstance(next(came), int)
        out.send(udp(1000, 53, 7))
        offset[0] = by
        jumps, batches = [], []
        for one in came:
            if isinstance(one, Jump):
                jumps.append(one)
            elif isinstance(one, PacketBatch):
                batches.append(one)
                source.stop()
    assert [abs(one.by - by) < 1_000_000_000 for one in jumps] == [True]
    assert source.counters["clock.jump"] == 1
    assert f"the clock was set {'ahead' if by > 0 else 'back'} by 31536000 s" in caplog.text
    (batch,) = batches
    assert len(batch) == 1


@given(st.lists(st.tuples(st.floats(0, 0.6), st.floats(0, 1)), min_size=1, max_size=60))
def test_the_least_of_the_last_second(steps):
    least, now, seen = Least(1.0), 0.0, []
    for pause, value in steps:
        now += pause
        seen.append((now, value))
        assert least.with_(value, now) == min(value for when, value in seen if when >= now - 1.0)


def test_a_burst_is_no_backlog():
    """Much at a time counts when it lasts, and no longer than that."""
    least = Least(1.0)
    told = [least.with_(share, at / 10) for at, share in enumerate([0.0, 0.9, 0.9, 0.9, 0.1, *[0.9] * 11, 0.2, 0.9])]
    assert told == [0.0] * 11 + [0.1] * 4 + [0.9, 0.2, 0.2]


@given(st.lists(st.tuples(st.integers(0, BATCH_BYTES), st.integers(0, PORTION))))
def test_a_full_ring_is_read_in_portions(sizes):
    given = [(range(size), range(packets)) for size, packets in sizes]  # as long as they say
    found = list(portions(list(given)))
    assert [block for part in found for block in part] == given
    assert all(found)
    for part in found:
        assert sum(len(buffer) for buffer, _ in part[:-1]) < BATCH_BYTES
        assert sum(len(records) for _, records in part[:-1]) < PORTION
    for part in found[:-1]:
        full = sum(len(buffer) for buffer, _ in part), sum(len(records) for _, records in part)
        assert full[0] >= BATCH_BYTES or full[1] >= PORTION

"""The kernel's ring on a real interface: what is sent comes out, byte for byte, in blocks that are given back."""

import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from span import needed, run

from sensor import stamps
from sensor.bpf import FilterError, compiled
from sensor.checksums import header_sum
from sensor.fanout import NEW_GROUP, group_of
from sensor.packets import ETHERNET
from sensor.ring import Ring, RingSize, SocketOptions, opened

SMALL = RingSize(block=1 << 16, blocks=4)
HEAD = bytes.fromhex("ffffffffffff02000000000b88b5")  # broadcast, an EtherType for experiments (IEEE 802)


@pytest.fixture
def cable():
    """Two ends of a cable; what is sent into the second comes out of the first."""
    needed()
    ours, theirs = f"tra{os.getpid() % 100000}", f"trb{os.getpid() % 100000}"
    run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
    for name in (ours, theirs):
        run("sysctl", "-qw", f"net.ipv6.conf.{name}.disable_ipv6=1")  # no frames of its own
        run("ip", "link", "set", name, "mtu", "9000", "up")
    yield ours, theirs
    run("ip", "link", "del", ours)


def ring_on(interface, size=SMALL, group=None, **options):
    return Ring(interface, opened(interface, size, SocketOptions(**options), group=group), size)


def frame(number, size=60):
    return (HEAD + struct.pack(">I", number)).ljust(size, bytes([number & 0xFF]))


def sender(interface):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.bind((interface, 0))
    return out


def taken(ring, count, seconds=5.0):
    """So many frames, each with its time on the wire."""
    found, end, poll = [], time.monotonic() + seconds, select.poll()
    poll.register(ring, select.POLLIN)
    while len(found) < count and time.monotonic() < end:
        poll.poll(50)
        for block, records in ring.blocks():
            rows = zip(records.frame.tolist(), records.captured.tolist(), records.time.tolist(), strict=True)
            found += [(block[begin : begin + size], when) for begin, size, when in rows]
    return found


def test_frames_come_out_as_they_were_sent_in_order_and_with_their_time(cable):
    ring = ring_on(cable[0])
    begun = time.time_ns()
    with sender(cable[1]) as out:
        sent = [frame(number, 60 + number * 37 % 8000) for number in range(300)]  # more than the ring holds at once
        found = []
        for number, one in enumerate(sent):
            out.send(one)
            if number % 20 == 19:
                found += taken(ring, 20)
    assert [one for one, _ in found] == sent
    times = [when for _, when in found]
    assert times == sorted(times)
    assert begun - 1_000_000 <= times[0] <= times[-1] <= time.time_ns()
    assert ring.link == ETHERNET
    assert ring.lost() == 0
    ring.close()


@pytest.mark.parametrize("size", [RingSize(blocks=4), RingSize(blocks=2, timeout=100)])
def test_the_longest_frames_are_whole(cable, size):
    for name in cable:
        run("ip", "link", "set", name, "mtu", "65535")
    ring = ring_on(cable[0], size)
    with sender(cable[1]) as out:
        sent = [frame(number, 65535 + 14) for number in range(10)]
        for one in sent:
            out.send(one)
            assert [found for found, _ in taken(ring, 1)] == [one]
    assert ring.lost() == 0
    ring.close()


def test_a_block_waits_until_its_time_is_out(cable):
    ring = ring_on(cable[0], RingSize(blocks=4, timeout=100))
    waited = []
    with sender(cable[1]) as out:
        for number in range(5):
            begun = time.monotonic()
            out.send(frame(number))
            taken(ring, 1)
            waited.append(time.monotonic() - begun)
    assert max(waited) > 0.05
    ring.close()


@pytest.mark.parametrize(("promiscuous", "count"), [(True, 1), (False, 0)])
def test_the_interface_takes_the_frames_of_others_when_it_is_asked_to(cable, promiscuous, count):
    ring = ring_on(cable[0], promiscuous=promiscuous)
    words = "ip", "-d", "link", "show", cable[0]
    assert f"promiscuity {count} " in subprocess.run(words, capture_output=True, text=True, check=True).stdout
    with sender(cable[1]) as out:
        out.send(frame(1))
        assert [one for one, _ in taken(ring, 1)] == [frame(1)]
    ring.close()


def test_a_card_without_a_clock_is_said_and_packets_have_the_kernels_time(cable):
    with pytest.raises(OSError, match="it has no clock"):
        stamps.switch_on(cable[0])
    ring = ring_on(cable[0], hardware=True)
    begun = time.time_ns()
    with sender(cable[1]) as out:
        out.send(frame(1))
        ((found, when),) = taken(ring, 1)
    assert found == frame(1)
    assert begun - 1_000_000 <= when <= time.time_ns()
    ring.close()


def test_frames_that_we_send_ourselves_are_not_seen(cable):
    ring = ring_on(cable[0])
    with sender(cable[0]) as ours, sender(cable[1]) as theirs:
        ours.send(frame(1))
        theirs.send(frame(2))
        assert [one for one, _ in taken(ring, 1)] == [frame(2)]
    ring.close()


def test_what_the_ring_has_no_room_for_is_counted_and_it_goes_on(cable):
    ring = ring_on(cable[0])
    with sender(cable[1]) as out:
        for number in range(400):
            out.send(frame(number, 1500))
        found = taken(ring, 400, 0.5)
        lost = ring.lost()
        assert lost > 0
        assert len(found) + lost == 400
        assert [one for one, _ in found] == [frame(number, 1500) for number in range(len(found))]
        out.send(frame(7))
        assert [one for one, _ in taken(ring, 1)] == [frame(7)]
    assert ring.lost() == 0
    ring.close()


def test_tags_that_the_kernel_takes_off_are_in_the_records(cable):
    ring = ring_on(cable[0])
    with sender(cable[1]) as out:
        out.send(HEAD[:12] + b"\x81\x00" + struct.pack(">H", 5 << 13 | 77) + HEAD[12:] + bytes(60))
        out.send(frame(1))
        end, found = time.monotonic() + 5, []
        while len(found) < 2 and time.monotonic() < end:
            for block, records in ring.blocks():
                vlans = records.tag if records.tag is not None else np.zeros(len(records), np.uint32)
                found += [
                    (block[begin : begin + 14], vlan)
                    for begin, vlan in zip(records.frame.tolist(), vlans.tolist(), strict=True)
                ]
    assert found == [(HEAD, 0x8100 << 16 | 5 << 13 | 77), (HEAD, 0)]
    ring.close()


def test_the_kernel_filters(cable):
    ring = ring_on(cable[0], program=compiled("ether[14:4] = 5", ETHERNET))
    with sender(cable[1]) as out:
        for number in range(10):
            out.send(frame(number))
        assert [one for one, _ in taken(ring, 2, 0.5)] == [frame(5)]
    with pytest.raises(PermissionError):  # locked: who breaks into the parser can't widen it
        ring.socket.setsockopt(socket.SOL_SOCKET, 27, 0)  # SO_DETACH_FILTER
    ring.close()


@pytest.mark.parametrize(("expression", "why"), [("tcp prt 80", "syntax error"), ("host nowhere.invalid", "nowhere")])
def test_a_filter_that_cannot_be_compiled_says_why(expression, why):
    with pytest.raises(FilterError, match=why):
        compiled(expression, ETHERNET)


def test_no_filter_is_no_program():
    assert compiled(" ", ETHERNET) == b""


@pytest.mark.parametrize("before", [0, 1, 30, 100, 170])
def test_another_reader_goes_on_where_the_first_one_died(cable, before):
    first = ring_on(cable[0])
    with sender(cable[1]) as out:
        for number in range(before):
            out.send(frame(number, 1500))
            if number % 10 == 9:
                taken(first, 10)
        begun = [one for one, _ in taken(first, before % 10, 0.5 if before % 10 else 0)]
        assert len(begun) == before % 10
        for number in range(20):
            out.send(frame(number))
        second = Ring(cable[0], first.socket, SMALL)
        assert [one for one, _ in taken(second, 20)] == [frame(number) for number in range(20)]
        for number in range(20):
            out.send(frame(number))
        assert [one for one, _ in taken(second, 20)] == [frame(number) for number in range(20)]
    first.close()
    second.close()


def test_no_such_interface_leaves_no_socket_open():
    descriptors = Path("/proc/self/fd")
    before = len([*descriptors.iterdir()])
    with pytest.raises(OSError, match="No such device"):
        opened("nosuch0", SMALL)
    assert len([*descriptors.iterdir()]) == before


def test_without_the_right_it_is_said(cable):
    code = (
        f"import sensor.ring as r\ntry: r.opened({cable[0]!r}, r.RingSize())\nexcept PermissionError: print('no right')"
    )
    words = ["setpriv", "--bounding-set", "-net_raw", "--inh-caps", "-net_raw", sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "no right\n"


def shares_of(cable, packets, fanout="flow"):
    """What each of three readers gets."""
    rings = [ring_on(cable[0], group=NEW_GROUP, fanout=fanout)]
    rings += [ring_on(cable[0], group=group_of(rings[0].socket), fanout=fanout) for _ in range(2)]
    with sender(cable[1]) as out:
        for one in packets:
            out.send(one)
    shares = [[one for one, _ in taken(ring, len(packets), 0.2)] for ring in rings]
    for ring in rings:
        ring.close()
    assert sorted(one for share in shares for one in share) == sorted(packets)
    return shares


@pytest.mark.parametrize("fanout", ["flow", "hash", "hash+defrag", "hash+rollover"])
@pytest.mark.parametrize("version", [4, 6])
def test_flows_are_dealt_out_both_directions_to_the_same_reader(cable, version, fanout):
    flows = [(host, port) for host in range(1, 9) for port in range(40_000, 40_008)]
    packets = [
        one for host, port in flows for one in (tcp(version, host, port, 80), tcp(version, host, 80, port, True))
    ]
    shares = shares_of(cable, packets, fanout)
    assert all(len(share) >= len(packets) // 10 for share in shares)
    for there, back in zip(packets[::2], packets[1::2], strict=True):
        assert [there in share for share in shares] == [back in share for share in shares]


@pytest.mark.parametrize("version", [4, 6])
def test_ftp_data_goes_where_its_control_connection_goes(cable, version):
    hosts = range(1, 13)
    ports = [(40_000, 21), (20, 41_000), (42_000, 43_000), (44_000, 50_000)]
    shares = shares_of(cable, [tcp(version, host, *pair) for host in hosts for pair in ports])
    assert sum(map(bool, shares)) > 1
    for host in hosts:
        assert sorted(sum(tcp(version, host, *pair) in share for pair in ports) for share in shares) == [0, 0, 4]


def test_what_one_cpu_takes_goes_to_one_reader(cable):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        shares = shares_of(cable, [tcp(4, host, 40_000, 80) for host in range(1, 20)], "cpu")
    finally:
        os.sched_setaffinity(0, before)
    assert sorted(map(len, shares)) == [0, 0, 19]


@pytest.mark.parametrize(("fanout", "together"), [("flow", 1), ("hash", 2), ("hash+defrag", 1)])
def test_fragments_are_put_together_before_they_are_dealt_out(cable, fanout, together):
    """By the kernel; where it doesn't, they come one by one, and not all with their flow."""
    whole = tcp(4, 1, 40_000, 80)
    whole = whole[:54] + bytes(60)
    first, second = fragment(whole, 0, 40, more=True), fragment(whole, 40, 80, more=False)
    rings = [ring_on(cable[0], group=NEW_GROUP, fanout=fanout)]
    with sender(cable[1]) as out:
        out.send(first)
        out.send(second)
        assert len(taken(rings[0], together)) == together
        assert taken(rings[0], 1, 0.05) == []
    rings[0].close()


def fragment(packet, begin, end, *, more):
    """A fragment (RFC 791) of a packet's payload."""
    ip, payload = packet[14:34], packet[34:][begin:end]
    place = begin // 8 | (0x2000 if more else 0)
    ip = ip[:2] + struct.pack(">HHH", 20 + len(payload), 77, place) + ip[8:10] + bytes(2) + ip[12:]
    return packet[:14] + ip[:10] + header_sum(ip).to_bytes(2, "big") + ip[12:] + payload


def test_what_is_no_ip_goes_to_one_reader(cable):
    shares = shares_of(cable, [frame(number) for number in range(10)])
    assert sorted(map(len, shares)) == [0, 0, 10]


def tcp(version, host, source, target, back=False):
    """A segment from a host to the server, or back."""
    ends = (b"\x0a\x43\0\xfe", bytes((10, 67, 0, host)))[:: 1 if back else -1]
    body = struct.pack(">HHIIBBHHH", source, target, 1, 1, 0x50, 0x10, 100, 0, 0)
    if version == 4:
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 40, 1, 0x4000, 64, 6, 0) + b"".join(ends)
        ip = ip[:10] + header_sum(ip).to_bytes(2, "big") + ip[12:]
        return HEAD[:12] + b"\x08\x00" + ip + body
    addresses = b"".join(b"\xfd" + bytes(11) + end for end in ends)
    return HEAD[:12] + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, 20, 6, 64) + addresses + body

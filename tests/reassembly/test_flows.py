"""The flow table: the columnar path and the careful path must tell the same story, however packets are batched."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import Packet, Talk, batch_of

from reassembly import detect
from reassembly.builder import Memory
from reassembly.events import FlowEnd, Gap
from reassembly.flows import FlowTable
from reassembly.limits import Limits
from reassembly.objects import Object
from reassembly.protocols import Answer
from sensor.packets import ACK, RST, SYN, UDP

SECOND = 1_000_000_000


class Echo:
    """A protocol that makes one object of each direction."""

    NAME = "echo"
    PORTS = frozenset({80})

    @staticmethod
    def probe(orig, resp):
        return Answer.YES if orig or resp else Answer.MORE

    class Parser:
        def __init__(self, origin):
            self.origin = origin
            self.open = {}

        def feed(self, event):
            builder = self.open.get(event.direction)
            if builder is None:
                builder = self.open[event.direction] = self.origin.open(event.direction, "file", "echo", event.time)
            if type(event) is Gap:
                builder.gap(event.length)
            else:
                builder.write(event.payload)
            return []

        def close(self, event):
            builder = self.open.pop(event.direction, None)
            cut = None if event.how == "fin" else event.how
            return [builder.finish(event.time, cut)] if builder else []


class Broken(Echo):
    """A parser with a fault of its own."""

    class Parser(Echo.Parser):
        def feed(self, event):
            raise RuntimeError("a fault of ours")


@pytest.fixture(autouse=True)
def _protocols(monkeypatch):
    monkeypatch.setattr(detect, "speakers", lambda _: (Echo,))


def table(limits=None, **more):
    limits = limits or Limits()
    return FlowTable(limits, Memory(limits), **more)


def play(packets, sizes=(1 << 20,), made=None):
    """All products of a capture whose batches have these sizes in turn."""
    made = table() if made is None else made
    products, at, turn = [], 0, 0
    while at < len(packets):
        size = sizes[turn % len(sizes)]
        products += made.feed(batch_of(packets[at : at + size]))
        at, turn = at + size, turn + 1
    products += made.close()
    return products


def objects(products):
    return [one for one in products if type(one) is Object]


def ends(products):
    return [one for one in products if type(one) is FlowEnd]


def texts(products):
    return {one.direction: one.content.memory for one in objects(products)}


def story(products):
    """What has to be the same whichever way the packets went."""
    return (
        sorted((one.flow.id, one.direction, one.content.memory, one.missing, one.cut) for one in objects(products)),
        sorted(
            (one.flow.id, one.how, one.bytes, one.missing, one.objects, one.flow.midstream) for one in ends(products)
        ),
    )


def test_one_connection(talk):
    talk.handshake().say(0, b"request").say(1, b"response" * 1000).end()
    products = play(talk.packets)
    assert texts(products) == {0: b"request", 1: b"response" * 1000}
    assert all(one.complete for one in objects(products))
    (end,) = ends(products)
    assert (end.service, end.how, end.bytes, end.missing) == ("echo", "fin", (7, 8000), (0, 0))
    assert sum(end.packets) == len(talk.packets)
    assert not end.flow.midstream
    assert (end.flow.ip(0), end.flow.orig_port, end.flow.ip(1), end.flow.resp_port) == (
        "10.0.0.1",
        40000,
        "10.0.0.2",
        80,
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_batches_may_be_cut_anywhere(talk, size):
    talk.handshake().say(0, b"request").say(1, b"response" * 1000).say(0, b"again").say(1, b"more").end()
    assert story(play(talk.packets, (size,))) == story(play(talk.packets))


def test_ids_are_the_same_in_every_run(talk):
    talk.handshake().say(0, b"request").say(1, b"response").end()
    first, second = (objects(play(talk.packets)) for _ in range(2))
    assert [(one.id, one.flow.id) for one in first] == [(one.id, one.flow.id) for one in second]
    assert len({one.id for one in first}) == 2


def test_well_behaved_flows_never_leave_the_fast_path(talk, monkeypatch):
    monkeypatch.setattr(FlowTable, "_slow", lambda *_: pytest.fail("the careful path was taken"))
    talk.handshake().say(0, b"request").say(1, b"response" * 1000).say(0, b"again").say(1, b"more").end()
    assert texts(play(talk.packets, (5, 3))) == {0: b"requestagain", 1: b"response" * 1000 + b"more"}


@pytest.mark.parametrize("drop", range(3, 12))
def test_a_lost_packet_leaves_a_gap_and_costs_nothing_else(talk, drop):
    data = bytes(range(256)) * 40
    talk.handshake().say(0, b"request").say(1, data, size=1000).end()
    lost = talk.packets.pop(drop)
    products = play(talk.packets)
    total = sum(len(one.content.memory) + one.missing_bytes for one in objects(products))
    assert total == len(data) + len(b"request") or drop == 3
    if lost.src == talk.ends[1] and lost.payload:
        (response,) = [one for one in objects(products) if one.direction == 1]
        assert response.missing_bytes == len(lost.payload)
        assert response.cut == "capture_loss"
        assert not response.complete


def test_a_hole_that_nobody_acknowledged_is_not_our_loss(talk):
    talk.handshake().say(0, b"request").say(1, bytes(5000), size=1000)
    first = next(at for at, one in enumerate(talk.packets) if one.src == talk.ends[1] and one.payload)
    packets = [replace(one, ack=talk.packets[first].seq) if at > first and one.src == talk.ends[0] else one
               for at, one in enumerate(talk.packets) if at != first + 2]  # fmt: skip
    (response,) = [one for one in objects(play(packets)) if one.direction == 1]
    assert response.missing_bytes > 0
    assert response.cut == "gap"


@pytest.mark.parametrize("seed", range(20))
def test_reordered_and_repeated_packets_make_the_same_objects(talk, seed):
    dice = random.Random(seed)
    data = dice.randbytes(20_000)
    talk.handshake().say(0, b"request").say(1, data, size=997)
    middle = talk.packets[4:]
    for at in range(len(middle) - 3):
        if dice.random() < 0.3:
            other = at + dice.randint(1, 3)
            middle[at], middle[other] = middle[other], middle[at]
        if dice.random() < 0.1:
            middle.insert(at, middle[at])
    talk.packets[4:] = [replace(packet, time=talk.packets[3].time + at) for at, packet in enumerate(middle)]
    talk.end()
    products = play(talk.packets, (dice.randint(1, 40),))
    assert texts(products) == {0: b"request", 1: data}
    assert not any(one.findings for one in ends(products))


@st.composite
def captures(draw):
    """Several connections with everything that goes wrong on a wire."""
    talks = []
    for number in range(draw(st.integers(1, 3))):
        talk = Talk(client=("10.0.0.1", 40000 + number), isns=(draw(st.integers(0, 2**32 - 1)), 5))
        if draw(st.booleans()):
            talk.handshake()
        for _ in range(draw(st.integers(0, 5))):
            talk.say(draw(st.integers(0, 1)), draw(st.binary(min_size=1, max_size=40)), size=draw(st.integers(1, 9)))
        if draw(st.booleans()):
            talk.end()
        talks.append(talk)
    packets = sorted((packet for talk in talks for packet in talk.packets), key=lambda packet: packet.time)
    for _ in range(draw(st.integers(0, 6))):
        if not packets:
            break
        at = draw(st.integers(0, len(packets) - 1))
        match draw(st.sampled_from(["drop", "repeat", "swap", "rst", "change", "late"])):
            case "drop":
                packets.pop(at)
            case "repeat":
                packets.insert(at, packets[at])
            case "swap" if at:
                packets[at - 1], packets[at] = packets[at], packets[at - 1]
            case "rst":
                packets.insert(at, replace(packets[at], flags=RST | ACK, payload=b""))
            case "change":
                packets.insert(at, replace(packets[at], payload=bytes(len(packets[at].payload))))
            case "late":
                packets[at:] = [replace(packet, time=packet.time + 70 * SECOND) for packet in packets[at:]]
    return packets


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(packets=captures(), sizes=st.lists(st.integers(1, 30), min_size=1, max_size=4))
def test_fast_and_careful_path_tell_the_same_story(packets, sizes):
    fast = story(play(packets, sizes))
    original, FlowTable._fast = FlowTable._fast, lambda *_: None
    try:
        assert story(play(packets)) == fast
    finally:
        FlowTable._fast = original


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    batch_size=st.integers(1, 20),
    rows=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1),
            st.integers(0, 255), st.binary(max_size=8), st.integers(0, 200 * SECOND), st.integers(0, 9),
        ),
        max_size=40,
    ),
)  # fmt: skip
def test_any_packets_are_survived(batch_size, rows):
    hosts = [("10.0.0.1", 40000), ("10.0.0.2", 80), ("10.0.0.1", 80), ("10.0.0.2", 40000)]
    time, packets = 10**18, []
    for source, target, seq, ack, flags, payload, pause, urgent in rows:
        time += pause
        packets.append(Packet(time, hosts[source], hosts[target], seq, ack, flags, payload, urgent=urgent))
    products = play(packets, (batch_size,))
    assert len({one.id for one in objects(products)}) == len(objects(products))


@pytest.mark.parametrize("size", [1, 100])
def test_a_fin_before_the_last_bytes_still_ends_the_flow(talk, size):
    talk.handshake().say(0, b"request")
    last = talk.add(0, b"more")
    talk.end()
    talk.packets.remove(last)
    talk.packets.insert(-2, last)  # behind the FIN
    products = play(talk.packets, (size,))
    assert [one.how for one in ends(products)] == ["fin"]
    assert texts(products)[0] == b"requestmore"


def test_rst_ends_the_flow(talk):
    talk.handshake().say(0, b"request").say(1, b"resp")
    talk.add(0, flags=RST | ACK)
    products = play(talk.packets)
    assert [one.how for one in ends(products)] == ["reset"]
    assert {one.cut for one in objects(products)} == {"reset"}


def test_rst_ends_the_flow_a_second_later(talk):
    talk.handshake().say(0, b"request").say(1, b"resp")
    talk.add(0, flags=RST | ACK)
    made = table()
    assert not ends(list(made.feed(batch_of(talk.packets))))
    other = Talk(client=("10.9.9.9", 1234), time=talk.time + 2 * SECOND).handshake()
    (end,) = ends(list(made.feed(batch_of(other.packets))))
    assert (end.how, end.time) == ("reset", talk.packets[-1].time)


def test_port_reuse_after_a_rst_makes_a_second_flow(talk):
    talk.handshake().say(0, b"one")
    talk.add(0, flags=RST | ACK)
    again = Talk(isns=(777, 888), time=talk.time).handshake().say(0, b"two").end()
    products = play(talk.packets + again.packets)
    assert [one.how for one in ends(products)] == ["reset", "fin"]
    assert [one.content.memory for one in objects(products)] == [b"one", b"two"]


def test_end_of_the_capture_ends_all(talk):
    talk.handshake().say(0, b"request").say(1, b"resp")
    products = play(talk.packets)
    assert [one.how for one in ends(products)] == ["end_of_capture"]


@pytest.mark.parametrize(("pause", "flows_seen"), [(200, 1), (400, 2)])
def test_silence_ends_a_flow_on_packet_time(talk, pause, flows_seen):
    talk.handshake().say(0, b"request").say(1, b"resp")
    talk.time += pause * SECOND
    talk.say(0, b"later")
    products = play(talk.packets)
    assert len(ends(products)) == flows_seen
    if flows_seen == 2:
        assert sorted(one.how for one in ends(products)) == ["end_of_capture", "timeout"]
        assert [one.flow.midstream for one in ends(products)] == [False, True]


def test_other_traffic_lets_time_pass(talk):
    talk.handshake().say(0, b"request").say(1, b"resp")
    made = table()
    assert not objects(made.feed(batch_of(talk.packets)))
    other = Talk(client=("10.9.9.9", 1234), time=talk.time + 400 * SECOND).handshake()
    assert [one.how for one in ends(list(made.feed(batch_of(other.packets))))] == ["timeout"]
    assert len(made) == 1


def test_port_reuse_makes_a_second_flow(talk):
    talk.handshake().say(0, b"one").say(1, b"eins").end()
    again = Talk(isns=(777, 888), time=talk.time).handshake().say(0, b"two").say(1, b"zwei").end()
    for sizes in ((1000,), (len(talk.packets),), (1,)):
        products = play(talk.packets + again.packets, sizes)
        assert sorted(one.content.memory for one in objects(products)) == [b"eins", b"one", b"two", b"zwei"]
        assert len(ends(products)) == 2


def test_late_retransmission_after_the_end_makes_no_flow(talk):
    talk.handshake().say(0, b"one").say(1, b"eins").end()
    talk.packets.append(replace(talk.packets[3], time=talk.time + 5))
    products = play(talk.packets, (4,))
    assert len(ends(products)) == 1


def test_midstream_is_picked_up_and_said(talk):
    talk.handshake().say(0, b"one").say(1, b"eins").end()
    products = play(talk.packets[3:])
    assert texts(products) == {0: b"one", 1: b"eins"}
    assert all(one.flow.midstream for one in ends(products))


def test_midstream_from_the_server_still_knows_the_responder(talk):
    talk.handshake().say(0, b"one").say(1, b"eins").end()
    products = play(talk.packets[5:])
    assert {one.flow.resp_port for one in ends(products)} == {80}


def test_acks_without_a_flow_make_none(talk):
    talk.handshake().say(0, b"one")
    assert play(talk.packets[2:3]) == []


def test_vlans_keep_flows_apart_unless_told_otherwise(talk):
    talk.handshake().say(0, b"one").say(1, b"eins").end()
    packets = [replace(packet, vlan=10 if packet.src == talk.ends[0] else 20) for packet in talk.packets]
    assert len(ends(play(packets))) == 2
    products = play(packets, made=table(track_vlan=False))
    assert len(ends(products)) == 1
    assert ends(products)[0].flow.vlan == (10,)


def test_both_vlan_tags_stand_in_the_flow(talk):
    talk.handshake().say(0, b"one")
    packets = [replace(packet, vlan=100 | 200 << 12) for packet in talk.packets]
    assert ends(play(packets))[0].flow.vlan == (100, 200)


@pytest.mark.parametrize("count", [2, 3])
def test_shards_share_the_flows_without_loss(talk, count):
    packets = []
    for number in range(40):
        one = Talk(client=("10.0.0.1", 40000 + number), time=talk.time + number).handshake()
        packets += one.say(0, b"request %d" % number).say(1, b"response").end().packets
    packets.sort(key=lambda packet: packet.time)
    whole = story(play(packets))
    shares = [play(packets, made=table(shard=(number, count))) for number in range(count)]
    assert all(objects(share) for share in shares)
    assert story([one for share in shares for one in share]) == whole


def test_flood_of_syns_is_evicted_before_established_flows(talk):
    made = table(Limits(flows=50))
    talk.handshake().say(0, b"request")
    products = list(made.feed(batch_of(talk.packets)))
    for number in range(500):
        flood = Talk(client=("10.6.6.6", 1024 + number), time=talk.time + number)
        flood.add(0, flags=SYN)
        products += made.feed(batch_of(flood.packets))
        assert len(made) <= 51
    assert made.counters["flows"] > 400
    assert all(one.flow.ip(0) == "10.6.6.6" for one in ends(products))


def test_memory_behind_holes_is_bounded_over_all_flows(talk):
    made = table(Limits(total_out_of_order=10_000))
    for number in range(100):
        one = Talk(client=("10.0.0.1", 1024 + number), time=talk.time + number).handshake()
        one.seq[1] += 1000
        one.say(1, b"x" * 1000)
        list(made.feed(batch_of(one.packets)))
        assert made._held <= 10_000
    assert made.counters["total_out_of_order"] > 0


def test_fault_of_a_parser_costs_one_flow(talk, monkeypatch, caplog):
    monkeypatch.setattr(detect, "speakers", lambda _: (Broken,))
    made = table()
    talk.handshake().say(0, b"request").say(1, b"response").end()
    products = play(talk.packets, made=made)
    assert made.counters["internal.parser_error"] == 1
    assert "internal.parser_error" in ends(products)[0].findings
    assert "a fault of ours" in caplog.text


def test_udp_flows_are_told_apart_and_time_out(talk):
    talk.add(0, b"ask", protocol=UDP, flags=0)
    talk.add(1, b"answer", protocol=UDP, flags=0)
    talk.time += 100 * SECOND
    talk.add(0, b"ask again", protocol=UDP, flags=0)
    products = play(talk.packets)
    first, second = ends(products)
    assert (first.flow.transport, first.how, first.bytes, first.packets) == ("udp", "timeout", (3, 6), (1, 1))
    assert (second.how, second.bytes) == ("end_of_capture", (9, 0))


def test_empty_flow_is_said_to_be_empty(talk):
    products = play(talk.handshake().end().packets)
    assert [(one.unscanned, one.service) for one in ends(products)] == [("empty", "unknown")]


def test_community_id_is_the_published_one():
    """From the test vectors of the Community ID specification."""
    from reassembly.events import Flow

    flow = Flow(
        "x", bytes([128, 232, 110, 120]), 34855, bytes([66, 35, 250, 204]), 80, "tcp", (), b"", b"", 0, "", False
    )
    assert flow.community_id == "1:LQU9qZlK+B5F3KDmev6m5PMibrg="


YEAR = 365 * 86_400 * SECOND


def flushed(made, now):
    """What ends because of the time alone."""
    return ends(list(made.wait(now)))


@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_a_clock_that_is_set_ends_no_flow_and_timeouts_go_on(talk, by):
    made = table()
    talk.handshake().say(0, b"request")
    assert list(made.feed(batch_of(talk.packets))) == []
    now = talk.packets[-1].time + SECOND
    assert flushed(made, now) == []
    made.shift(by)
    assert flushed(made, now + by) == []
    talk.packets.clear()
    talk.say(1, b"response").end()
    later = [replace(one, time=one.time + by) for one in talk.packets]
    products = list(made.feed(batch_of(later)))
    assert [one.how for one in ends(products)] == ["fin"]
    assert texts(products) == {0: b"request", 1: b"response"}


@pytest.mark.parametrize("by", [YEAR, -YEAR])
def test_flows_are_silent_as_long_as_ever_after_a_clock_was_set(talk, by):
    limits = Limits()
    made = table(limits)
    talk.handshake().say(0, b"request")
    list(made.feed(batch_of(talk.packets)))
    made.shift(by)
    last = talk.packets[-1].time + by
    silent = int(limits.timeout_established * SECOND)
    assert flushed(made, last + silent - SECOND) == []
    assert [one.how for one in flushed(made, last + silent + SECOND)] == ["timeout"]


def test_a_capture_whose_clock_goes_back_still_ends_flows(talk):
    limits = Limits()
    made = table(limits)
    talk.handshake().say(0, b"request")
    ahead = [replace(one, time=one.time + YEAR) for one in talk.packets]
    list(made.feed(batch_of(ahead)))
    assert flushed(made, talk.packets[-1].time) == []
    assert made.counters["clock.back"] == 1
    silent = int(limits.timeout_established * SECOND)
    assert [one.how for one in flushed(made, talk.packets[-1].time + silent + 2 * SECOND)] == ["timeout"]

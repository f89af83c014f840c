"""Flows that are let go by while there is too much: what was begun is read to its end, and nothing goes uncounted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import Packet, Talk, batch_of

from reassembly.builder import Memory
from reassembly.events import Expect, FlowEnd
from reassembly.flows import SECOND, FlowTable
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.packets import ACK, FIN, RST, SYN, UDP

WEB, OTHER = ("10.0.0.2", 80), ("10.0.0.2", 8080)
ASKED = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello, world"


def table(low=(), **limits):
    bounds = Limits(**limits)
    return FlowTable(bounds, Memory(bounds), low=low)


def download(number, server=WEB, time=0):
    """The packets of a connection that fetches a page."""
    talk = Talk(client=("10.0.0.1", 40000 + number), server=server, time=10**18 + time)
    return talk.handshake().say(0, ASKED).say(1, BODY).end().packets


def fed(made, *packets):
    return list(made.feed(batch_of(sorted(packets, key=lambda one: one.time))))


def told(products):
    """How many objects there are, and the flow ends by client port."""
    return (
        sum(isinstance(one, Object) for one in products),
        {one.flow.orig_port - 40000: one for one in products if isinstance(one, FlowEnd)},
    )


def test_new_flows_are_let_go_by_and_what_was_begun_is_read():
    made, first, second = table(), download(0), download(1)
    products = fed(made, *first[:5])
    made.bystanders.admitted = "none"
    products += fed(made, *first[5:], *second[:4])
    made.bystanders.admitted = "all"  # what was let go by once isn't begun in its middle
    products += fed(made, *second[4:], *download(2))
    found, ends = told([*products, *made.close()])
    assert found == 2
    assert {number: end.unscanned for number, end in ends.items()} == {0: None, 1: "overload", 2: None}
    assert (ends[1].how, sum(ends[1].packets), ends[1].bytes) == ("fin", len(second), (len(ASKED), len(BODY)))
    assert ends[1].packets == (sum(one.src != WEB for one in second), sum(one.src == WEB for one in second))
    assert ends[1].flow == replace(ends[0].flow, id=ends[1].flow.id, orig_port=40001)
    assert made.bystanders.flows == 1
    assert not made.bystanders.busy


def test_ports_that_are_marked_low_go_first():
    made = table(low={8080})
    made.bystanders.admitted = "important"
    found, ends = told([*fed(made, *download(0), *download(1, OTHER)), *made.close()])
    assert (found, ends[0].unscanned, ends[1].unscanned) == (1, None, "overload")


def test_what_another_flow_announced_is_read():
    made = table()
    made.bystanders.admitted = "none"
    made.expected.announce(Expect(bytes((10, 0, 0, 2)), 80, "ftp-data", {}))
    found, ends = told([*fed(made, *download(0)), *fed(made, *download(1, time=SECOND)), *made.close()])
    assert found >= 1
    assert (ends[0].service, ends[1].unscanned) == ("ftp-data", "overload")


def datagram(number, side=0, time=0):
    ends = ("10.0.0.1", 40000 + number), ("10.0.0.2", 53)
    return Packet(10**18 + time, ends[side], ends[1 - side], payload=b"x" * 30, protocol=UDP, flags=0)


def test_datagrams_as_well():
    made = table()
    products = fed(made, datagram(0))
    made.bystanders.admitted = "none"
    products += fed(made, datagram(0, 1, 10), datagram(1, 0, 20), datagram(1, 1, 30))
    _, ends = told([*products, *made.close()])
    assert {number: end.unscanned for number, end in ends.items()} == {0: "unknown", 1: "overload"}
    assert (ends[1].bytes, ends[1].how) == ((30, 30), "timeout")


@pytest.mark.parametrize(("last", "after", "over"), [
    (FIN | ACK, 4, False), (FIN | ACK, 6, True), (RST, 6, True), (ACK, 200, False), (ACK, 301, True),
])  # fmt: skip
def test_they_end_in_time(last, after, over):
    made = table()
    made.bystanders.admitted = "none"
    talk = Talk().handshake()
    talk.add(0, b"something" if last == ACK else b"", flags=last)
    fed(made, *talk.packets)
    (*said,) = made.wait(talk.time + after * SECOND)
    assert len(said) == over


@pytest.mark.parametrize(("by", "told"), [(-1_000_000, True), (1_000_000, True), (-1_000_000, False)])
def test_a_clock_that_is_set_ends_none_early_or_never(by, told):
    """`told`: somebody watches the clock; without, a capture's times go back."""
    made = table()
    made.bystanders.admitted = "none"
    talk = Talk().handshake()
    fed(made, *talk.packets)
    now = talk.time + by * SECOND
    if told:
        made.shift(by * SECOND)
    assert list(made.wait(now)) == list(made.wait(now + 200 * SECOND)) == []
    (end,) = made.wait(now + 301 * SECOND)
    assert end.unscanned == "overload"


def test_the_same_ports_again_are_another_flow():
    made = table()
    made.bystanders.admitted = "none"
    products = fed(made, *download(0))
    made.bystanders.admitted = "all"
    products += fed(made, *download(0, time=SECOND))
    products += list(made.close())
    assert {one.unscanned for one in products if isinstance(one, FlowEnd)} == {"overload", None}


def test_packets_that_say_nothing_are_no_flow():
    made = table()
    made.bystanders.admitted = "none"
    assert fed(made, Packet(10**18, *Talk().ends)) == []
    assert (made.bystanders.flows, list(made.close())) == (0, [])


def test_a_flow_in_its_middle_knows_its_server():
    made = table()
    made.bystanders.admitted = "none"
    fed(made, *download(0)[4:])
    ((_, ends),) = [told(list(made.close()))]
    assert (ends[0].flow.midstream, ends[0].flow.resp_port) == (True, 80)


def test_there_are_never_more_than_flows_may_be():
    made = table(flows=10)
    made.bystanders.admitted = "none"
    syns = [Packet(10**18 + number, ("10.0.0.1", 40000 + number), WEB, flags=SYN) for number in range(30)]
    early = fed(made, *syns)
    assert len(made.bystanders._there) == 10
    _, ends = told([*early, *made.close()])
    assert {end.unscanned for end in ends.values()} == {"overload"}
    assert set(ends) == set(range(30))


@settings(max_examples=150, deadline=None)
@given(
    cuts=st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from(["all", "important", "none"])), min_size=1, max_size=30
    ),
    begins=st.lists(st.integers(0, 40), min_size=1, max_size=6),
)
def test_each_flow_is_read_as_ever_or_counted_whole(cuts, begins):
    """However the levels change from batch to batch."""
    flows = [download(number, (WEB, OTHER)[number % 2], at * 1_000_000) for number, at in enumerate(begins)]
    packets = sorted((one for flow in flows for one in flow), key=lambda one: one.time)
    made, products, at, turn = table(low={8080}), [], 0, 0
    while at < len(packets):
        size, made.bystanders.admitted = cuts[turn % len(cuts)]
        products += fed(made, *packets[at : at + size])
        at, turn = at + size, turn + 1
    products += made.close()
    found, ends = told(products)
    assert set(ends) == set(range(len(flows)))
    assert sum(isinstance(one, FlowEnd) for one in products) == len(flows)
    read = [end for end in ends.values() if end.unscanned is None]
    assert found == len(read)
    for number, end in ends.items():
        assert end.unscanned in (None, "overload")
        assert end.bytes == (len(ASKED), len(BODY))
        assert end.unscanned is None or sum(end.packets) == len(flows[number])
        assert end.flow.orig_port == 40000 + number

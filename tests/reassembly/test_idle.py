"""Silent flows: what they keep, how long they stay, and who goes first when there are too many."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from wire import Packet, Talk, batch_of

from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.flows import FlowTable
from reassembly.idle import ACTIVE, LOOK
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.packets import SYN, UDP

SECOND = 1_000_000_000
BEGAN = 1_700_000_000 * SECOND
REQUEST = b"GET /item/%d HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Wed, 25 Nov 2026 12:00:00 GMT\r\nContent-Type: text/html\r\n"
    b"ETag: x\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n"
)


def table(**limits):
    made = Limits(**limits)
    return FlowTable(made, Memory(made))


def opened(number, time, body=b"in stock", length=None):
    """A connection with one request and its response, of whose body not all may have come."""
    talk = Talk(client=(f"10.1.{number >> 8 & 255}.{number & 255}", 1024 + (number >> 16)), time=time).handshake()
    talk.say(0, REQUEST % number)
    return talk.say(1, RESPONSE % (len(body) if length is None else length) + body)


def fed(made, packets):
    return list(made.feed(batch_of(packets)))


def ends(products):
    return [one for one in products if type(one) is FlowEnd]


def objects(products):
    return [one for one in products if type(one) is Object]


def played(made, seconds, rate, more=lambda at: ()):
    """So many flows begin each second and never close; the products and how many are open, by second."""
    products, there = [], []
    for at in range(seconds):
        now = BEGAN + at * SECOND
        packets = list(more(now))
        for number in range(at * rate, (at + 1) * rate):
            packets += opened(number, now).packets
        found = fed(made, packets)
        found += made.wait(now + SECOND - 1)
        products.append((now + SECOND, found))
        there.append(len(made))
    return products, there


def test_flows_that_never_close_are_bounded_and_flat():
    made = table(flows=400)
    products, there = played(made, 120, 10)
    assert max(there) <= 400
    assert 300 < there[60] < 370
    assert abs(there[-1] - there[60]) < 20
    assert made.counters["flows_crowded"] == sum(len(ends(found)) for _, found in products) > 500
    assert made.counters["flows"] == 0
    assert sum(len(objects(found)) for _, found in products) == 1200


def test_flows_are_cut_only_when_silent_and_say_so():
    made = table(flows=400)
    for now, found in played(made, 90, 10)[0]:
        for end in ends(found):
            assert end.how == "eviction"
            assert now - end.time > ACTIVE
            assert (end.service, end.objects) == ("http", 1)


def test_a_flow_that_goes_on_is_never_cut():
    made = table(flows=100)
    talk = Talk(client=("10.9.9.9", 4000), time=BEGAN).handshake()

    def goes_on(now):
        before, talk.time = len(talk.packets), max(now, talk.time)
        if now // SECOND % 3 == 0:
            talk.say(0, REQUEST % 7).say(1, RESPONSE % 2 + b"ok")
        return talk.packets[before:] if now > BEGAN else talk.packets

    products, _ = played(made, 61, 12, goes_on)
    assert made.counters["flows_crowded"] > 100
    mine = [one for _, found in products for one in found if one.flow.orig_port == 4000]
    assert len(objects(mine)) == 20
    assert ends(mine) == []


def test_what_came_of_an_object_is_kept_when_its_flow_is_cut():
    made = table(flows=20)
    begun = opened(60_000, BEGAN, b"first half", 1000)
    found = fed(made, begun.packets)
    products, _ = played(made, 40, 2)
    found += [one for _, some in products for one in some if one.flow.ip(0) == "10.1.234.96"]
    (half,) = objects(found)
    assert (half.content.memory, half.cut) == (b"first half", "eviction")
    assert [end.how for end in ends(found)] == ["eviction"]


def test_with_room_nobody_goes_before_the_timeout():
    made = table(flows=400)
    fed(made, [packet for number in range(200) for packet in opened(number, BEGAN).packets])
    last = BEGAN + 200 * SECOND
    for at in range(0, 300, 7):
        assert list(made.wait(BEGAN + at * SECOND)) == []
    assert len(made) == 200
    found = [one for at in range(3) for one in made.wait(last + (101 + at) * SECOND)]
    assert {end.how for end in ends(found)} == {"timeout"}
    assert (len(found), len(made)) == (200, 0)
    assert made.counters["flows_crowded"] == 0


@pytest.mark.parametrize(("there", "share"), [(0, 1), (50, 1), (75, 0.25), (90, 0.04), (100, 0)])
def test_patience_is_the_square_of_the_room_that_is_left(there, share):
    made = table(flows=100)
    for number in range(there):
        fed(made, opened(number, BEGAN).packets)
    assert made.idle.patience == pytest.approx(share)


@pytest.mark.parametrize(("crowded", "share"), [(1.0, 1), (2.0, 1), (0.0, 0.25)])
def test_when_patience_ends_can_be_set(crowded, share):
    made = table(flows=10, flows_crowded=crowded)
    for number in range(5):
        fed(made, opened(number, BEGAN).packets)
    assert made.idle.patience == pytest.approx(share)


def test_a_full_table_of_flows_that_talk_lets_go_of_the_longest_silent():
    made = table(flows=32)
    found = []
    for number in range(64):
        found += fed(made, opened(number, BEGAN + number * SECOND // 32).packets)
        assert len(made) <= 32
    gone = ends(found)
    assert made.counters["flows"] == len(gone) >= 32
    assert {end.flow.ip(0) for end in gone} == {f"10.1.0.{number}" for number in range(len(gone))}


def test_a_flood_takes_no_place_of_those_who_were_answered():
    made = table(flows=1000)
    fed(made, [packet for number in range(500) for packet in opened(number, BEGAN).packets])
    found = []
    for at in range(8):
        flood = []
        for number in range(2000):
            one = Talk(client=(f"10.6.{number >> 8}.{number & 255}", 2000 + at), time=BEGAN + at * SECOND)
            one.add(0, flags=SYN)
            flood += one.packets
        found += fed(made, flood)
        assert len(made) <= 1000
    assert len(found) >= 15_000
    assert all(end.flow.ip(0).startswith("10.6.") and end.how in ("eviction", "timeout") for end in ends(found))
    assert len(found) == len(ends(found))


def test_datagrams_that_go_on_are_not_the_first_to_leave():
    made = table(flows=48)

    def datagram(number, now):
        return Packet(now, ("10.7.7.7", 5000 + number), ("10.0.0.2", 5000), payload=b"hello", protocol=UDP)

    found = []
    for at in range(96):
        now = BEGAN + at * SECOND // 32
        found += fed(made, [datagram(0, now), datagram(at + 1, now)])
        assert len(made) <= 48
    assert made.counters["flows"] > 40
    assert 5000 not in {end.flow.orig_port for end in ends(found)}


def retold(made, silence, acknowledged=True, size=None):
    """The findings of a flow whose response is sent again with other bytes, after so many seconds."""
    talk = opened(1, BEGAN, b"the truth")
    if not acknowledged:
        talk.packets.pop()
    talk.time += silence * SECOND
    talk.add(1, b"the lies!", seq=talk.seq[1] - 9)
    talk.end()
    found = []
    for start in range(0, len(talk.packets), size or len(talk.packets)):
        found += fed(made, talk.packets[start : start + (size or len(talk.packets))])
    (end,) = ends([*found, *made.close()])
    return end.findings


@pytest.mark.parametrize("size", [None, 1, 3])
def test_bytes_are_compared_as_long_as_they_may_be_sent_again(size):
    assert retold(table(), 9, size=size) == ("stream.overlap_conflict",)
    assert retold(table(), 200, acknowledged=False, size=size) == ("stream.overlap_conflict",)
    assert retold(table(), 11, size=size) == ()


@pytest.mark.parametrize("silence", [1, 30, 200])
def test_a_flow_goes_on_after_silence_as_if_there_had_been_none(silence):
    made = table()
    talk = opened(1, BEGAN)
    found = fed(made, talk.packets)
    for at in range(0, silence, 2):
        found += made.wait(talk.time + at * SECOND)
    talk.time += silence * SECOND
    before = len(talk.packets)
    talk.say(0, REQUEST % 2).say(1, RESPONSE % 5 + b"again").end()
    found += fed(made, talk.packets[before:])
    first, second = objects(found)
    assert (first.facts["url.path"], second.facts["url.path"]) == ("/item/1", "/item/2")
    assert second.facts["user_agent.original"] == "Mozilla/5.0"
    assert [(end.how, end.findings) for end in ends(found)] == [("fin", ())]


def test_a_request_that_waits_for_its_answer_in_silence_gives_it_all_its_facts():
    made = table()
    talk = Talk(time=BEGAN).handshake().say(0, REQUEST % 9)
    found = fed(made, talk.packets)
    for at in range(0, 60, 2):
        found += made.wait(talk.time + at * SECOND)
    talk.time += 60 * SECOND
    before = len(talk.packets)
    talk.say(1, RESPONSE % 4 + b"late").end()
    (late,) = objects([*found, *fed(made, talk.packets[before:])])
    assert late.facts["url.full"] == "http://shop.example/item/9"
    assert late.facts["http.request.method"] == "GET"


def test_a_body_that_nobody_announced_is_read_after_silence():
    made = table()
    talk = opened(1, BEGAN)
    found = fed(made, talk.packets)
    for at in range(0, 60, 2):
        found += made.wait(talk.time + at * SECOND)
    talk.time += 60 * SECOND
    before = len(talk.packets)
    talk.say(1, b"<html>more than was announced</html>").end()
    _, more = objects([*found, *fed(made, talk.packets[before:])])
    assert more.content.memory == b"<html>more than was announced</html>"
    assert (more.declared_type, more.name) == ("text/html", "1")


@pytest.mark.parametrize("odd", [b"Content-Length : 5", b"X-Encoding: chunked", b"Transfer-Encoding: xchunked"])
def test_the_head_of_a_response_without_a_body_is_not_shortened(odd):
    told = []
    for silence in (1, 60):
        made = table()
        talk = (
            Talk(time=BEGAN)
            .handshake()
            .say(0, REQUEST % 9)
            .say(1, b"HTTP/1.1 304 Not Modified\r\n" + odd + b"\r\n\r\n")
        )
        found = fed(made, talk.packets)
        for at in range(silence):
            found += made.wait(talk.time + at * SECOND)
        talk.time += silence * SECOND
        before = len(talk.packets)
        talk.say(1, b"5\r\nhello\r\n0\r\n\r\n").end()
        found += fed(made, talk.packets[before:])
        told.append(sorted((one.content.memory, one.findings) for one in objects(found)))
    assert told[0] == told[1] != []


def per_flow(packets_of, count=100, looks=range(0, 100, 5)):
    """Bytes of memory that a flow takes after a minute of silence."""
    made = table()
    batches = [batch_of(packets_of(number)) for number in range(count)]
    fed(made, packets_of(count))  # what all share
    gc.collect()
    tracemalloc.start()
    try:
        for batch in batches:
            list(made.feed(batch))
        for at in looks:  # seconds
            list(made.wait(BEGAN + at * SECOND))
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / count
    finally:
        tracemalloc.stop()


def test_a_silent_flow_takes_little_memory():
    assert per_flow(lambda number: opened(number, BEGAN).packets) < 4000
    assert per_flow(lambda number: Talk(client=("10.3.3.3", 1024 + number), time=BEGAN).handshake().packets) < 2000


def test_a_capture_of_a_quiet_link_leaves_as_little():
    def packets(number):
        return opened(number, BEGAN).packets

    assert per_flow(packets, looks=(120,)) < 1.05 * per_flow(packets)


def handshake(kind, size):
    """A TLS record with one message of a handshake."""
    return b"\x16\x03\x03%b%c%b%b" % ((size + 4).to_bytes(2, "big"), kind, size.to_bytes(3, "big"), bytes(size))


def test_of_an_encrypted_flow_stays_little():
    def packets(number):
        talk = Talk(client=("10.3.3.3", 1024 + number), server=("10.0.0.2", 443), time=BEGAN).handshake()
        talk.say(0, handshake(1, 500))
        return talk.say(1, handshake(2, 90) + b"\x17\x03\x03\x0f\xa0" + bytes(4000)).packets

    assert per_flow(packets) < 3000


def test_no_object_stays_with_its_flow():
    assert per_flow(lambda number: opened(number, BEGAN, b"%d" % number * 50_000).packets, 20) < 8000


def test_what_nobody_reads_is_bounded_over_all_flows():
    made = table(total_unclaimed=100_000)
    memory = made._memory
    for number in range(30):
        talk = Talk(client=("10.3.3.3", 1024 + number), server=("10.0.0.2", 50_000), time=BEGAN).handshake()
        for _ in range(3):
            talk.say(1, b"\xde\xad\xbe\xef" * 1500)
        for packet in talk.packets:
            fed(made, [packet])
        assert memory.unclaimed <= 100_000
    assert memory.unclaimed > 80_000
    assert made.counters["total_unclaimed"] > 10
    assert len(ends(made.close())) == 30
    assert memory.unclaimed == 0


def test_looks_are_spread():
    made = table()
    for number in range(100):
        fed(made, opened(number, BEGAN + number * LOOK // 100).packets)
    looked = []
    for at in range(5, 10):
        looked.append(len(list(made.idle.due(BEGAN + at * SECOND))))
    assert all(10 < count < 30 for count in looked)

"""Flows read at once must tell the same story as flows read packet by packet."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wire import Talk, batch_of

from reassembly import detect, whole
from reassembly.builder import Memory
from reassembly.flows import FlowTable
from reassembly.http.chunked import unchunked
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.packets import ACK, FIN, RST, SYN

SECOND = 1_000_000_000
PAGE = b"<html>" + b"a page that is worth its bytes " * 200


def get(target=b"/page", method=b"GET", more=b""):
    return b"%b %b HTTP/1.1\r\nHost: example.test\r\nUser-Agent: test\r\n%b\r\n" % (method, target, more)


def post(body, target=b"/form"):
    return get(target, b"POST", b"Content-Length: %d\r\n" % len(body)) + body


def answer(body=PAGE, status=b"200 OK", more=b"Content-Type: text/html\r\n"):
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n" % (status, len(body), more) + body


def chunks(body, size, more=b""):
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%b\r\n" % more + framed


CODED = b"Content-Encoding: gzip\r\n"
BY_THE_BOOK = {
    "a page": [get(), answer()],
    "three pages": [get(b"/1"), answer(), get(b"/2"), answer(b"two"), get(b"/3?q=1#x"), answer(b"\x89PNG\r\n\x1a\n")],
    "an upload": [post(b"user=me&file=you"), answer(b"done", more=b"")],
    "a form with files": [
        get(b"/up", b"POST", b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 87\r\n")
        + b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nthe contents\r\n--x--\r\n'[:87],
        answer(b"thanks"),
    ],
    "chunks": [get(), chunks(PAGE, 700)],
    "one chunk": [get(), chunks(PAGE, 1 << 20)],
    "gzip": [get(b"/page.html.gz"), answer(gzip.compress(PAGE), more=CODED)],
    "gzip in chunks": [get(), chunks(gzip.compress(PAGE), 100, CODED)],
    "gzip with a name": [get(), answer(b"\x1f\x8b\x08\x08\0\0\0\0\0\3name\0" + gzip.compress(PAGE)[10:], more=CODED)],
    "no body": [get(), answer(b"")],
    "no chunk but the last": [get(), chunks(b"", 1)],
    "head": [get(method=b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"],
    "not modified": [get(), b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", get(b"/2"), answer()],
    "a name of its own": [get(), answer(more=b'Content-Disposition: attachment; filename="b.exe"\r\n')],
}
NOT_BY_THE_BOOK = {
    "no answer": [get()],
    "no request": [b"", answer()],
    "two requests at once": [get(b"/1") + get(b"/2"), answer() + answer(b"two")],
    "an answer in two turns": [get(), answer(), get(), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour"],
    "interim": [get(), b"HTTP/1.1 100 Continue\r\n\r\n" + answer()],
    "until the end": [get(), b"HTTP/1.1 200 OK\r\n\r\n" + PAGE],
    "too long": [get(), answer() + b"more than was promised"],
    "both framings": [get(), chunks(PAGE, 700, b"Content-Length: 5\r\n")],
    "trailer": [get(), chunks(PAGE, 700)[:-2] + b"X-Sum: 1\r\n\r\n"],
    "odd chunk": [get(), chunks(PAGE, 700).replace(b"2bc\r\n", b" 2bc \r\n", 1)],
    "cut gzip": [get(), answer(gzip.compress(PAGE)[:-20], more=CODED)],
    "gzip and junk": [get(), answer(gzip.compress(PAGE) + b"junk", more=CODED)],
    "twice gzip": [get(), answer(gzip.compress(gzip.compress(PAGE)), more=b"Content-Encoding: gzip, gzip\r\n")],
    "not gzip": [get(), answer(more=CODED)],
    "upgrade": [get(more=b"Upgrade: websocket\r\nConnection: upgrade\r\n"), b"HTTP/1.1 101 Go\r\n\r\n", b"frame", b"x"],
    "connect": [get(b"host:443", b"CONNECT"), b"HTTP/1.1 200 OK\r\n\r\n", get(), answer()],
    "two lengths": [get(), answer(more=b"Content-Length: 6206\r\n")],
    "many fields": [get(more=b"".join(b"X-%d: 1\r\n" % number for number in range(2000))), answer()],
    "something else": [b"\x00\x01\x02", b"\x03"],
    "spoken by the server": [b"", b"220 mail.example.test ESMTP\r\n", b"QUIT\r\n", b"221 bye\r\n"],
}


def talked(turns):
    talk = Talk().handshake()
    for number, data in enumerate(turns):
        if data:
            talk.say(number % 2, data)
    return talk.end()


def products_of(packets, size=1 << 20, limits=None):
    limits = limits or Limits()
    table, products = FlowTable(limits, Memory(limits)), []
    for at in range(0, len(packets), size):
        products += table.feed(batch_of(packets[at : at + size]))
    return [*products, *table.close()]


def story(products):
    """All there is to tell of products, but for their order across flows."""
    told = []
    for one in products:
        fields = {name: getattr(one, name) for name in one.__slots__ if name not in ("flow", "content")}
        told.append((one.flow.id, type(one).__name__, fields))
    return told


@pytest.mark.parametrize("turns", BY_THE_BOOK.values(), ids=BY_THE_BOOK)
def test_by_the_book_is_read_at_once(turns, monkeypatch):
    packets, readers = talked(turns).packets, detect.READERS
    monkeypatch.setattr(detect, "READERS", ())
    slow = story(products_of(packets))
    monkeypatch.setattr(detect, "READERS", readers)
    monkeypatch.setattr(FlowTable, "_enter", None)  # the long way is closed
    assert story(products_of(packets)) == slow
    assert slow[-1][2]["service"] == "http"


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("turns", BY_THE_BOOK.values(), ids=BY_THE_BOOK)
def test_by_the_book_in_small_batches(turns, size):
    packets = talked(turns).packets
    objects = [one for one in story(products_of(packets)) if one[1] == "Object"]
    assert [one for one in story(products_of(packets, size)) if one[1] == "Object"] == objects


@pytest.mark.parametrize("turns", NOT_BY_THE_BOOK.values(), ids=NOT_BY_THE_BOOK)
def test_what_is_not_goes_the_long_way(turns, monkeypatch):
    packets = talked(turns).packets
    fast = story(products_of(packets))
    monkeypatch.setattr(detect, "READERS", ())
    assert story(products_of(packets)) == fast


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bodies=st.lists(st.binary(max_size=3000), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(("length", "chunks", "gzip", "upload")), min_size=4, max_size=4),
    at=st.integers(0, 5000),
    junk=st.binary(max_size=3),
)
def test_any_exchange_tells_the_same_story_both_ways(bodies, kinds, at, junk):
    turns = []
    for body, kind in zip(bodies, kinds, strict=False):
        turns.append(post(body) if kind == "upload" else get())
        turns.append(
            chunks(body, 500) if kind == "chunks" else answer(gzip.compress(body), more=CODED) if kind == "gzip"
            else answer(body)
        )  # fmt: skip
    turns[-1] = turns[-1][:at] + junk + turns[-1][at:]
    packets = talked(turns).packets
    readers, fast = detect.READERS, story(products_of(packets))
    detect.READERS = ()
    try:
        assert story(products_of(packets)) == fast
    finally:
        detect.READERS = readers


@pytest.mark.parametrize("late", [b"GET", PAGE[:300]])
def test_late_segments_of_a_flow_read_at_once_make_no_flow(late):
    talk = talked([get(), answer()])
    again = talk.packets[3]
    talk.time += SECOND
    talk.add(0, late, seq=again.seq)
    talk.add(0, flags=FIN | ACK)
    products = products_of(talk.packets[:-2])
    assert len(products) == 2
    limits = Limits()
    table = FlowTable(limits, Memory(limits))
    found = [*table.feed(batch_of(talk.packets[:-2])), *table.feed(batch_of(talk.packets[-2:])), *table.close()]
    assert story(found) == story(products)


def test_the_same_ports_again_make_another_flow():
    first = talked([get(), answer()])
    second = Talk(isns=(77_000, 88_000), time=first.time + SECOND).handshake().say(0, get(b"/2")).say(1, answer(b"two"))
    limits = Limits()
    table = FlowTable(limits, Memory(limits))
    found = [*table.feed(batch_of(first.packets)), *table.feed(batch_of(second.end().packets)), *table.close()]
    objects = [one for one in found if isinstance(one, Object)]
    assert [one.name for one in objects] == ["page", "2"]
    assert len({one.flow.id for one in objects}) == 2


def test_the_whole_flow_seen_twice_counts_once():
    talk = talked([get(), answer()])
    limits = Limits()
    table = FlowTable(limits, Memory(limits))
    found = [*table.feed(batch_of(talk.packets)), *table.feed(batch_of(talk.packets)), *table.close()]
    assert len(found) == 2


def test_what_is_over_is_forgotten_in_time():
    talk = talked([get(), answer()])
    limits = Limits()
    table = FlowTable(limits, Memory(limits))
    assert len([*table.feed(batch_of(talk.packets))]) == 2
    assert table._past
    other = Talk(client=("10.9.9.9", 1234), time=talk.time + int(limits.timeout_closed * SECOND) + 5 * SECOND)
    assert [*table.feed(batch_of(other.handshake().packets))] == []
    assert not table._past


def test_a_reset_flow_goes_the_long_way():
    talk = Talk().handshake().say(0, get()).say(1, answer())
    talk.add(0, flags=RST | ACK)
    kinds = [type(one).__name__ for one in products_of(talk.packets)]
    assert kinds == ["Object", "FlowEnd"]


def test_a_fault_of_ours_is_logged_and_the_long_way_taken(monkeypatch, caplog):
    def broken(_origin, _turns):
        raise RuntimeError("a fault of ours")

    packets = talked([get(), answer()]).packets
    expected = story(products_of(packets))
    monkeypatch.setattr(detect, "READERS", (("http", broken),))
    assert story(products_of(packets)) == expected
    assert "a fault of ours" in caplog.text


def test_products_come_together_and_in_time():
    """Many at once, but not more than the memory for them allows."""
    packets = []
    for number in range(3):
        talk = (
            Talk(client=("10.0.1.1", 1024 + number))
            .handshake()
            .say(0, get())
            .say(1, answer(b"x" * (9 << 20), more=b""))
        )
        packets += talk.end().packets
    limits = Limits()
    table, gone = FlowTable(limits, Memory(limits)), 0
    for one in table.feed(batch_of(packets)):
        gone += isinstance(one, Object)
        if gone == 1:
            break
    assert len(table._past) < 3  # the last one waits until the first ones are taken


def test_larger_than_memory_goes_to_a_file():
    limits = Limits(object_memory=1000)
    objects = [one for one in products_of(talked([get(), answer()]).packets, limits=limits) if isinstance(one, Object)]
    assert objects[0].content.file is not None
    assert bytes(objects[0].content.view()) == PAGE


def test_over_the_limit_of_an_object_is_cut_and_said():
    limits = Limits(object_bytes=1000)
    objects = [one for one in products_of(talked([get(), answer()]).packets, limits=limits) if isinstance(one, Object)]
    assert [(one.size, one.cut) for one in objects] == [(1000, "limit:object_bytes")]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", (b"abc", 13)),
        (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nHTTP", (b"abcde", 20)),
        (b"0\r\n\r\n", (b"", 5)),
        (b"00A\r\n0123456789\r\n000\r\n\r\n", (b"0123456789", 24)),
        (b"3\r\nabc\r\n0\r\n", None),
        (b"3\r\nabcd\r\n0\r\n\r\n", None),
        (b"3;x=1\r\nabc\r\n0\r\n\r\n", None),
        (b"3\nabc\r\n0\r\n\r\n", None),
        (b"", None),
        (b"fffffff\r\nabc", None),
        (b"ffffffffffffffff\r\nabc", None),
    ],
)
def test_whole_chunked_bodies(data, found):
    assert unchunked(data, 0) == found
    assert unchunked(b"head" + data, 4) == (found and (found[0], found[1] + 4))


def test_a_syn_again_is_no_new_flow():
    talk = talked([get(), answer()])
    past = whole.Past((1000, 5000), 0)
    segment = next(iter(_segments(talk.packets[:1])))
    assert past.knows(segment)
    assert not whole.Past((1, 5000), 0).knows(segment)
    assert segment.flags == SYN


def _segments(packets):
    from reassembly.segment_rows import segments_of

    batch = batch_of(packets)
    return segments_of(batch, batch.time.argsort())


@pytest.mark.parametrize("size", [100, 5000, 100_000])
def test_a_large_body_is_not_copied(size):
    body = b"%PDF-1.7 " + b"x" * size
    (made,) = [one for one in products_of(talked([get(), answer(body)]).packets) if isinstance(one, Object)]
    assert isinstance(made.content.kept, memoryview) == (size > 4096)
    assert made.content.memory == body == bytes(made.content.view())
    assert b"".join(made.content.chunks(999)) == body
    with made.content.named() as path:
        assert Path(path).read_bytes() == body


def test_a_body_that_is_a_small_part_is_copied():
    """Else it would keep all the rest in memory."""
    head = get(more=b"X-Padding: " + b"x" * 6000 + b"\r\n")
    padded = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 6000 + b"\r\nContent-Length: 5000\r\n\r\n" + b"z" * 5000
    (made,) = [one for one in products_of(talked([head, padded]).packets) if isinstance(one, Object)]
    assert made.content.kept == b"z" * 5000
    assert isinstance(made.content.kept, bytes)

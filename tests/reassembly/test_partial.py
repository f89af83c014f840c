"""Heads and lines whose end doesn't come: together they hold no more than they may, and all of it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session import bytewise, content, flow, objects, run, whole
from wire import Talk, batch_of

from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Data, Gap
from reassembly.flows import FlowTable
from reassembly.limits import Limits
from reassembly.mime import Message
from reassembly.objects import Object
from reassembly.partial import Partial
from reassembly.protocols import http1, imap, pop3, smtp
from sensor.packets import ACK, SYN

MAX = 100_000
MAIL = b"From: a@b.example\r\nSubject: x\r\n" + b"X-Long: " + b"y" * 2000 + b"\r\n\r\nbody\r\n"
ASK = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Long: " + b"x" * 3000
SESSIONS = {
    http1: [(ORIG, ASK + b"\r\n\r\n"), (RESP, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")],
    smtp: [
        (RESP, b"220 a\r\n"), (ORIG, b"EHLO b\r\n"), (RESP, b"250 a\r\n"), (ORIG, b"MAIL FROM:<a@b>\r\n"),
        (RESP, b"250 ok\r\n"), (ORIG, b"RCPT TO:<c@d>\r\n"), (RESP, b"250 ok\r\n"), (ORIG, b"DATA\r\n"),
        (RESP, b"354 go\r\n"), (ORIG, MAIL + b".\r\n"), (RESP, b"250 ok\r\n"),
    ],
    pop3: [
        (RESP, b"+OK a\r\n"), (ORIG, b"RETR 1\r\n"), (RESP, b"+OK 9\r\n" + MAIL + b".\r\n"),
    ],
    imap: [
        (RESP, b"* OK a\r\n"), (ORIG, b"a FETCH 1 (BODY[HEADER] BODY[])\r\n"),
        (RESP, b"* 1 FETCH (BODY[HEADER] {%d}\r\n%b BODY[] {%d}\r\n%b)\r\na OK\r\n" % (2 * (len(MAIL), MAIL))),
    ],
}  # fmt: skip


def test_it_counts_as_long_as_it_lives():
    memory = Memory(Limits())
    one, other = Partial(memory, b"12"), Partial(memory)
    other += b"345"
    other += b"\6"
    assert (memory.partial, bytes(one), bytes(other)) == (6, b"12", b"345\x06")
    other.hold(10)
    assert memory.partial == 16
    other.clear()
    assert (memory.partial, bytes(other)) == (2, b"")
    del one
    assert memory.partial == 0


def test_it_is_full_when_all_together_are():
    memory = Memory(Limits(total_partial=5))
    one, other = Partial(memory, b"123"), Partial(memory, b"45")
    assert not one.full
    other += b"6"
    assert one.full
    assert other.full
    assert memory.counters["total_partial"] == 2


@pytest.mark.parametrize("speaker", SESSIONS, ids=lambda module: module.NAME)
@pytest.mark.parametrize("fed", [whole, bytewise])
@pytest.mark.parametrize("limit", [MAX, 200])
def test_all_of_it_comes_back(speaker, fed, limit):
    memory = Memory(Limits(total_partial=limit))
    parser = speaker.Parser(Origin(flow(), memory))
    run(parser, fed(SESSIONS[speaker]))
    del parser
    assert memory.partial == 0


@given(
    st.sampled_from(list(SESSIONS)),
    st.lists(st.tuples(st.integers(0, 12_000), st.sampled_from(["cut", "gap", "stop"])), max_size=8),
    st.sampled_from(["fin", "reset", "eviction"]),
)
def test_all_of_it_comes_back_whatever_happens(speaker, cuts, how):
    memory = Memory(Limits(total_partial=1500))
    parser = speaker.Parser(Origin(flow(), memory))
    events, position, plan = [], 0, sorted(cuts)
    for event in whole(SESSIONS[speaker]):
        begin = 0
        while plan and plan[0][0] < position + len(event.payload):
            at, what = plan.pop(0)
            end = max(at - position, begin)
            if end > begin:
                events.append(Data(event.direction, event.payload[begin:end], event.began, event.time))
            begin = end
            if what == "gap":
                events.append(Gap(event.direction, 10, event.time))
        if begin < len(event.payload):
            events.append(Data(event.direction, event.payload[begin:], event.began, event.time))
        position += len(event.payload)
    run(parser, events, how)
    del parser
    assert memory.partial == 0


def test_a_mail_whose_head_never_ends_gives_it_back():
    memory = Memory(Limits())
    mail = Message(Origin(flow(), memory), ORIG, "smtp", 0)
    mail.feed(b"Subject: x\r\n" * 1000, 0)
    assert memory.partial == 10_000
    mail.finish(0, None)
    del mail
    assert memory.partial == 0


def test_a_flood_of_heads_without_an_end_costs_itself_alone():
    """A thousand flows that begin a head; a flow with a whole one gives its object meanwhile."""
    memory = Memory(Limits(total_partial=MAX))
    table, found = FlowTable(Limits(total_partial=MAX), memory), []
    for number in range(1000):
        talk = Talk(client=("10.0.1.1", 1024 + number))
        talk.add(ORIG, flags=SYN)
        talk.add(RESP, flags=SYN | ACK)
        talk.add(ORIG, b"GET / HTTP/1.1\r\nHost: a.example\r\n")
        talk.add(ORIG, b"X-Long: " + b"x" * 1300)
        found += table.feed(batch_of(talk.packets))
        assert memory.partial <= MAX + 2000
    assert memory.counters["total_partial"] > 900
    talk = Talk()
    talk.add(ORIG, flags=SYN)
    talk.add(RESP, flags=SYN | ACK)
    talk.add(ORIG, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    talk.add(RESP, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody")
    found += table.feed(batch_of(talk.packets))
    found += table.close()
    assert [content(one) for one in found if isinstance(one, Object)] == [b"body"]
    del table
    assert memory.partial == 0


def test_a_whole_head_needs_no_room():
    memory = Memory(Limits(total_partial=0))
    done = run(http1.Parser(Origin(flow(), memory)), whole(SESSIONS[http1]))
    assert [content(one) for one in objects(done)] == [b"body"]

"""Heads and lines whose end doesn't come: together they hold no more than they may, and all of it comes back.

Without the garbage collector, which a live sensor runs seldom.
"""

from __future__ import annotations

import gc
import tracemalloc
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from session import bytewise, content, flow, objects, origin, run, whole
from wire import Talk, batch_of

from reassembly import detect
from reassembly.builder import Memory, Origin
from reassembly.events import ORIG, RESP, Data, FlowEnd, Gap, Switch
from reassembly.flows import FlowTable
from reassembly.limits import Limits
from reassembly.mime import Message
from reassembly.objects import Object
from reassembly.partial import CUT, Partial
from reassembly.protocols import ftp, http1, imap, pop3, smtp, tls
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


LONG = b"x" * 1300
MAILING = [(RESP, b"220 a ESMTP\r\n"), *SESSIONS[smtp][1:-2]]
LIST = [(RESP, b"* OK a\r\n")]
FTP = [(RESP, b"220 FTP\r\n"), (ORIG, b"USER a\r\n"), (RESP, b"331 a\r\n")]
UNFINISHED = {  # what is said in a flow, and what then has no end, or no answer
    "http head": (http1, [], (ORIG, b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Long: " + LONG)),
    "smtp command": (smtp, MAILING[:3], (ORIG, b"MAIL FROM:<" + LONG)),
    "smtp reply": (smtp, MAILING[:2], (RESP, b"250-" + LONG)),
    "mail head": (smtp, MAILING, (ORIG, b"Subject: x\r\nX-Long: " + LONG)),
    "mail of many fields": (smtp, MAILING, (ORIG, b"a:\r\n" * 100)),
    "mail of no fields": (smtp, MAILING, (ORIG, b"a:\r\nb\r\n" + b" c\r\n" * 50)),
    "part head": (smtp, [*MAILING, (ORIG, b"Content-Type: message/rfc822\r\n\r\n")], (ORIG, b"X-Long: " + LONG)),
    "pop3 command": (pop3, SESSIONS[pop3][:1], (ORIG, b"USER " + LONG)),
    "pop3 answer": (pop3, SESSIONS[pop3][:2], (RESP, b"+OK " + LONG)),
    "imap command": (imap, LIST, (ORIG, b"a SELECT " + LONG)),
    "imap command with a literal": (imap, LIST, (ORIG, b"a LOGIN " + LONG + b" {9}\r\n")),
    "imap name": (imap, LIST, (ORIG, b"a LOGIN {1400}\r\n" + LONG)),
    "imap response": (imap, LIST, (RESP, b"* 1 FETCH (FLAGS (" + LONG)),
    "imap response with a literal": (imap, LIST, (RESP, b"* 1 FETCH (FLAGS (" + LONG + b") X {9}\r\n")),
    "imap subject": (imap, LIST, (RESP, b"* 1 FETCH (ENVELOPE ({1400}\r\n" + LONG)),
    "ftp command": (ftp, FTP, (ORIG, b"RETR " + LONG)),
    "tls hello": (tls, [], (ORIG, b"\x16\x03\1\5\xdc\1\0\5\xd8\3\3" + LONG)),
    "tls hello in records": (tls, [], (ORIG, 6 * (b"\x16\x03\1\0\xc8\1\0\x10\0" + b"x" * 196))),
    "http large request": (http1, [], (ORIG, b"GET / HTTP/1.1\r\nX-Long: " + 7 * LONG + b"\r\n\r\n")),
    "http requests": (http1, [], (ORIG, 5 * b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")),
    "http tunnel": (http1, [(ORIG, b"CONNECT a:1 HTTP/1.1\r\n\r\n")], (ORIG, b"\0" + LONG)),
    "smtp commands": (smtp, MAILING[:3], (ORIG, 30 * b"NOOP\r\n")),
    "smtp recipients": (smtp, MAILING[:5], (ORIG, 60 * b"RCPT TO:<a@b.example>\r\n")),
    "mail before its answer": (smtp, MAILING[:-1], (ORIG, LONG)),
    "pop3 commands": (pop3, SESSIONS[pop3][:1], (ORIG, 30 * b"STAT\r\n")),
    "imap commands": (imap, LIST, (ORIG, b"".join(b"%d NOOP\r\n" % number for number in range(40)))),
    "ftp commands": (ftp, FTP, (ORIG, 30 * b"RETR a\r\n")),
}  # fmt: skip
STARTTLS = {
    smtp: [*MAILING[:3], (ORIG, b"STARTTLS\r\n"), (RESP, b"220 go\r\nplain")],
    pop3: [(RESP, b"+OK a\r\n"), (ORIG, b"STLS\r\n"), (ORIG, b"plain"), (RESP, b"+OK go\r\nplain")],
    imap: [*LIST, (ORIG, b"a STARTTLS\r\n"), (ORIG, b"plain"), (RESP, b"a OK go\r\nplain")],
}


@pytest.fixture(autouse=True, scope="module")
def _nobody_collects():
    gc.disable()
    yield
    gc.enable()


def test_it_counts_as_long_as_it_lives():
    where = origin()
    memory = where.memory
    one, other = Partial(where, b"12"), Partial(where)
    other += b"345"
    other += b"\6"
    assert (memory.partial, bytes(one), bytes(other)) == (6, b"12", b"345\x06")
    other.hold(10)
    assert memory.partial == 16
    other.hold(1)
    assert memory.partial == 7
    other.clear()
    assert (memory.partial, bytes(other)) == (2, b"")
    del one
    assert memory.partial == 0


def test_what_waits_gives_way_to_what_is_read():
    where = origin(total_partial=10)
    one = Partial(where, b"12345")
    assert not one.takes(1)
    assert not one.crowded
    one += b"6"
    assert one.crowded
    assert not one.full


def test_it_is_full_when_all_together_are():
    where = origin(total_partial=5)
    one, other = Partial(where, b"123"), Partial(where, b"45")
    assert not one.full
    assert not where.findings
    other += b"6"
    assert one.full
    assert other.full
    assert where.memory.counters["total_partial"] == 2
    assert list(where.findings) == [CUT]


@pytest.mark.parametrize("speaker", SESSIONS, ids=lambda module: module.NAME)
@pytest.mark.parametrize("fed", [whole, bytewise])
@pytest.mark.parametrize("limit", [MAX, 200])
def test_all_of_it_comes_back(speaker, fed, limit):
    memory = Memory(Limits(total_partial=limit))
    parser = speaker.Parser(Origin(flow(), memory))
    run(parser, fed(SESSIONS[speaker]))
    del parser
    assert memory.partial == 0


@example(imap, [(2122, "gap")], "fin")  # the header was known already, what it should be for went by in the hole
@given(
    st.sampled_from(list(SESSIONS)),
    st.lists(st.tuples(st.integers(0, 4500), st.sampled_from(["cut", "gap", "stop"])), max_size=8),
    st.sampled_from(["fin", "reset", "eviction", "fault"]),
)
def test_all_of_it_comes_back_whatever_happens(speaker, cuts, how):
    memory = Memory(Limits(total_partial=1500))
    parser = speaker.Parser(Origin(flow(), memory))
    events = cut(whole(SESSIONS[speaker]), cuts)
    if how == "fault":
        for event in events:
            parser.feed(event)
    else:
        run(parser, events, how)
    del parser
    assert memory.partial == 0


def cut(events, cuts):
    """The events cut at these offsets of all bytes; some bytes more are missing there, or nothing comes any more."""
    done, position, plan = [], 0, sorted(cuts)
    for event in events:
        begin, end = 0, len(event.payload)
        while plan and plan[0][0] < position + end:
            at, what = plan.pop(0)
            done.append(Data(event.direction, event.payload[begin : at - position], event.began, event.time))
            begin = at - position
            if what == "stop":
                return [one for one in done if isinstance(one, Gap) or one.payload]
            if what == "gap":
                done.append(Gap(event.direction, 10, event.time))
        done.append(Data(event.direction, event.payload[begin:], event.began, event.time))
        position += end
    return [one for one in done if isinstance(one, Gap) or one.payload]


def test_what_stops_leaves_the_rest_away():
    events = whole([(ORIG, b"abcd"), (RESP, b"efgh")])
    assert [one.payload for one in cut(events, [(2, "cut"), (6, "stop")])] == [b"ab", b"cd", b"ef"]
    assert [one.payload for one in cut(events, [(0, "stop")])] == []
    assert [type(one) for one in cut(events, [(4, "gap")])] == [Data, Gap, Data]


def talk_of(number, session):
    """The handshake of a flow and what is said in it."""
    talk = Talk(client=("10.0.1.1", 1024 + number))
    talk.add(ORIG, flags=SYN)
    talk.add(RESP, flags=SYN | ACK)
    for direction, payload in session:
        talk.say(direction, payload)
    return talk


def left(memory, kind):
    """A flow table with a flow that leaves this unfinished, and what it has given."""
    table = FlowTable(memory.limits, memory)
    _, session, last = UNFINISHED[kind]
    return table, [*table.feed(batch_of(talk_of(0, [*session, last]).packets))]


@pytest.mark.parametrize("kind", UNFINISHED)
def test_it_comes_back_with_the_end_of_its_flow(kind):
    memory = Memory(Limits())
    table, found = left(memory, kind)
    assert memory.partial > 1000
    (end,) = (one for one in [*found, *table.close()] if isinstance(one, FlowEnd))
    assert end.service == UNFINISHED[kind][0].NAME
    assert CUT not in end.findings
    assert memory.partial == 0


@pytest.mark.parametrize("kind", UNFINISHED)
def test_it_comes_back_when_its_parser_fails(kind, monkeypatch):
    speaker = UNFINISHED[kind][0]

    class Faulty(speaker.Parser):
        def feed(self, event):
            emitted = super().feed(event)
            if memory.partial > 1000:
                raise RuntimeError("a fault of ours")
            return emitted

    faulty = SimpleNamespace(NAME=speaker.NAME, PORTS=speaker.PORTS, Parser=Faulty, probe=speaker.probe)
    monkeypatch.setattr(detect, "speakers", lambda _: (faulty,))
    monkeypatch.setattr(detect.log, "disabled", True)  # pytest would keep the traceback, and all that it leads to
    memory = Memory(Limits())
    table, _ = left(memory, kind)
    assert memory.counters["internal.parser_error"] == 1
    assert memory.partial == 0
    assert len(table) == 1


@pytest.mark.parametrize("speaker", STARTTLS, ids=lambda module: module.NAME)
def test_it_comes_back_with_starttls(speaker):
    memory = Memory(Limits())
    parser = speaker.Parser(Origin(flow(), memory))
    emitted = [one for event in whole(STARTTLS[speaker]) for one in parser.feed(event)]
    assert isinstance(emitted[-1], Switch)
    del parser
    assert memory.partial == 0


FLOWS = 1000


def told(products):
    """What is said of whole mails and of flows: what it is, findings, why there are no objects."""
    for one in products:
        if isinstance(one, FlowEnd):
            yield "flow", one.findings, one.unscanned
        elif one.kind == "email":
            yield "mail", one.findings, None


def flood(kind, limit):
    """The real memory of what many flows leave unfinished, without objects; the table, and what was told."""
    memory = Memory(Limits(total_partial=limit))
    table, found = FlowTable(memory.limits, memory), []
    _, session, last = UNFINISHED[kind]
    talks = [talk_of(number, session) for number in range(FLOWS)]
    batches = [batch_of([talk.add(*last) for talk in talks[at : at + 100]]) for at in range(0, FLOWS, 100)]
    for at in range(0, FLOWS, 100):
        found += told(table.feed(batch_of([one for talk in talks[at : at + 100] for one in talk.packets[:-1]])))
    before, held = tracemalloc.get_traced_memory()[0], memory.held
    for batch in batches:
        found += told(table.feed(batch))
        assert memory.partial <= limit + 2000
    grown = tracemalloc.get_traced_memory()[0] - before
    return grown - (memory.held - held), table, found


@pytest.mark.parametrize("kind", UNFINISHED)
def test_a_flood_of_any_of_them_is_bounded_and_says_so(kind):
    tracemalloc.start()
    try:
        nothing, _, _ = flood(kind, 0)
        real, table, found = flood(kind, MAX)
    finally:
        tracemalloc.stop()
    assert real - nothing < 1.5 * MAX
    cut = FLOWS - MAX // 1000
    assert table.counters["total_partial"] >= cut
    found += told(table.close())
    mails = any(what == "mail" for what, _, _ in found)
    assert sum(what == ("mail" if mails else "flow") and CUT in findings for what, findings, _ in found) >= cut
    why = None if mails else "tls" if kind.startswith("tls") else "limit:total_partial"
    assert sum(what == "flow" and unscanned == why for what, _, unscanned in found) >= cut


def test_a_mail_whose_head_never_ends_gives_it_back():
    memory = Memory(Limits())
    mail = Message(Origin(flow(), memory), ORIG, "smtp", 0)
    mail.feed(b"Subject: x\r\n" * 1000, 0)
    assert 10_000 <= memory.partial <= 10_000 + 1000 * 64
    mail.finish(0, None)
    del mail
    assert memory.partial == 0


def test_a_mail_whose_head_has_no_room_says_so():
    where = origin(total_partial=0)
    mail = Message(where, ORIG, "smtp", 0)
    mail.feed(b"Subject: x\r\nContent-Ty", 0)
    assert where.memory.partial == 0
    mail.feed(b"pe: text/html\r\nX-One: y\r\n\r\nbody", 0)
    part, whole_mail = mail.finish(0)
    assert (content(part), part.declared_type) == (b"body", None)
    assert "mime.header_limit" in part.findings
    assert CUT in whole_mail.findings


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


@pytest.mark.parametrize("speaker", [http1, smtp, pop3], ids=lambda module: module.NAME)
def test_a_whole_head_needs_no_room(speaker):
    memory = Memory(Limits(total_partial=0))
    done = objects(run(speaker.Parser(Origin(flow(), memory)), whole(SESSIONS[speaker])))
    assert done
    assert not any(CUT in one.findings or "mime.header_limit" in one.findings for one in done)
    assert "total_partial" not in memory.counters

"""The frames that end a flow: where its ends stand, who is answered, and who is not."""

from __future__ import annotations

import socket

import pytest
from capturefile import ether, ipv4, pcap, tcp

from reassembly.acting import ANSWERS, Acting, Order
from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.flows import FlowTable
from reassembly.known import Known, Listed
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.captures import open_capture
from sensor.marks import Mark
from sensor.packets import ACK, FIN, PSH, RST, SYN

ORIG, RESP = ("10.0.0.1", 40000), ("10.0.0.2", 80)
MARK = Mark(b"k" * 32)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"


class Wire:
    """Frames as they pass, into a flow table that can act."""

    def __init__(self, folder, known=None):
        self.acting = Acting(MARK, known)
        memory = Memory(Limits(), known=known)
        self.table = FlowTable(Limits(), memory, acting=self.acting)
        self.products = []
        self._folder, self._count, self._time = folder, 0, 1_700_000_000

    def say(self, *frames, after=1):
        self._count += 1
        self._time += after
        path = self._folder / f"{self._count}.pcap"
        path.write_bytes(pcap([(self._time * 1_000_000 + at, frame) for at, frame in enumerate(frames)]))
        for batch in open_capture(str(path)):
            self.products += self.table.feed(batch)
        return list(self.acting.sendings)

    def handshake(self):
        self.say(
            segment(0, seq=99, flags=SYN), segment(1, seq=499, ack=100, flags=SYN | ACK), segment(0, seq=100, ack=500)
        )

    def download(self):
        """Begins one; the answer stands at 500 + 2000, the request at 100 + 18."""
        self.handshake()
        self.say(segment(0, b"GET / HTTP/1.1\r\n\r\n", 100, 500), segment(1, (HEAD + bytes(2000))[:1000], 500, 118))
        self.say(segment(1, bytes(1000), 1500, 118))

    @property
    def flow(self):
        return next(iter(self.acting._flows.values())).flow

    def order(self, direction=1):
        self.acting.order(Order("a1", self.flow, direction), (self._time + 1) * 1_000_000_000)
        return self.acting.sendings


def segment(side, payload=b"", seq=0, ack=0, flags=ACK, number=1, tags=(), window=None):
    ends = (ORIG, RESP) if side == 0 else (RESP, ORIG)
    (src, sport), (dst, dport) = ends
    body = tcp(payload, sport, dport, seq, ack, flags)
    if window is not None:
        body = body[:14] + window.to_bytes(2, "big") + body[16:]
    frame = ether(ipv4(body, src, dst, number=number), tags=tags)
    return frame if side == 0 else frame[6:12] + frame[:6] + frame[12:]


@pytest.fixture
def wire(tmp_path):
    return Wire(tmp_path)


LISTED = Listed("e1", "Marker (yara)")
ASK = b"GET /a.exe HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def knowing(tmp_path):
    """A wire on which somebody asks for what is known."""

    def asking(listed=LISTED, also=(), **more):
        made = Wire(tmp_path, Known(urls={"a/a.exe": listed}, **more))
        made.handshake()
        made.say(segment(0, ASK, 100, 500), *also)
        return made

    return asking


def test_who_sends_hears_of_it_first_then_who_receives_a_segment_apart(wire):
    wire.download()
    (sending,) = wire.order()
    assert (sending.action, sending.flow.id) == ("a1", wire.flow.id)
    first, *others = sending.frames
    assert (socket.inet_ntoa(first.source), first.source_port) == ORIG
    assert (socket.inet_ntoa(first.target), first.target_port) == RESP
    assert (first.seq, first.ack, first.flags) == (118, 2500, RST | ACK)
    assert [one.seq for one in others] == [2500 + 1000 * step for step in range(7)]
    assert all((socket.inet_ntoa(one.source), one.ack) == (RESP[0], 118) for one in others)


def test_frames_look_like_those_of_who_they_pretend_to_be_from(wire):
    wire.download()
    (sending,) = wire.order()
    to_sender, to_receiver = sending.frames[:2]
    ours = segment(0)
    assert to_sender.link == ours[:14]
    assert to_receiver.link == ours[6:12] + ours[:6] + ours[12:14]
    assert {one.hops for one in sending.frames} == {ours[14 + 8]}


def test_an_upload_is_the_mirror_image(wire):
    wire.handshake()
    head = b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n"
    after = 100 + len(head)
    wire.say(segment(0, head, 100, 500), segment(1, b"", 500, after))
    (sending,) = wire.order(direction=0)
    assert (sending.frames[0].source_port, sending.frames[0].seq, sending.frames[0].ack) == (80, 500, after)
    assert sending.frames[1].seq == after


def test_what_an_end_acknowledges_later_is_answered_where_it_stands(wire):
    wire.download()
    wire.order().clear()
    (sending,) = wire.say(segment(1, bytes(1000), 2500, 118), segment(0, b"", 118, 3500))
    from_sender, from_receiver = sending.frames
    assert (from_sender.source_port, from_sender.seq, from_sender.ack) == (40000, 118, 3500)
    assert (from_receiver.source_port, from_receiver.seq, from_receiver.ack) == (80, 3500, 118)


def test_answers_end_by_number_and_by_time(wire):
    wire.download()
    wire.order().clear()
    for _ in range(30):
        wire.say(segment(0, b"", 118, 2500), after=0)
    assert sum(len(one.frames) for one in wire.acting.sendings) == ANSWERS
    wire.acting.sendings.clear()
    assert wire.say(segment(0, b"", 118, 2500), after=10) == []


def test_of_several_only_the_last_still_holds(wire):
    wire.download()
    wire.order().clear()
    more = [segment(1, bytes(1000), 2500 + 1000 * number, 118) for number in range(3)]
    (sending,) = wire.say(*more, *(segment(0, b"", 118, 3500 + 1000 * number) for number in range(3)))
    assert [(one.source_port, one.seq) for one in sending.frames] == [(40000, 118), (80, 5500)]


@pytest.mark.parametrize("ack", [2500 + 1_000_000, 2500 - 500_000, 2500 + (1 << 31)])
def test_an_acknowledgment_of_another_connection_is_not_answered(wire, ack):
    """Whoever forges a flow over a real one would else have us reset the real one."""
    wire.download()
    wire.order().clear()
    assert wire.say(segment(0, b"", 118, ack % (1 << 32))) == []


def test_a_reset_or_a_syn_is_never_answered(wire):
    wire.download()
    wire.order().clear()
    resets = segment(0, b"", 118, 2500, RST | ACK), segment(1, b"", 2500, 118, RST | ACK), segment(0, b"", 99, 0, SYN)
    assert wire.say(*resets) == []


def test_our_own_frames_are_none_of_the_flow(wire):
    wire.download()
    wire.order()
    label, window = MARK.of(2500, 118, 80, 40000)
    wire.say(segment(1, b"", 2500, 118, RST | ACK, number=label & 0xFFFF, window=window))
    assert wire.acting._flows[wire.flow.id].connection.reset_by is None
    wire.say(segment(1, b"", 2500, 118, RST | ACK))
    assert wire.acting._flows[wire.flow.id].connection.reset_by == 1


def test_a_flow_that_falls_silent_after_it_has_ended(wire):
    wire.download()
    wire.order()
    flow = wire.flow
    wire.products += wire.table.wait((wire._time + 30) * 1_000_000_000)
    (end,) = [one for one in wire.products if isinstance(one, FlowEnd)]
    assert (end.flow.id, end.how) == (flow.id, "reset")
    assert not wire.acting._flows
    assert not wire.acting._ends


def test_flows_that_were_reset_end_one_by_one_and_not_with_the_next_sweep(wire):
    wire.download()
    wire.say(segment(1, seq=2500, ack=118, flags=RST | ACK), after=500)
    other = ether(ipv4(tcp(b"", 41000, 80, 99, 0, SYN), ORIG[0], RESP[0]))
    wire.say(other, after=700)  # a sweep, too early
    assert wire.products == []
    wire.say(other, after=600)
    assert [one.cut for one in wire.products if type(one) is Object] == ["reset"]


ALONE = [(0, 99, 0, SYN), (0, 100, 0, 0)]
UNFINISHED = [(0, 99, 0, SYN), (1, 499, 100, SYN | ACK)]
ONE_SIDED = [(0, 99, 0, SYN), (0, 100, 500, ACK), (0, 118, 500, ACK)]
MIDSTREAM = [(0, 100, 500, ACK), (1, 500, 118, ACK), (0, 118, 501, ACK)]


@pytest.mark.parametrize("told", [ALONE, UNFINISHED, ONE_SIDED, MIDSTREAM])
def test_nothing_is_done_about_a_flow_that_both_ends_were_not_heard_to_agree_to(wire, told):
    for side, seq, ack, flags in told:
        wire.say(segment(side, b"G" if not flags & SYN else b"", seq, ack, flags))
    assert wire.flow
    assert wire.order(0) == []
    assert wire.order(1) == []


def test_a_flood_of_forged_handshakes_and_data_makes_no_frame(wire):
    """Who doesn't see the answers can't acknowledge them: what acknowledges something else is not believed."""
    for number in range(500):
        ports = {"port": 1024 + number}
        wire.say(
            forged(0, b"", 99, 0, SYN, **ports),
            forged(0, b"", 100, 77, ACK, **ports),
            forged(0, b"GET / HTTP/1.1\r\nHost: bad\r\n\r\n", 100, 77, ACK, **ports),
        )
    assert len(wire.acting._flows) == 500
    for entry in tuple(wire.acting._flows.values()):
        for direction in (0, 1):
            wire.acting.order(Order("a1", entry.flow, direction), wire._time * 1_000_000_000)
    assert wire.acting.sendings == []


def forged(side, payload, seq, ack, flags, port):
    body = tcp(payload, port, 80, seq, ack, flags)
    return ether(ipv4(body, "10.9.9.9", "10.0.0.2"))


def test_nothing_is_done_about_a_connection_into_which_someone_may_have_put_something(wire):
    wire.download()
    elsewhere = 3_000_000_000
    wire.say(*(segment(1, b"forged", elsewhere + 6 * at, elsewhere) for at in range(20)))
    assert wire.order() == []


def test_who_answers_a_forged_handshake_ends_it(wire):
    """The server answers the one whose address was forged; he has asked for nothing and resets, as hosts do."""
    wire.say(segment(0, b"", 99, 0, SYN), segment(1, b"", 499, 100, SYN | ACK), segment(0, b"", 100, 0, RST))
    wire.say(segment(0, b"", 100, 77, ACK), segment(0, b"GET / HTTP/1.1\r\n\r\n", 100, 77, ACK))
    assert wire.order(0) == []


@pytest.mark.parametrize("ack", [499, 77, 502, 500 + 60_000, 500 - 60_000, (1 << 32) - 1])
def test_a_handshake_is_proven_by_the_number_that_only_the_answer_tells(wire, ack):
    wire.say(segment(0, b"", 99, 0, SYN), segment(1, b"", 499, 100, SYN | ACK))
    wire.say(segment(0, b"GET / HTTP/1.1\r\n\r\n", 100, ack % (1 << 32)))
    assert wire.order(0) == []
    wire.say(segment(0, b"GET / HTTP/1.1\r\n\r\n", 118, 500))
    assert len(wire.order(0)) == 1


def test_an_order_for_a_flow_that_is_over_or_unknown_is_none(wire):
    wire.download()
    flow = wire.flow
    wire.say(segment(1, b"", 2500, 118, FIN | ACK), segment(0, b"", 118, 2501, FIN | ACK), segment(1, b"", 2501, 119))
    wire.acting.order(Order("a1", flow, 1), 0)
    assert wire.acting.sendings == []


def test_a_flow_is_acted_on_once(wire):
    wire.download()
    wire.order().clear()
    assert wire.order() == []


def test_tags_are_copied(wire):
    wire.say(
        segment(0, seq=99, flags=SYN, tags=((0x8100, 7),)),
        segment(1, seq=499, ack=100, flags=SYN | ACK, tags=((0x8100, 7),)),
        segment(0, b"GET / HTTP/1.1\r\n\r\n", 100, 500, tags=((0x8100, 7),)),
    )
    (sending,) = wire.order()
    assert {one.link[12:] for one in sending.frames} == {segment(0, tags=((0x8100, 7),))[12:18]}


def test_a_page_takes_the_place_of_the_answer(knowing):
    made = knowing()
    (sending,) = made.acting.sendings
    reset, page = sending.frames
    assert ((reset.source_port, reset.seq, reset.ack, reset.flags)) == (40000, 100 + len(ASK), 500, RST | ACK)
    assert (page.source_port, page.seq, page.ack, page.flags) == (80, 500, 100 + len(ASK), PSH | ACK | FIN)
    assert (sending.notice.reason, sending.notice.url) == ("Marker (yara)", "http://a/a.exe")
    ((action, met),) = made.acting.met
    assert (action, action, met.asked) == (sending.action, sending.notice.incident, True)


def test_who_reads_the_page_is_left_alone(knowing):
    made = knowing()
    made.acting.sendings.clear()
    after = 100 + len(ASK)
    assert made.say(segment(0, b"", after, 500), segment(0, b"", after, 500 + 700 + 1)) == []
    (stream,) = [entry.connection.streams[1] for entry in made.acting._flows.values()]
    made.say(segment(0, b"", after, 1201, FIN | ACK), segment(1, b"", 500, 0, RST))
    made.products += made.table.close()
    assert (stream.missing, stream.lost) == (0, 0)  # what was acknowledged was ours


def test_where_the_answer_is_there_all_the_same_it_is_reset(knowing):
    made = knowing()
    made.acting.sendings.clear()
    after = 100 + len(ASK)
    (sending,) = made.say(segment(1, HEAD, 500, after), segment(0, b"", after, 500 + len(HEAD)))
    assert [(one.source_port, one.seq) for one in sending.frames] == [(40000, after), (80, 500 + len(HEAD))]


@pytest.mark.parametrize("why", ["no page", "answered", "acknowledged"])
def test_where_there_can_be_no_page_it_is_reset(knowing, why):
    listed = Listed("e1", "x", page=False) if why == "no page" else LISTED
    answer = segment(1, HEAD, 500, 100 + len(ASK))
    later = segment(0, b"", 100 + len(ASK), 500 + len(HEAD))
    made = knowing(listed, {"no page": (), "answered": (answer,), "acknowledged": (answer, later)}[why])
    (sending,) = made.acting.sendings
    assert sending.notice is None
    assert {one.flags for one in sending.frames} == {RST | ACK}
    assert [met.asked for _, met in made.acting.met] == [False]


def test_what_is_met_in_a_flow_that_nobody_agreed_to_is_told_and_not_acted_on(tmp_path):
    made = Wire(tmp_path, Known(urls={"a/a.exe": LISTED}))
    made.say(segment(0, ASK, 100, 500))
    assert made.acting.sendings == []
    assert [met.what for _, met in made.acting.met] == ["http://a/a.exe"]


def test_our_own_page_is_none_of_the_flow(knowing):
    made = knowing()
    label, window = MARK.of(500, 100 + len(ASK), 80, 40000)
    page = segment(1, b"HTTP/1.1 403 No\r\n\r\n", 500, 100 + len(ASK), PSH | ACK | FIN, label & 0xFFFF, window=window)
    made.say(page)
    (entry,) = made.acting._flows.values()
    assert entry.connection.streams[1].next == 0

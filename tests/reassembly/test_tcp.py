"""One connection, segment by segment: what real hosts accept and drop (Linux 6.18 was asked)."""

from __future__ import annotations

import random

import pytest

from reassembly.events import Close, Data, Gap
from reassembly.limits import Limits
from reassembly.tcp import Connection, Segment
from sensor.packets import ACK, FIN, PSH, RST, SYN, URG

ORIG, RESP = 0, 1
ISN = (1000, 5000)


class Wire:
    """A connection under test: `send` writes segments with sequence numbers relative to the byte after the SYN."""

    def __init__(self, handshake=True, midstream=False):
        self.heard = []
        self.connection = Connection(self.heard.append, Limits(), ("linux", "linux"), midstream)
        self.clock = 0
        if handshake:
            self.send(ORIG, flags=SYN, seq=-1, ack=None)
            self.send(RESP, flags=SYN | ACK, seq=-1, ack=0)
            self.send(ORIG, seq=0, ack=0)

    def send(self, side, payload=b"", flags=ACK, seq=0, ack=0, **more):
        self.clock += 1000
        more.setdefault("wire_length", len(payload))
        more.setdefault("window", 65535)
        self.connection.segment(
            Segment(
                side,
                more.pop("time", self.clock),
                (ISN[side] + 1 + seq) % (1 << 32),
                0 if ack is None else (ISN[1 - side] + 1 + ack) % (1 << 32),
                flags,
                more.pop("window"),
                more.pop("urgent", 0),
                payload,
                more.pop("wire_length"),
                **more,
            )
        )
        return self

    def text(self, side):
        return b"".join(event.payload for event in self.heard if type(event) is Data and event.direction == side)

    @property
    def findings(self):
        return set(self.connection.findings)

    def closes(self):
        return [(event.direction, event.how) for event in self.heard if type(event) is Close]


@pytest.fixture
def wire():
    return Wire()


def test_handshake_data_and_fin(wire):
    wire.send(ORIG, b"hello").send(RESP, b"world", ack=5).send(ORIG, flags=FIN | ACK, seq=5, ack=5)
    wire.send(RESP, flags=FIN | ACK, seq=5, ack=6)
    assert (wire.text(ORIG), wire.text(RESP)) == (b"hello", b"world")
    assert wire.closes() == [(ORIG, "fin"), (RESP, "fin")]
    assert wire.connection.over
    assert wire.connection.established
    assert not wire.findings


@pytest.mark.parametrize(
    ("decoy", "finding"),
    [
        ({"flags": 0}, "stream.no_ack_flag"),
        ({"flags": PSH}, "stream.no_ack_flag"),
        ({"flags": FIN}, "stream.no_ack_flag"),
        ({"flags": SYN | ACK | PSH}, "stream.syn_in_established"),
        ({"checksum_ok": False}, "stream.bad_checksum"),
        ({"ack": 2_000_000}, "stream.invalid_ack"),
        ({"ack": -100_000}, "stream.invalid_ack"),
        ({"signed": True}, "stream.signed_segment"),
        ({"timestamp": 98}, "stream.paws_rejected"),
    ],
)
def test_what_a_host_drops_is_not_read(decoy, finding):
    wire = Wire()
    wire.send(ORIG, b"GET ", timestamp=100)
    wire.send(ORIG, b"DECOY", seq=4, **{"timestamp": 100, **decoy})
    wire.send(ORIG, b"/real", seq=4, timestamp=101)
    assert wire.text(ORIG) == b"GET /real"
    assert finding in wire.findings


@pytest.mark.parametrize("more", [{"timestamp": None}, {"timestamp": 99}, {"timestamp": 2_000_000_000}])
def test_what_a_host_accepts_is_read(more):
    wire = Wire()
    wire.send(ORIG, b"GET ", timestamp=100)
    wire.send(ORIG, b"/real", seq=4, **more)
    assert wire.text(ORIG) == b"GET /real"
    assert not wire.findings


def test_bad_checksums_of_an_offloading_card_are_read():
    wire = Wire(handshake=False)
    for side, flags, ack in ((ORIG, SYN, None), (RESP, SYN | ACK, 0)):
        wire.send(side, flags=flags, seq=-1, ack=ack, checksum_ok=False)
    wire.send(ORIG, b"hello", checksum_ok=False)
    assert wire.text(ORIG) == b"hello"


def test_a_burst_of_loss_does_not_end_the_reading(wire):
    wire.send(RESP, b"a")
    far = 3_000_000
    for at in range(20):
        wire.send(ORIG, ack=far + at)
        wire.send(RESP, b"x", seq=far + at)
    wire.connection.close("end_of_capture", wire.clock)
    assert wire.text(RESP) == b"a" + b"x" * 20
    assert any(type(event) is Gap for event in wire.heard)


def test_who_has_lost_track_goes_on_where_both_ends_stand(wire):
    wire.send(RESP, b"a")
    for at in range(20):
        wire.send(RESP, b"x", seq=100_000_000 + at)
    wire.connection.close("end_of_capture", wire.clock)
    assert wire.text(RESP)[:9] == b"a" + b"x" * 8
    assert {"stream.out_of_window", "stream.resynchronised"} <= set(wire.findings)


def test_a_flood_of_guessed_numbers_is_not_read(wire):
    wire.send(RESP, b"a")
    dice = random.Random(1)
    for _ in range(200):
        wire.send(dice.choice((ORIG, RESP)), b"forged", seq=dice.randrange(1 << 32), ack=dice.randrange(1 << 32))
    wire.send(RESP, b"b", seq=1)
    assert (wire.text(ORIG), wire.text(RESP)) == (b"", b"ab")
    assert "stream.resynchronised" not in wire.findings


@pytest.mark.parametrize(("pointer", "left"), [(3, b"abdef"), (0, b"bcdef"), (6, b"abcde"), (7, b"abcdef")])
def test_urgent_pointer(wire, pointer, left):
    wire.send(ORIG, b"abcdef", flags=ACK | URG, urgent=pointer)
    assert wire.text(ORIG) == left


def test_exact_rst_ends_both_directions(wire):
    wire.send(ORIG, b"hello").send(RESP, flags=RST | ACK, seq=0, ack=5)
    wire.connection.close("timeout", wire.clock)
    assert wire.closes() == [(ORIG, "reset"), (RESP, "reset")]
    assert wire.connection.how == "reset"


@pytest.mark.parametrize("seq", [1, 3000, -1, 70_000])
def test_inexact_rst_is_a_finding_and_data_goes_on(wire, seq):
    wire.send(ORIG, b"hello").send(RESP, flags=RST, seq=seq, ack=None).send(ORIG, b" world", seq=5)
    assert wire.text(ORIG) == b"hello world"
    assert "stream.rst_invalid" in wire.findings


def test_rst_with_a_bad_checksum_or_signature_is_not_believed(wire):
    wire.send(ORIG, b"a").send(ORIG, flags=RST, seq=1, checksum_ok=False).send(ORIG, flags=RST, seq=1, signed=True)
    wire.send(ORIG, b"b", seq=1)
    assert wire.text(ORIG) == b"ab"


def test_refused_connection():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None).send(RESP, flags=RST | ACK, seq=-1, ack=0)
    wire.connection.close("timeout", wire.clock)
    assert wire.connection.how == "reset"
    assert not wire.connection.established


def test_rst_that_its_sender_belies_was_forged(wire):
    wire.send(RESP, b"first ").send(RESP, flags=RST | ACK, seq=6).send(RESP, b"second", seq=6)
    wire.connection.close("end_of_capture", wire.clock)
    assert wire.text(RESP) == b"first second"
    assert wire.connection.how == "end_of_capture"
    assert "stream.data_after_rst" in wire.findings


def test_refusal_that_a_handshake_belies_was_forged():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None).send(RESP, flags=RST | ACK, seq=-4000, ack=0)
    wire.send(RESP, flags=FIN | ACK, seq=-4000, ack=0)
    wire.send(RESP, flags=SYN | ACK, seq=-1, ack=0).send(ORIG, b"request").send(RESP, b"response")
    wire.connection.close("end_of_capture", wire.clock)
    assert (wire.text(ORIG), wire.text(RESP)) == (b"request", b"response")
    assert wire.connection.how == "end_of_capture"


def test_data_in_flight_after_a_rst_is_still_read(wire):
    wire.send(RESP, b"first ").send(ORIG, flags=RST, seq=0).send(RESP, b"second", seq=6)
    wire.connection.close("timeout", wire.clock)
    assert wire.text(RESP) == b"first second"
    assert wire.connection.how == "reset"


def test_doubtful_data_that_was_acknowledged_is_read_when_nothing_else_comes(wire):
    wire.send(ORIG, b"GET ").send(ORIG, b"/index", seq=4, checksum_ok=False).send(RESP, ack=10)
    wire.send(ORIG, b" HTTP", seq=10)
    wire.connection.close("fin", wire.clock)
    assert wire.text(ORIG) == b"GET /index HTTP"
    assert "stream.bad_checksum" in wire.findings


@pytest.mark.parametrize("hole", [2, 6])
def test_doubtful_data_behind_a_hole_is_kept_until_its_turn(wire, hole):
    """`hole` bytes are missing, then come four good bytes, then six in doubt; all are acknowledged."""
    wire.send(ORIG, b"GET ").send(RESP, ack=4)
    wire.send(ORIG, b"/index", seq=8 + hole, checksum_ok=False).send(ORIG, b"abcd", seq=4 + hole)
    wire.send(RESP, ack=14 + hole)
    wire.connection.close("fin", wire.clock)
    assert wire.text(ORIG) == b"GET abcd/index"


def test_doubtful_data_across_the_end_of_a_hole_fills_two(wire):
    wire.send(ORIG, b"GET ").send(RESP, ack=4)
    wire.send(ORIG, b"/indexabcd/index", seq=4, checksum_ok=False).send(ORIG, b"ABCD", seq=10)
    wire.send(RESP, ack=20)
    wire.connection.close("fin", wire.clock)
    assert wire.text(ORIG) == b"GET /indexABCD/index"


def test_doubtful_data_that_nobody_acknowledged_is_not_read(wire):
    wire.send(ORIG, b"GET ").send(ORIG, b"/decoy", seq=4, checksum_ok=False).send(RESP, ack=4)
    wire.connection.close("timeout", wire.clock)
    assert wire.text(ORIG) == b"GET "


def test_long_segments_of_an_offloading_card_are_read_whatever_their_checksum(wire):
    wire.send(ORIG, b"x").send(ORIG, b"y" * 3000, seq=1, checksum_ok=False)
    assert wire.text(ORIG) == b"x" + b"y" * 3000


def test_long_segments_say_nothing_about_the_short_ones_between_them():
    """A host that captures what it sends: the card will cut the long ones and fill in the checksums of all."""
    wire = Wire(handshake=False)
    for side, flags, ack in ((ORIG, SYN, None), (RESP, SYN | ACK, 0)):
        wire.send(side, flags=flags, seq=-1, ack=ack, checksum_ok=False)
    at = 0
    for size in (9000, 9000, 9000, 9000, 376, 9000, 1448):
        wire.send(ORIG, b"y" * size, seq=at, checksum_ok=False)
        at += size
    assert wire.text(ORIG) == b"y" * at
    assert not wire.findings


def test_rst_after_fin_is_exact(wire):
    wire.send(ORIG, flags=FIN | ACK).send(ORIG, flags=RST, seq=1)
    assert wire.connection.reset_by == ORIG


def test_data_on_the_syn_counts_when_it_is_acknowledged():
    wire = Wire(handshake=False)
    wire.send(ORIG, b"early", flags=SYN, seq=-1, ack=None).send(RESP, flags=SYN | ACK, seq=-1, ack=5)
    wire.send(ORIG, b" late", seq=5)
    assert wire.text(ORIG) == b"early late"


def test_data_on_the_syn_does_not_count_when_it_is_ignored():
    wire = Wire(handshake=False)
    wire.send(ORIG, b"decoy", flags=SYN, seq=-1, ack=None).send(RESP, flags=SYN | ACK, seq=-1, ack=0)
    wire.send(ORIG, b"real!", seq=0)
    assert wire.text(ORIG) == b"real!"


@pytest.mark.parametrize(("follows", "text"), [(5, b"earlylate"), (0, b"late")])
def test_data_on_the_syn_when_only_one_direction_is_seen(follows, text):
    wire = Wire(handshake=False)
    wire.send(ORIG, b"early", flags=SYN, seq=-1, ack=None).send(ORIG, b"late", seq=follows)
    assert wire.text(ORIG) == text


def test_of_several_syns_the_acknowledged_one_counts():
    wire = Wire(handshake=False)
    for decoy in (-5000, -1, 7000):
        wire.send(ORIG, flags=SYN, seq=decoy, ack=None)
    wire.send(RESP, flags=SYN | ACK, seq=-1, ack=0).send(ORIG, b"real")
    assert wire.text(ORIG) == b"real"


def test_of_several_syn_acks_the_acknowledged_one_counts():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None)
    wire.send(RESP, flags=SYN | ACK, seq=9000, ack=0).send(RESP, flags=SYN | ACK, seq=-1, ack=0)
    wire.send(ORIG, seq=0, ack=0).send(RESP, b"real")
    assert wire.text(RESP) == b"real"


def test_syn_into_an_established_connection_is_a_decoy(wire):
    wire.send(ORIG, flags=SYN, seq=99_999, ack=None).send(ORIG, b"still here")
    assert wire.text(ORIG) == b"still here"
    assert "stream.syn_in_established" in wire.findings


def test_retransmitted_handshake_is_silent(wire):
    wire.send(RESP, flags=SYN | ACK, seq=-1, ack=0).send(ORIG, flags=SYN, seq=-1, ack=None)
    assert not wire.findings


def test_simultaneous_open():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None).send(RESP, flags=SYN, seq=-1, ack=None)
    wire.send(ORIG, flags=SYN | ACK, seq=-1).send(RESP, flags=SYN | ACK, seq=-1)
    wire.send(ORIG, b"both").send(RESP, b"ways")
    assert (wire.text(ORIG), wire.text(RESP)) == (b"both", b"ways")


def test_split_handshake():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None).send(RESP, flags=ACK, ack=0)
    wire.send(RESP, flags=SYN, seq=-1, ack=None).send(ORIG, flags=SYN | ACK, seq=-1, ack=0).send(RESP, ack=0)
    wire.send(ORIG, b"GET").send(RESP, b"200")
    assert (wire.text(ORIG), wire.text(RESP)) == (b"GET", b"200")


def test_syn_ack_first():
    wire = Wire(handshake=False)
    wire.send(RESP, flags=SYN | ACK, seq=-1, ack=0).send(ORIG, b"request").send(RESP, b"response")
    assert (wire.text(ORIG), wire.text(RESP)) == (b"request", b"response")


def test_midstream():
    wire = Wire(handshake=False, midstream=True)
    wire.send(RESP, b"in the middle", seq=123456, ack=777).send(ORIG, b"reply", seq=777, ack=123469)
    assert (wire.text(ORIG), wire.text(RESP)) == (b"reply", b"in the middle")


def test_one_direction_only():
    wire = Wire(handshake=False)
    wire.send(ORIG, flags=SYN, seq=-1, ack=None)
    wire.send(ORIG, b"one ").send(ORIG, b"way", seq=4).send(ORIG, flags=FIN | ACK, seq=7)
    assert wire.text(ORIG) == b"one way"


def test_zero_window_probe(wire):
    wire.send(ORIG, b"abc").send(RESP, ack=3, window=0)
    wire.send(ORIG, b"d", seq=3).send(RESP, ack=3, window=0)
    wire.send(ORIG, b"d", seq=3).send(ORIG, b"defg", seq=3)
    assert wire.text(ORIG) == b"abcdefg"
    assert not wire.findings


def test_port_reuse_is_recognised(wire):
    again = Segment(ORIG, 9, ISN[0] + 99_999, 0, SYN, 1, 0, b"", 0)
    assert not wire.connection.opens_anew(again)
    wire.send(ORIG, flags=FIN | ACK).send(RESP, flags=FIN | ACK, ack=1)
    assert wire.connection.opens_anew(again)


def test_half_open_connection_that_is_opened_again(wire):
    wire.send(ORIG, flags=SYN, seq=49_999, ack=None)
    answer = Segment(RESP, 9, 777_777, ISN[0] + 1 + 50_000, SYN | ACK, 1, 0, b"", 0)
    assert wire.connection.opens_anew(answer)


def test_segment_cut_by_the_snap_length(wire):
    wire.send(RESP, b"abc", wire_length=10).send(RESP, b"next", seq=10)
    assert wire.text(RESP) == b"abcnext"
    assert "stream.cut_by_snap_length" in wire.findings
    assert wire.connection.streams[RESP].missing == 7

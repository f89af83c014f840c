from __future__ import annotations

import pytest

from reassembly.events import Close, Data, Gap
from reassembly.limits import Limits
from reassembly.stream import Stream

SECOND = 1_000_000_000


@pytest.fixture
def heard():
    return []


@pytest.fixture
def stream(heard):
    made = Stream(0, heard.append, Limits(), "linux", {})
    made.open(100)
    return made


def text(heard):
    return b"".join(event.payload for event in heard if type(event) is Data)


def test_in_order_segments_come_out_at_once(stream, heard):
    stream.segment(0, b"abc", 5)
    stream.segment(3, b"def", 6)
    assert heard == [Data(0, b"abc", 5, 5), Data(0, b"def", 6, 6)]


def test_out_of_order_segments_wait_for_the_hole(stream, heard):
    stream.segment(3, b"def", 5)
    stream.segment(6, b"ghi", 6)
    assert heard == []
    assert stream.held == 6
    stream.segment(0, b"abc", 7)
    assert text(heard) == b"abcdefghi"
    assert stream.held == 0


def test_sequence_numbers_wrap_around(stream):
    stream.open((1 << 32) - 2)
    assert stream.offset_of(1) == 3
    assert stream.sequence_of(3) == 1
    stream.segment(0, b"abcd", 1)
    assert stream.offset_of(0) == 2
    assert stream.offset_of(2) == 4


def test_hole_passed_by_an_ack_becomes_a_gap_after_three_more_segments(stream, heard):
    stream.segment(0, b"abc", 1)
    stream.segment(10, b"x", 2)
    stream.acknowledge(11, 3)
    stream.segment(11, b"y", 4)
    stream.segment(12, b"z", 5)
    stream.segment(13, b"!", 6)
    assert Gap(0, 7, 6) in heard or any(type(event) is Gap and event.length == 7 for event in heard)
    assert text(heard) == b"abcxyz!"
    assert stream.missing == 7


def test_hole_passed_by_an_ack_becomes_a_gap_after_two_seconds(stream, heard):
    stream.segment(10, b"x", 2)
    stream.acknowledge(11, 3)
    assert heard == []
    stream.acknowledge(11, 2 + 3 * SECOND)
    assert heard == [Gap(0, 10, 2 + 3 * SECOND), Data(0, b"x", 2, 2 + 3 * SECOND)]


def test_hole_not_acknowledged_is_waited_for(stream, heard):
    for at in range(20):
        stream.segment(10 + at, b"x", at)
    stream.acknowledge(0, 60 * SECOND)
    assert heard == []
    stream.segment(0, b"0123456789", 61 * SECOND)
    assert text(heard) == b"0123456789" + b"x" * 20


@pytest.mark.parametrize("limits", [Limits(flow_out_of_order=50), Limits(segments_out_of_order=5)])
def test_hole_over_a_limit_is_given_up_and_said(heard, limits):
    findings = {}
    stream = Stream(0, heard.append, limits, "linux", findings)
    stream.open(0)
    for at in range(10):
        stream.segment(100 + 20 * at, b"x" * 10, at)
    assert any(type(event) is Gap for event in heard)
    assert "stream.out_of_order_limit" in findings
    assert stream.held <= 60


def test_retransmission_with_the_same_bytes_is_silent(stream, heard):
    stream.segment(0, b"abcdef", 1)
    stream.segment(2, b"cdefgh", 2)
    assert text(heard) == b"abcdefgh"
    assert not stream.findings


def test_retransmission_with_other_bytes_is_a_finding_and_the_first_stays(stream, heard):
    stream.segment(0, b"abcdef", 1)
    stream.segment(2, b"cdXfgh", 2)
    assert text(heard) == b"abcdefgh"
    assert "stream.overlap_conflict" in stream.findings


def test_keep_alive_is_no_conflict(stream, heard):
    stream.segment(0, b"abcdef", 1)
    stream.segment(5, b"\0", 2)
    assert text(heard) == b"abcdef"
    assert not stream.findings


def test_fin_out_of_order_closes_when_the_hole_is_filled(stream, heard):
    stream.finished_at(6, 1)
    stream.segment(3, b"def", 2)
    assert heard == []
    stream.segment(0, b"abc", 3)
    assert text(heard) == b"abcdef"
    assert heard[-1] == Close(0, "fin", 3)


def test_data_after_fin_is_left_away(stream, heard):
    stream.finished_at(3, 1)
    stream.segment(0, b"abcdef", 2)
    assert text(heard) == b"abc"
    assert heard[-1] == Close(0, "fin", 2)
    assert "stream.data_after_fin" in stream.findings


def test_close_gives_what_is_held_with_its_holes(stream, heard):
    stream.segment(0, b"abc", 1)
    stream.segment(5, b"fg", 2)
    stream.segment(9, b"jk", 3)
    stream.close("timeout", 9)
    assert [type(event) for event in heard] == [Data, Gap, Data, Gap, Data, Close]
    assert text(heard) == b"abcfgjk"
    assert stream.missing == 4
    assert heard[-1] == Close(0, "timeout", 9)


def test_close_comes_once(stream, heard):
    stream.close("reset", 1)
    stream.close("timeout", 2)
    assert heard == [Close(0, "reset", 1)]


def test_bytes_that_were_acknowledged_but_never_seen_are_a_gap_at_the_end(stream, heard):
    stream.segment(0, b"abc", 1)
    stream.acknowledge(10, 2)
    stream.close("end_of_capture", 3)
    assert heard[1:] == [Gap(0, 7, 3), Close(0, "end_of_capture", 3)]


def test_a_lie_about_acknowledged_bytes_is_no_gap(heard):
    stream = Stream(0, heard.append, Limits(largest_gap=1000), "linux", {})
    stream.open(0)
    stream.acknowledge(5000, 2)
    stream.close("end_of_capture", 3)
    assert heard == [Close(0, "end_of_capture", 3)]


@pytest.mark.parametrize(("pointer", "left"), [(3, b"abdef"), (1, b"bcdef"), (6, b"abcde")])
def test_urgent_byte_is_not_read_in_line(stream, heard, pointer, left):
    stream.urgent = {pointer - 1}
    stream.segment(0, b"abcdef", 1)
    assert text(heard) == left


def test_bytes_cut_by_the_snap_length_are_a_gap(stream, heard):
    stream.segment(0, b"abc", 1)
    stream.cut_short(3, 5, 1)
    stream.segment(8, b"xyz", 2)
    assert heard == [Data(0, b"abc", 1, 1), Gap(0, 5, 1), Data(0, b"xyz", 2, 2)]


@pytest.mark.parametrize(("acked", "lost"), [(0, 0), (3, 0), (5, 2), (10, 7), (11, 7)])
def test_what_of_a_hole_was_acknowledged_is_our_loss(stream, acked, lost):
    stream.segment(0, b"abc", 1)
    stream.segment(10, b"x", 2)
    stream.acknowledge(acked, 3)
    stream.close("timeout", 9)
    assert (stream.missing, stream.lost) == (7, lost)


def test_an_acknowledged_end_that_never_came_is_our_loss(stream):
    stream.segment(0, b"abc", 1)
    stream.acknowledge(50, 3)
    stream.close("timeout", 9)
    assert (stream.missing, stream.lost) == (47, 47)


def test_what_comes_late_is_no_loss(stream, heard):
    stream.segment(3, b"def", 1)
    stream.acknowledge(6, 2)
    stream.segment(0, b"abc", 3)
    stream.close("fin", 9)
    assert (text(heard), stream.missing, stream.lost) == (b"abcdef", 0, 0)


def test_what_the_snap_length_cut_off_is_our_loss(stream, heard):
    stream.segment(0, b"abc", 1)
    stream.cut_short(3, 5, 1)
    stream.segment(8, b"x", 2)
    assert [event.length for event in heard if type(event) is Gap] == [5]
    assert (stream.missing, stream.lost) == (5, 5)

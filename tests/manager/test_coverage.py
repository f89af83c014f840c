import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import BEGAN, NS, an_object, flow_end, said, scanned

from manager import coverage
from manager.coverage import MINUTE, Coverage, Tally, unscanned


def rows(ledger):
    return {(row.service, row.reason): row.tally for row in ledger.rows()}


def test_a_flow_that_gave_objects_has_no_reason():
    ledger = Coverage()
    ledger.flow(flow_end())
    assert rows(ledger) == {("http", None): Tally(flows=1, packets=11, bytes=2100)}


def test_a_flow_that_gave_none_says_why():
    ledger = Coverage()
    ledger.flow(flow_end(service="tls", unscanned="tls", missing=(1, 2)))
    assert rows(ledger)["tls", "tls"] == Tally(flows=1, packets=11, bytes=2100, missing_bytes=3, unscanned_bytes=2100)


def test_a_scanned_object_and_a_cut_one():
    ledger = Coverage()
    ledger.object(an_object(b"12345"), scanned(None, said("a", "clean")))
    cut = an_object(b"123", cut="gap")
    ledger.object(cut, scanned(cut, said("a", "malicious"), said("b", "error")))
    assert rows(ledger) == {
        ("http", None): Tally(objects=1, object_bytes=5, scanned_objects=1, scanned_bytes=5),
        ("http", "gap"): Tally(objects=1, object_bytes=3, incomplete_objects=1, scanned_objects=1, scanned_bytes=3),
    }


def test_an_object_that_no_engine_could_judge():
    ledger = Coverage()
    ledger.object(an_object(b"12"), scanned(None, said("a", "error"), said("b", "timeout"), said("c", "error")))
    assert rows(ledger)["http", "error"] == Tally(
        objects=1, object_bytes=2, unscanned_objects=1, unscanned_object_bytes=2
    )


def test_extract_counts_objects_and_scans_nothing():
    ledger = Coverage()
    ledger.object(an_object(b"12"))
    assert rows(ledger) == {("http", None): Tally(objects=1, object_bytes=2)}


@pytest.mark.parametrize(
    ("statuses", "why"),
    [
        (["clean", "error"], None),
        (["suspicious"], None),
        (["error", "skipped", "skipped"], "skipped"),
        (["timeout"], "timeout"),
        ([], "no_engine"),
    ],
)
def test_why_nobody_could_say_anything(statuses, why):
    assert unscanned(tuple(said(str(number), status) for number, status in enumerate(statuses))) == why


def test_rows_are_by_minute_in_order():
    ledger = Coverage()
    for second in (130, 10, 59, 61):
        ledger.flow(flow_end(time=BEGAN + second * NS))
    assert [(row.minute - BEGAN // MINUTE, row.tally.flows) for row in ledger.rows()] == [(0, 2), (1, 1), (2, 1)]


def test_times_before_1970_have_a_minute():
    ledger = Coverage()
    ledger.flow(flow_end(time=-1))
    assert [row.minute for row in ledger.rows()] == [-1]


def test_the_number_of_rows_is_bounded_and_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(coverage, "ROWS", 100)
    ledger = Coverage()
    for minute in range(1000):
        ledger.flow(flow_end(time=BEGAN + minute * MINUTE))
    kept = list(ledger.rows())
    assert len(kept) <= 101
    assert sum(row.tally.flows for row in kept) == 1000


@given(st.lists(st.tuples(st.sampled_from(["http", "tls"]), st.sampled_from([None, "gap"]), st.integers(0, 10**12))))
def test_shares_of_two_workers_add_up(flows):
    whole, left, right = Coverage(), Coverage(), Coverage()
    for number, (service, why, time) in enumerate(flows):
        end = flow_end(service=service, unscanned=why, time=time)
        whole.flow(end)
        (left if number % 2 else right).flow(end)
    left.merge(right.rows())
    assert list(left.rows()) == list(whole.rows())


def test_packets_that_the_kernel_dropped_are_a_row_of_their_own():
    ledger = Coverage()
    ledger.dropped("eth1", BEGAN, 7)
    ledger.dropped("eth1", BEGAN, 5)
    assert rows(ledger) == {("unknown", "kernel_drop"): Tally(packets=12)}


@pytest.mark.parametrize(("lost", "why"), [((0, 0), "gap"), ((0, 2), "capture_loss")])
def test_a_flow_that_gave_nothing_for_its_holes_says_whose_they_are(lost, why):
    ledger = Coverage()
    ledger.flow(flow_end(unscanned="gap", missing=(1, 2), lost=lost))
    assert list(rows(ledger)) == [("http", why)]


def test_what_is_missing_in_all():
    ledger = Coverage()
    ledger.flow(flow_end(missing=(5, 2), lost=(4, 0)))
    ledger.flow(flow_end(service="smtp", missing=(1, 0)))
    assert ledger.missing() == (8, 4)

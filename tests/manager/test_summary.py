import pickle

import pytest
from nouns import BEGAN, FLOW, NS, an_object, another, flow_end, said, scanned

from engines.outcome import Latency
from manager import summary as module
from manager.alarms import raise_alarm
from manager.summary import Summary

BAD, CLEAN = said("yara", "malicious", "Bad", seconds=0.2, engine_version="4"), said("yara", "clean", seconds=0.1)


def counted(*items):
    summary = Summary()
    for item in items:
        summary.take(item)
    return summary


class Away:
    """An engine that isn't there."""

    name, version, database_version, timeout, slots = "away", None, None, 1.0, 1

    def check(self):
        return "no such socket"


class There(Away):
    name = "yara"

    def check(self):
        return None


def test_objects_by_protocol_and_type():
    summary = counted(an_object(b"123"), an_object(b"45", cut="gap"), an_object(protocol="smtp", mime_type="text/html"))
    assert summary.objects == {("http", "application/zip"): 2, ("smtp", "text/html"): 1}
    assert summary.object_bytes["http", "application/zip"] == 5
    assert summary.incomplete == {("http", "application/zip"): 1}


def test_flows_make_the_span_and_the_names():
    tls = {"tls.client.server_name": "www.example.org"}
    summary = counted(flow_end(facts=tls, findings=("odd",)), flow_end(another(time=BEGAN - NS), time=BEGAN, facts=tls))
    assert (summary.first, summary.last) == (BEGAN - NS, BEGAN + 4 * NS)
    assert summary.names == {"www.example.org": 2}
    assert summary.findings == {"odd": 1}


def test_engines_and_latency():
    late = Latency(0, 0, 0, 100, 300, 200, "yara")
    summary = counted(
        scanned(None, BAD, said("x", "error", reason="away; next try in 3 s")), scanned(None, CLEAN, latency=late)
    )
    assert summary.verdicts == {"malicious": 1, "clean": 1}
    assert summary.engines["yara"].said == {"malicious": 1, "clean": 1}
    assert summary.engines["yara"].version == "4"
    assert summary.engines["yara"].seconds.largest == 0.2
    assert summary.engines["x"].reasons == {"away": 1}
    assert summary.ratio.largest == 3.0


@pytest.mark.parametrize(
    ("items", "inputs", "code"),
    [
        ([], [], 0),
        ([scanned(None, CLEAN)], [], 0),
        ([scanned(None, said("yara", "suspicious"))], [], 0),
        ([scanned(None, BAD)], [], 1),
        ([scanned(None, BAD)], ["x: is empty"], 2),
        ([scanned(None, BAD, said("away", "error", reason="away"))], [], 2),
        ([scanned(None, BAD, said("away", "timeout", reason="late"))], [], 1),
        ([scanned(None, CLEAN, said("hashes", "skipped"))], [], 0),
    ],
)
def test_exit_code(items, inputs, code):
    summary = counted(*items)
    summary.unusable_inputs += inputs
    summary.settle_engines([There()])
    for name in ("away",):
        if name in summary.engines:
            summary.settle_engines([Away()])
    assert summary.exit_code() == code


def test_an_engine_that_had_nothing_to_do_is_asked_whether_it_is_there():
    summary = Summary()
    summary.settle_engines([Away(), There()])
    assert summary.unusable_engines == {"away": "no such socket"}
    assert summary.exit_code() == 2


def test_an_engine_that_sometimes_fails_is_usable():
    summary = counted(scanned(None, said("away", "error", reason="once")), scanned(None, said("away", "clean")))
    summary.settle_engines([Away()])
    assert summary.exit_code() == 0


def test_interrupted_wins():
    summary = counted(scanned(None, BAD))
    summary.interrupted = True
    assert summary.exit_code() == 130


def test_shares_of_workers_merge_and_travel():
    items = [an_object(), scanned(None, BAD), scanned(None, CLEAN), flow_end(findings=("odd",))]
    items.append(raise_alarm(FLOW, [scanned(None, BAD)]))
    whole, left, right = counted(*items), counted(*items[:2]), counted(*items[2:])
    left.packets, right.warnings, right.unusable_inputs = 5, ["w"], ["i"]
    merged = pickle.loads(pickle.dumps(left))
    merged.merge(pickle.loads(pickle.dumps(right)))
    assert merged.objects == whole.objects
    assert merged.verdicts == whole.verdicts
    assert merged.engines["yara"].said == whole.engines["yara"].said
    assert merged.alarm_count == 1
    assert merged.gravest(9)[0].message == whole.gravest(9)[0].message
    assert list(merged.coverage.rows()) == list(whole.coverage.rows())
    assert (merged.packets, merged.warnings, merged.unusable_inputs) == (5, ["w"], ["i"])
    assert (merged.first, merged.last) == (whole.first, whole.last)


def test_the_gravest_alarms_are_kept(monkeypatch):
    monkeypatch.setattr(module, "ALARMS", 10)
    summary = Summary()
    for number in range(100):
        verdict = said("a", "malicious" if number == 50 else "suspicious")
        summary.take(raise_alarm(another(id=str(number)), [scanned(None, verdict)]))
    assert summary.alarm_count == 100
    assert len(summary.alarms) < 20
    assert summary.gravest(1)[0].severity == 73


def test_words_of_hostile_flows_and_engines_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "NAMES", 10)
    summary = Summary()
    for number in range(500):
        summary.take(flow_end(facts={"tls.client.server_name": f"n{number}"}))
        summary.take(scanned(None, said("e", "error", reason=f"why {number}")))
        summary.warn("the same")
    assert len(summary.names) == 10
    assert len(summary.engines["e"].reasons) <= 101
    assert sum(summary.engines["e"].reasons.values()) == 500
    assert summary.warnings == ["the same"]

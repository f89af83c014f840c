"""One engine on one host of a cluster, without Ray: what it answers to a call, and what it says of itself."""

from __future__ import annotations

import os
import pickle
import platform
import time
from importlib.metadata import version
from threading import Thread, Timer

import pytest
from fakes import Kitchen
from samples import object_of

from engines import ahead, scanner
from engines import lane as lane_module
from engines.parcel import label, pieces
from engines.scanner import Facts, Scanner, describe, refusal, versions


@pytest.fixture
def made(monkeypatch):
    monkeypatch.setattr(lane_module, "GRACE", 0.0)

    def make(act, timeout=5.0, slots=2):
        return Scanner(Kitchen({"one": (act, timeout, slots)}), "one", "here")

    return make


def inside(payload, name="x"):
    """A row whose bytes travel within the call."""
    return label(object_of(payload, name)), 0, payload


def statuses(verdicts):
    return [verdict.status for verdict in verdicts]


def test_a_verdict_for_each_object_in_their_order(made):
    rows = [inside(payload) for payload in (b"slow", b"bad", b"", b"raise", b"x")]
    verdicts, stuck = made("by_content").scan(rows)
    assert statuses(verdicts) == ["clean", "malicious", "clean", "error", "clean"]
    assert stuck == 0
    assert verdicts[3].reason == "ValueError: told to"
    assert {(one.engine, one.engine_version, one.database_version, one.host) for one in verdicts} == {
        ("one", "1.0", "7", "here")
    }
    assert verdicts[0].seconds >= 0.4


def test_bytes_that_travel_beside_the_call_come_to_their_own_objects(made):
    large, none, larger = (os.urandom(size) for size in (300, 0, 20_000_000))
    parts = [large[:100], large[100:200], *pieces(object_of(larger))]
    rows = [
        (label(object_of(large)), 2, large[200:]),
        inside(b"between"),
        (label(object_of(none)), 0, b""),
        (label(object_of(larger)), len(parts) - 2, b""),
    ]
    verdicts, _ = made("digest").scan(rows, *parts)
    assert statuses(verdicts) == ["clean"] * 4  # `digest` compares the hash


def test_the_rest_of_what_went_ahead(made, monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 0.05)
    one, payload = made("digest"), os.urandom(1000)
    names = "whole", "hole", "never", "forgotten"
    held = {name: object_of(payload, name) for name in names}
    for name, begins in {"whole": (400, 0), "hole": (0, 600), "forgotten": (0, 400)}.items():
        for begin in begins:  # parts may overtake one another
            one.held.part(held[name].id, begin, payload[begin : min(begin + 400, 800)])
    one.held.forget(held["forgotten"].id)
    rows = [*((label(held[name]), 0, payload[800:]) for name in names), inside(b"all", "all")]
    verdicts, stuck = one.scan(rows)
    assert [verdict and verdict.status for verdict in verdicts] == ["clean", None, None, None, "clean"]
    assert stuck == 0


def test_a_part_that_is_late_is_waited_for(made):
    one, payload = made("digest"), os.urandom(1000)
    target = object_of(payload)
    one.held.part(target.id, 0, payload[:400])
    Timer(0.1, one.held.part, (target.id, 400, payload[400:800])).start()
    verdicts, _ = one.scan([(label(target), 0, payload[800:])])
    assert statuses(verdicts) == ["clean"]
    assert one.held.take(target.id, 0) == []


def test_all_slots_of_a_call_run_at_once_and_no_more(made):
    begun = time.monotonic()
    verdicts, _ = made("by_content", slots=3).scan([inside(b"slow")] * 6)
    assert 0.8 <= time.monotonic() - begun < 2.0  # two rounds; 2.4 were one after the other
    assert max(verdict.queued for verdict in verdicts) >= 0.35


def test_what_hangs_is_a_timeout_and_is_counted_the_rest_is_scanned(made):
    one = made("by_content", timeout=0.1, slots=2)
    verdicts, stuck = one.scan([inside(b"hang"), *[inside(b"x")] * 20])
    assert statuses(verdicts) == ["timeout"] + ["clean"] * 20
    assert stuck == 1
    assert one.scan([inside(b"x")])[1] == 1  # it still does


def test_calls_do_not_wait_for_each_other(made):
    one = made("by_content", slots=2)
    one.scan([inside(b"warm")])
    answers = []
    slow = Thread(target=lambda: answers.append(one.scan([inside(b"slow")])[0][0].status))
    slow.start()
    one.scan([inside(b"x")])
    assert answers == []
    slow.join()
    assert answers == ["clean"]


def test_it_describes_its_engine_and_what_it_has_done(made):
    one = made("by_content", timeout=3.0, slots=4)
    assert one.describe() == (4, 3.0, "1.0", "7")
    assert one.done()["median_ms"] is None
    one.scan([inside(b"x" * 1000), inside(b"raise"), inside(b"slow")])
    done = one.done()
    assert (done["scanned"], done["errors"], done["waiting"]) == (3, 1, 0)
    one.queue = 7
    assert one.done()["queue"] == 7
    assert (done["version"], done["database"]) == ("1.0", "7")
    assert done["objects_s"] == pytest.approx(3 / scanner.LATELY)
    assert done["mb_s"] == pytest.approx(1009 / scanner.LATELY / 1e6)
    assert done["median_ms"] < 400 <= done["p99_ms"]


def test_what_was_long_ago_counts_but_has_no_rate(made, monkeypatch):
    one = made("clean")
    one.scan([inside(b"x")])
    monkeypatch.setattr(scanner, "LATELY", -1.0)
    assert (one.done()["scanned"], one.done()["objects_s"], one.done()["median_ms"]) == (1, 0, None)


def test_an_engine_that_cannot_be_made_says_so_where_it_is_made():
    with pytest.raises(KeyError, match="none"):
        Scanner(Kitchen({"none": ("none", 1.0, 1)}), "none", "here")


def test_a_host_says_its_name_versions_and_engines(monkeypatch):
    monkeypatch.setenv("TAPSCAN_HOST", "scan-1")
    facts = describe(Kitchen({"one": ("clean", 1.0, 1), "two": ("clean", 1.0, 1)}))
    assert facts == Facts("scan-1", (version("tapscan"), platform.python_version(), version("ray")), ("one", "two"))
    assert pickle.loads(pickle.dumps(facts)) == facts
    monkeypatch.delenv("TAPSCAN_HOST")
    assert describe(Kitchen()).name == platform.node()


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_host_with_one_other_version_is_refused_in_one_line(at):
    theirs = tuple("9.9" if number == at else own for number, own in enumerate(versions()))
    said = refusal("10.0.0.1", Facts("scan-1", theirs, ()))
    assert said == (
        f"10.0.0.1: tapscan / Python / Ray {' / '.join(theirs)} there, {' / '.join(versions())} here: "
        "make them the same"
    )
    assert refusal("10.0.0.1", Facts("scan-1", versions(), ())) is None

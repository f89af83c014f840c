import pytest
from nouns import BEGAN, FLOW, NS, an_object, another, said, scanned

from manager.alarms import (
    CRITICAL,
    HIGH,
    LOW,
    MEDIUM,
    OBJECTS,
    Alarms,
    correspondents,
    raise_alarm,
    rate,
    worst_by_engine,
)

BAD, CLEAN = said("yara", "malicious", "Bad"), said("yara", "clean")


def test_the_alarm_comes_with_the_last_scan_when_the_flow_is_over_before():
    alarms = Alarms()
    first, second = an_object(id="1"), an_object(id="2")
    alarms.expect(first)
    alarms.expect(second)
    assert alarms.ended(FLOW) is None
    assert alarms.scanned(scanned(first, BAD)) is None
    alarm = alarms.scanned(scanned(second, CLEAN))
    assert alarm is not None
    assert [one.target.id for one in alarm.found] == ["1"]
    assert len(alarms) == 0


def test_the_alarm_comes_with_the_flows_end_when_all_is_scanned_before():
    alarms = Alarms()
    alarms.expect(an_object())
    assert alarms.scanned(scanned(None, BAD)) is None
    assert len(alarms) == 1
    assert alarms.ended(FLOW).flow is FLOW
    assert len(alarms) == 0


def test_one_alarm_a_flow_and_none_without_findings():
    alarms = Alarms()
    other = another(id="other")
    for number in range(3):
        alarms.expect(an_object(id=str(number)))
        alarms.scanned(scanned(an_object(id=str(number)), BAD))
    alarms.expect(an_object(flow=other))
    alarms.scanned(scanned(an_object(flow=other), CLEAN))
    assert alarms.ended(other) is None
    assert len(alarms.ended(FLOW).found) == 3
    assert alarms.ended(FLOW) is None


@pytest.mark.parametrize("status", ["clean", "error", "timeout", "skipped"])
def test_nothing_else_is_an_alarm(status):
    alarms = Alarms()
    alarms.expect(an_object())
    assert alarms.scanned(scanned(None, said("a", status))) is None
    assert alarms.ended(FLOW) is None


def test_only_flows_with_findings_or_scans_outstanding_are_remembered():
    alarms = Alarms()
    for number in range(1000):
        target = an_object(flow=another(id=str(number)))
        alarms.expect(target)
        alarms.scanned(scanned(target, CLEAN))
    assert len(alarms) == 0


def test_flows_whose_end_is_never_heard_of():
    alarms = Alarms()
    alarms.expect(an_object())
    alarms.scanned(scanned(None, BAD))
    assert [alarm.id for alarm in alarms.rest()] == [FLOW.id]
    assert list(alarms.rest()) == []


def test_bytes_are_let_go_of():
    alarms = Alarms()
    alarms.expect(an_object())
    alarms.scanned(scanned(an_object(b"large" * 1000), BAD))
    kept = alarms.ended(FLOW).worst.target
    assert kept.size == 5000
    assert kept.content.memory is None
    assert kept.content.file is None


def test_a_flow_full_of_findings_keeps_the_worst():
    alarms = Alarms()
    for number in range(OBJECTS + 50):
        target = an_object(id=f"{number:04}")
        alarms.expect(target)
        status = "malicious" if number == OBJECTS + 20 else "suspicious"
        alarms.scanned(scanned(target, said("yara", status)))
    alarm = alarms.ended(FLOW)
    assert len(alarm.found) == OBJECTS
    assert alarm.more == 50
    assert alarm.worst.target.id == f"{OBJECTS + 20:04}"


@pytest.mark.parametrize(
    ("verdicts", "exact", "expected"),
    [
        ([said("a", "malicious"), said("b", "malicious")], (), (CRITICAL, "malicious")),
        ([said("list", "malicious"), said("b", "clean")], ("list",), (CRITICAL, "malicious")),
        ([said("a", "malicious"), said("b", "suspicious")], (), (HIGH, "malicious")),
        ([said("a", "malicious"), said("list", "skipped")], ("list",), (HIGH, "malicious")),
        ([said("a", "suspicious"), said("b", "suspicious")], (), (MEDIUM, "suspicious")),
        ([said("a", "suspicious"), said("b", "error")], (), (LOW, "suspicious")),
    ],
)
def test_severity(verdicts, exact, expected):
    assert rate(verdicts, exact) == expected


def test_engines_agree_over_all_objects_of_a_flow():
    found = [scanned(an_object(id="1"), said("a", "malicious"), said("b", "clean"))]
    found.append(scanned(an_object(id="2"), said("a", "clean"), said("b", "malicious")))
    alarm = raise_alarm(FLOW, found)
    assert alarm.severity == CRITICAL
    assert alarm.engines == ("a", "b")


def test_worst_word_of_each_engine_counts():
    words = [said("a", "clean"), said("b", "error"), said("a", "suspicious"), said("a", "clean"), said("b", "clean")]
    assert [(one.engine, one.status) for one in worst_by_engine(words)] == [("a", "suspicious"), ("b", "error")]


def test_the_hit_of_a_known_bad_list_is_named_first():
    found = [scanned(None, said("yara", "malicious", "Y", rule={"name": "Y"}), said("list", "malicious", "L"))]
    assert raise_alarm(FLOW, found, exact=("list",)).hit.signature == "L"


def test_the_outermost_object_is_the_worst_among_equals():
    parent, child = an_object(id="z"), an_object(id="a", parent="z", depth=1)
    alarm = raise_alarm(FLOW, [scanned(child, BAD), scanned(parent, BAD)])
    assert alarm.worst.target.id == "z"


def test_time_spans_all_that_was_found():
    early = an_object(id="1", began=BEGAN, time=BEGAN + NS)
    late = an_object(id="2", began=BEGAN + 5 * NS, time=BEGAN + 9 * NS)
    alarm = raise_alarm(FLOW, [scanned(late, BAD), scanned(early, BAD)])
    assert (alarm.began, alarm.time) == (BEGAN, BEGAN + 9 * NS)


def test_who_sent_and_who_received():
    assert correspondents(an_object()) == ("198.51.100.80", ("192.0.2.10",))
    assert correspondents(an_object(direction=0)) == ("192.0.2.10", ("198.51.100.80",))
    header = {"email.from.address": "a@b", "email.to.address": ["c@d"], "email.cc.address": ["e@f"]}
    assert correspondents(an_object(facts=header)) == ("a@b", ("c@d", "e@f"))
    envelope = header | {"tapscan.smtp.mail_from": "x@y", "tapscan.smtp.rcpt_to": ["z@z"]}
    assert correspondents(an_object(facts=envelope)) == ("x@y", ("z@z",))
    assert correspondents(an_object(direction=0, facts={"tapscan.smtp.mail_from": ""}))[0] == "192.0.2.10"

"""Which [[policy]] fires, and in which words."""

import time
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nouns import FLOW, an_object, another, said, scanned

from manager.observer import Observer
from manager.policy import CONDITIONS, Policy, span
from manager.settings import PolicySettings, PolicyWhen

HOME = Observer("h", home=("198.51.100.0/24",))
BAD, TOO = said("yara", "malicious", "Win.Bad"), said("clamav", "malicious", "Acme.Worm")
ODD = said("yara", "suspicious", "Odd.Macro")
NOON = time.mktime((2024, 2, 29, 12, 0, 0, 0, 0, -1))


def when(do=("reset",), **asked):
    return PolicySettings(PolicyWhen(**asked), do)


def decided(rules, *verdicts, target=None, observer=HOME, exact=(), now=NOON):
    return Policy(rules, observer, exact).decide(scanned(target, *verdicts), now)


@pytest.mark.parametrize("status", ["clean", "error", "timeout", "skipped"])
def test_nothing_is_done_where_nothing_was_found(status):
    assert decided([when()], said("yara", status)) is None
    assert decided([]) is None
    assert Policy([when()], HOME, ()).explain(scanned(None, said("yara", status)), NOON) == ()


def test_without_rules_what_is_malicious_is_observed():
    found = decided([], BAD)
    assert (found.rule, found.do) == (0, ("observe",))
    assert found.why == "no policy: malicious, severity 73, http, inbound"
    assert decided([], ODD) is None


def test_the_first_that_fires_wins():
    rules = [when(severity=99), when(("command",), protocol=("http",)), when()]
    found = decided(rules, BAD)
    assert (found.rule, found.do, found.settings) == (2, ("command",), rules[1])
    assert decided(rules, BAD, TOO).rule == 1
    assert decided(rules, BAD, target=an_object(protocol="smtp")).rule == 3
    assert decided(rules[:2], BAD, target=an_object(protocol="smtp")) is None


def test_a_rule_without_anything_to_do_observes():
    assert decided([when(())], BAD).do == ("observe",)


def test_the_words():
    assert decided([when(severity=99), when(verdict="malicious", severity=73)], BAD).why == (
        "policy 2: malicious, severity 73 >= 73, http, inbound"
    )
    assert decided([when()], BAD, observer=Observer("h")).why == "policy 1: malicious, severity 73, http"


@pytest.mark.parametrize(
    ("asked", "verdicts", "fires", "words"),
    [
        ({"verdict": "malicious"}, [BAD], True, "malicious"),
        ({"verdict": "malicious"}, [ODD], False, "suspicious, not malicious"),
        ({"verdict": "suspicious"}, [BAD, said("b", "suspicious")], False, "malicious, not suspicious"),
        ({"severity": 74}, [BAD], False, "severity 73 < 74"),
        ({"severity": 47}, [ODD, said("b", "suspicious")], True, "severity 47 >= 47"),
        ({"agree": 2}, [BAD, said("b", "suspicious")], False, "1 < 2 engines"),
        ({"agree": 2}, [BAD, TOO, said("c", "clean")], True, "2 >= 2 engines"),
        ({"engine": "clamav"}, [BAD, TOO], True, "found by clamav"),
        ({"engine": "clamav"}, [BAD, said("clamav", "clean")], False, "found by yara, not by clamav"),
        ({"signature": "Worm$"}, [BAD, TOO], True, "signature Acme.Worm has 'Worm$'"),
        ({"signature": "^Worm"}, [BAD, TOO], False, "no signature has '^Worm'"),
        ({"signature": ""}, [said("b", "malicious")], False, "no signature has ''"),
        ({"direction": "inbound"}, [BAD], True, "inbound"),
        ({"direction": "outbound"}, [BAD], False, "inbound, not outbound"),
        ({"protocol": ("smtp", "http")}, [BAD], True, "http"),
        ({"protocol": ("smtp", "ftp")}, [BAD], False, "http, not smtp or ftp"),
        ({"networks": ("198.51.100.0/24",)}, [BAD], True, "198.51.100.80 in 198.51.100.0/24"),
        ({"networks": ("2001:db8::/32", "192.0.2.10/31")}, [BAD], True, "192.0.2.10 in 192.0.2.10/31"),
        ({"networks": ("10.0.0.0/8",)}, [BAD], False, "neither 192.0.2.10 nor 198.51.100.80 in 10.0.0.0/8"),
        ({"type": "application/"}, [BAD], True, "application/zip is 'application/'"),
        ({"type": "zip"}, [BAD], False, "application/zip isn't 'zip'"),
        ({"hours": "08:00-18:00"}, [BAD], True, "12:00 in 08:00-18:00"),
        ({"hours": "22:00-06:00"}, [BAD], False, "12:00 not in 22:00-06:00"),
    ],
)
def test_conditions(asked, verdicts, fires, words):
    (answer,) = Policy([when(**asked)], HOME, ()).explain(scanned(None, *verdicts), NOON)
    assert (answer.fires, answer.failed) == (fires, None if fires else next(iter(asked)))
    assert words in answer.why.removeprefix("policy 1: ").split(", ") or not fires
    assert fires or answer.why == f"policy 1: {words}"


def test_every_condition_that_can_be_set_is_asked():
    assert set(CONDITIONS) == {field.name for field in fields(PolicyWhen)}


def test_everything_given_must_hold():
    asked = {"verdict": "malicious", "severity": 99, "direction": "outbound", "type": "image/"}
    (answer,) = Policy([when(**asked)], HOME, ()).explain(scanned(None, BAD, TOO), NOON)
    assert answer.failed == "direction"


def test_a_known_bad_hash_is_critical():
    assert decided([when(severity=99)], said("list", "malicious"), exact={"list"}) is not None
    assert decided([when(severity=99)], said("list", "malicious")) is None


def test_what_is_unknown_is_no_direction():
    (answer,) = Policy([when(direction="external")], Observer("h"), ()).explain(scanned(None, BAD), NOON)
    assert answer.failed == "direction"
    assert "sensor.home" in answer.why


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 1439))
def test_hours_hold_from_their_begin_to_their_end_also_over_midnight(begin, length, minute):
    end = (begin + length) % 1440
    text = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    now = time.mktime((2024, 5, 7, minute // 60, minute % 60, 59, 0, 0, -1))
    inside = (minute - begin) % 1440 < (length or 1440)
    assert (decided([when(hours=text)], BAD, now=now) is not None) == inside


@pytest.mark.parametrize("text", ["8:00-18:00", "08:00", "24:00-06:00", "08:00-24:01", "08:60-09:00", "08:00-18:00 "])
def test_what_are_no_hours(text):
    with pytest.raises(ValueError, match=r"^\d"):
        span(text)


def test_hours_may_last_until_the_end_of_the_day():
    assert span("18:00-24:00") == (1080, 1440)


@given(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16), st.integers(0, 32), st.booleans())
def test_networks_hold_for_either_end_and_bits_decide(address, other, prefix, swapped):
    ends = (other, address) if swapped else (address, other)
    flow = another(FLOW, orig_ip=ends[0], resp_ip=ends[1])
    target = an_object(flow=flow)
    mine = ".".join(map(str, address))
    assert decided([when(networks=(f"{mine}/{prefix}",))], BAD, target=target) is not None
    if prefix:
        flipped = int.from_bytes(address, "big") ^ (1 << (32 - prefix))
        away = ".".join(map(str, flipped.to_bytes(4, "big")))
        assert decided([when(networks=(f"{away}/{prefix}",))], BAD, target=target) is None

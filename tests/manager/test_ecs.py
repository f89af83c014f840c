import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.ecs import extension, line, mac_text, merge, severity_name, stable_id, timestamp


def test_timestamp_has_microseconds_and_ends_in_z():
    assert timestamp(1_709_208_000_000_001_999) == "2024-02-29T12:00:00.000001Z"


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_every_time_that_a_capture_can_hold_has_a_text(ns):
    text = timestamp(ns)
    seconds = datetime.fromisoformat(text.replace("Z", "+00:00")).replace(microsecond=0)
    assert int((seconds - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) == ns // 1_000_000_000


RELATED = {"related": {"hosts": ["second"]}}


def test_merge_nests_dotted_names_and_leaves_nothing_empty():
    document = {"url": {"domain": "first"}}
    facts = {"url.domain": "second", "url.path": "/", "http.request.method": "GET", "email.cc.address": [], "a": ""}
    merge(document, facts | {"b": float("nan")})
    assert document == {"url": {"domain": "first", "path": "/"}, "http": {"request": {"method": "GET"}}, **RELATED}


def test_hosts_and_people_are_related_once():
    document = {"related": {"ip": ["::1"]}}
    merge(document, {"tapscan.smtp.mail_from": "a@b", "email.to.address": ["c@d", "a@b", ""], "url.domain": "e"})
    assert document["related"] == {"ip": ["::1"], "user": ["a@b", "c@d"], "hosts": ["e"]}


def test_related_is_bounded():
    document = {}
    merge(document, {"tapscan.smtp.rcpt_to": [f"{number}@example.org" for number in range(5000)]})
    assert len(document["related"]["user"]) == 1000


def test_merge_passes_over_a_fact_below_a_leaf():
    document = {"file": {"name": "x"}}
    merge(document, {"file.name.first": "y"})
    assert document == {"file": {"name": "x"}}


def test_line_takes_what_the_wire_brings():
    hostile = {"name": "a\udc80b", "number": 1 << 70, "least": -(1 << 70), "list": ["\ud800"], "deep": {"\udfff": True}}
    read = json.loads(line(hostile))
    assert read == {"name": "a?b", "number": (1 << 63) - 1, "least": -(1 << 63), "list": ["?"], "deep": {"?": True}}


def test_line_is_one_line():
    assert line({"name": "a\nb\u2028"}).count(b"\n") == 1


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.zip", "zip"),
        ("A.TAR.GZ", "gz"),
        (".profile", None),
        ("none", None),
        ("dot.", None),
        ("x.very-long-nonsense-extension", None),
        ("a.b c", None),
    ],
)
def test_extension(name, ending):
    assert extension(name) == ending


def test_mac_as_rfc_7042_has_it():
    assert mac_text(bytes.fromhex("00005e005323")) == "00-00-5E-00-53-23"


def test_stable_id_keeps_its_parts_apart():
    assert stable_id("a", "bc") != stable_id("ab", "c")
    assert stable_id("a", "\udc80") == stable_id("a", "\udc80")


def test_severity_in_kibanas_words():
    assert [severity_name(step) for step in (1, 21, 47, 73, 99)] == ["low", "low", "medium", "high", "critical"]

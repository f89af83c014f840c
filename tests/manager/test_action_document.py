"""The document of an action, against what fields.csv and the contract say of it."""

import json
from dataclasses import fields

import pytest
from nouns import BEGAN, FLOW, NS, an_action

from manager import schema
from manager.action import Action
from manager.ecs import line
from manager.events import Documents
from manager.observer import Observer

DOCUMENTS = Documents(Observer("sensor-7", home=("192.0.2.0/24",)), live=True)
FULL = an_action(
    outcome="late",
    reason="too late",
    frames=4,
    sent=BEGAN + 2 * NS + 5000,
    latency=9000,
    bytes_delivered=10,
    bytes_total=20,
    bytes_past=3,
    evaded_by_retry=True,
)


def read(action):
    return json.loads(line(DOCUMENTS.action(action)))


def leaves(value, path=""):
    for key, item in value.items():
        yield from leaves(item, f"{path}{key}.") if isinstance(item, dict) else [path + key]


def test_field_by_field():
    made = read(FULL)
    assert made["@timestamp"] == "2024-02-29T12:00:02.000000Z"
    event = made["event"]
    assert event["dataset"] == made["data_stream"]["dataset"] == "tapscan.action"
    assert made["data_stream"]["type"] == "logs"
    assert event["category"] == ["intrusion_detection", "network"]
    assert (event["kind"], event["action"], event["reason"], event["duration"]) == ("event", "reset", "too late", 5000)
    assert made["source"]["ip"] == "192.0.2.10"
    assert made["network"]["direction"] == "outbound"
    assert made["file"]["hash"]["sha256"] == FULL.target.sha256
    assert made["related"]["hash"] == [FULL.target.sha256]
    assert made["rule"] == {"name": "Bad", "ruleset": "yara"}
    assert made["tapscan"] == {
        "flow": {"id": FLOW.id, "direction": "resp"},
        "action": {
            "id": "ac7",
            "revision": 1,
            "kind": "reset",
            "mode": "enforce",
            "outcome": "late",
            "rule": 2,
            "why": "policy 2: malicious",
            "reason": "too late",
            "frames": 4,
            "sent": "2024-02-29T12:00:02.000005Z",
            "latency": 9000,
            "bytes_delivered": 10,
            "bytes_total": 20,
            "bytes_past": 3,
            "evaded_by_retry": True,
        },
    }


def test_each_of_its_fields_is_declared():
    declared = {field.name for field in schema.fields()}
    assert set(leaves(read(FULL))) <= declared


def test_nothing_that_an_action_knows_of_itself_is_left_out():
    own = {field.name for field in fields(Action)} - {"flow", "time", "target", "hit"}
    assert own == set(read(FULL)["tapscan"]["action"])


@pytest.mark.parametrize(
    ("outcome", "said", "types"),
    [
        ("confirmed", "success", ["info", "denied"]),
        ("done", "success", ["info"]),
        ("late", "failure", ["info"]),
        ("failed", "failure", ["info"]),
        ("refused", "failure", ["info"]),
        ("observed", "unknown", ["info"]),
        ("dry_run", "unknown", ["info"]),
    ],
)
def test_outcomes(outcome, said, types):
    event = read(an_action(outcome=outcome))["event"]
    assert (event["outcome"], event["type"]) == (said, types)


def test_its_identity_is_that_of_action_and_revision():
    ids = [read(action)["event"]["id"] for action in (an_action(), an_action(outcome="late"), an_action(revision=2))]
    assert ids[0] == ids[1] != ids[2]
    assert read(an_action(id="other"))["event"]["id"] not in ids

"""Documents as EVE lines, beside those that Suricata wrote of the same capture.

`suricata-7.0.10.jsonl` is what Suricata 7.0.10 wrote of the case `demo`, with `files` (force-magic, force-hash sha256),
`alert`, community-id, and two rules named EICAR_test_file: on file.data of HTTP, on a zip file of SMTP.
"""

import json
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.eve import LOCAL, eve

ROOT = Path(__file__).parents[2]
# What they count and we don't know, and what both say in other words
THEIRS = {"pcap_cnt", "pkt_src", "flow", "parent_id", "app_proto_tc", "length", "http_content_type", "timestamp"}
OURS = {"metadata", "subject", "timestamp", "direction"}
OTHER_WORDS = {"flow_id", "magic", "signature_id", "from", "to"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Of the case `demo`, as scan prints them."""
    folder = tmp_path_factory.mktemp("eve")
    subprocess.run([sys.executable, ROOT / "tests/cases/capture.py", "demo", folder / "demo.pcap"], check=True)
    words = [sys.executable, "-m", "manager.cli", "scan", "--json", folder / "demo.pcap"]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE)
    return list(map(json.loads, done.stdout.splitlines()))


@pytest.fixture(scope="module")
def lines(documents):
    return [json.loads(text) for document in documents if (text := eve(document)) is not None]


def theirs():
    return list(map(json.loads, (Path(__file__).parent / "suricata-7.0.10.jsonl").read_text().splitlines()))


def key(line):
    """What tells that two lines are about the same."""
    file = line.get("fileinfo") or line["files"][0]
    return line["event_type"], line["community_id"], file["sha256"]


def leaves(value, under=""):
    """Every value that isn't a table, by its dotted name."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, f"{under}.{name}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from leaves(item, f"{under}[]")
    else:
        yield under, value


def known(name, left_away):
    return bool({part.removesuffix("[]") for part in name.split(".")} & left_away)


def test_there_is_one_for_each_of_theirs(lines):
    assert {key(line) for line in theirs()} <= {key(line) for line in lines}
    assert len(theirs()) == 6


@pytest.mark.parametrize("line", theirs(), ids=lambda line: "-".join(key(line))[:40])
def test_names_types_and_values_are_theirs(lines, line):
    ours = dict(leaves(next(one for one in lines if key(one) == key(line))))
    expected = {name: value for name, value in leaves(line) if not known(name, THEIRS)}
    assert {name for name in expected if name not in ours} == set()
    more = {name for name in ours if name not in expected and not known(name, OURS | THEIRS)}
    assert more <= {"files[].magic"}
    assert {name for name in expected if type(expected[name]) is not type(ours[name])} == set()
    assert {name for name in expected if expected[name] != ours[name] and not known(name, OTHER_WORDS)} == set()


def test_times_are_written_as_theirs_are(lines):
    for line in lines:
        assert (
            line["timestamp"][:20] + line["timestamp"][26:] == "2023-11-14T22:13:2" + line["timestamp"][18] + ".+0000"
        )


def test_numbers_fit_into_what_javascript_reads(lines):
    assert all(0 < line["flow_id"] < 1 << 53 for line in lines)
    found = [line["alert"]["signature_id"] for line in lines if "alert" in line]
    assert found
    assert all(LOCAL <= one < 2 * LOCAL for one in found)


def test_other_kinds_have_no_line(documents):
    kinds = {one["event"]["dataset"] for one in documents if eve(one) is None}
    assert kinds == {"tapscan.coverage"}


def test_what_is_cut_or_stopped_says_so(documents):
    one = next(one for one in documents if one["event"]["dataset"] == "tapscan.object")
    one = json.loads(json.dumps(one))
    one["tapscan"]["object"] |= {"complete": False, "missing_bytes": 7}
    made = json.loads(eve(one))["fileinfo"]
    assert (made["state"], made["gaps"]) == ("TRUNCATED", True)
    one["network"]["vlan"] = {"id": "7"}
    one["network"]["inner"] = {"vlan": {"id": "9"}}
    one["observer"]["ingress"] = {"interface": {"name": "eth1"}}
    made = json.loads(eve(one))
    assert (made["vlan"], made["in_iface"]) == ([7, 9], "eth1")
    alarm = next(one for one in documents if one["event"]["dataset"] == "tapscan.alarm")
    alarm = json.loads(json.dumps(alarm))
    alarm["event"]["type"] = ["info", "denied"]
    alarm["tapscan"]["verdict"] = "suspicious"
    made = json.loads(eve(alarm))["alert"]
    assert (made["action"], made["severity"], made["category"]) == ("blocked", 2, "Potentially Bad Traffic")


LEAF = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(st.characters(codec="utf-8"))
NAMES = st.sampled_from(
    [
        *("source", "destination", "ip", "port", "tapscan", "flow", "id", "direction", "network", "transport", "vlan"),
        *("file", "hash", "size", "name", "url", "path", "http", "request", "email", "from", "address", "alarm"),
        *("objects", "protocol", "engines", "rule", "observer", "verdict", "event", "type"),
    ]
)
TREE = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5))


@given(st.dictionaries(NAMES, TREE), st.sampled_from(["tapscan.object", "tapscan.alarm"]))
def test_any_document_makes_a_line(document, dataset):
    made = eve(document | {"event": {"dataset": dataset}})
    assert b"\n" not in made
    assert orjson.loads(made)["event_type"] in ("fileinfo", "alert")

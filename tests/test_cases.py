"""Each folder of tests/cases: its capture through the whole walk, its documents against expected.json.

`pytest tests/test_cases.py --accept` writes expected.json as it is now. Review the diff before it is committed.
"""

import json
from pathlib import Path

import pytest
from capture import make, maker

from manager.cli import do

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/make.py"))

# What differs from run to run, or says nothing about the case.
VOLATILE = {
    "": ("ecs", "host", "observer", "data_stream", "log", "related"),
    "event": ("created", "module", "kind", "category", "type", "duration", "ingested"),
    "tapscan": ("latency",),
    "verdict": ("seconds", "queued", "host", "engine_version", "database_version"),
}
UNCHECKED = {"tapscan.sensor"}  # rates and memory


def done(case, capfd):
    """The exit code and the documents of a case. The capture's name is part of what identities are made of."""
    capture = Path("input.pcap")
    make(CASES / case, capture)
    command = getattr(maker(CASES / case), "COMMAND", "extract")
    code = do([command, "--json", "--config", str(CASES / "tapscan.toml"), str(capture)])
    out, err = capfd.readouterr()
    documents = kept(map(json.loads, out.splitlines()), in_any_order=command == "scan")
    return {"exit": code, "trouble": err.splitlines(), "documents": documents}


def kept(documents, in_any_order):
    """The stable part of the documents, by kind and time; engines answer when they are ready."""
    documents = [stable(document) for document in documents if document["event"]["dataset"] not in UNCHECKED]
    if in_any_order:
        documents.sort(key=lambda one: one["event"]["id"])
    return sorted(documents, key=lambda one: (one["event"]["dataset"], one["@timestamp"]))


def stable(document):
    document = without(document, "")
    document["event"] = without(document["event"], "event")
    tapscan = document["tapscan"] = without(document["tapscan"], "tapscan")
    for holder in (tapscan, tapscan.get("alarm", {})):
        if "verdicts" in holder:
            holder["verdicts"] = [without(verdict, "verdict") for verdict in holder["verdicts"]]
    return document


def without(mapping, place):
    return {key: value for key, value in mapping.items() if key not in VOLATILE[place]}


@pytest.mark.parametrize("case", NAMES)
def test_case(case, tmp_path, monkeypatch, capfd, request):
    monkeypatch.chdir(tmp_path)
    found = done(case, capfd)
    expected = CASES / case / "expected.json"
    if request.config.getoption("--accept"):
        expected.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert expected.exists(), f"{expected} is missing: run with --accept, and review what it wrote"
    assert found == json.loads(expected.read_text())


@pytest.mark.parametrize("case", NAMES)
def test_case_says_what_it_is_for(case):
    readme = (CASES / case / "README.md").read_text()
    for word in ("Why:", "Origin:"):
        assert word in readme, f"{case}/README.md has no paragraph that begins with {word}"


def test_captures_are_the_same_each_time(tmp_path):
    for name in NAMES:
        first, second = tmp_path / "first.pcap", tmp_path / "second.pcap"
        make(CASES / name, first)
        make(CASES / name, second)
        assert first.read_bytes() == second.read_bytes(), name

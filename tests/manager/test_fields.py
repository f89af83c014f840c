"""Each field of each document that there can be is declared in kibana/fields.csv, with a type that its values have."""

import ast
import re
from pathlib import Path

import pytest
from capture import make, maker
from hypothesis import HealthCheck, given, settings
from made import FACTS, TYPED, carried, documents, fits, unfit
from sensing import Sensor, fetch
from sensing import documents as read

ROOT = Path(__file__).parents[2]
CASES = ROOT / "tests" / "cases"
NAMES = sorted(path.parent.name for path in CASES.glob("*/make.py"))


@pytest.mark.parametrize("case", NAMES)
def test_fields_of_a_case(case, tmp_path, tapscan):
    make(CASES / case, tmp_path / "input.pcap")
    command = getattr(maker(CASES / case), "COMMAND", "extract")
    found = read(tapscan(command, "--json", "--config", CASES / "tapscan.toml", "input.pcap").stdout)
    assert found
    assert unfit(found) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_fields_of_documents_of_any_nouns(every):
    assert unfit(every) == []


def test_fields_of_a_live_sensor(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--record", str(tmp_path / "packets"))
    fetch(span, *served)
    code, out, _ = sensor.end()
    assert code == 0
    found = read(out)
    assert {one["event"]["dataset"] for one in found} == {
        "tapscan.object", "tapscan.alarm", "tapscan.coverage", "tapscan.sensor",
    }  # fmt: skip
    assert unfit(found) == []


def test_names_that_parsers_give_are_declared():
    """What stands in the sources, whether or not a test ever brings it about."""
    shape = re.compile(r"(tapscan|email|url|user_agent|tls|http\.(request|response))(\.[a-z0-9_]+)+|http\.version")
    named = {
        node.value
        for path in (ROOT / "reassembly").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and shape.fullmatch(node.value)
    }
    assert len(named) > 40
    assert named - TYPED.keys() == set()


def test_fields_that_are_made_up_by_name_are_known():
    """Hypothesis gives documents these; a fact that lies elsewhere would go by it."""
    assert {"email.from.address", "url.full", "tapscan.imap.mailbox", "http.response.status_code"} <= set(FACTS)


def test_nested_and_repeated_values_are_seen():
    document = {"a": {"b": [{"c": 1}, {"c": 2, "d": ["x", "y"]}]}, "e": True}
    assert [*carried(document)] == [
        ("a.b", document["a"]["b"]), ("a.b.c", 1), ("a.b.c", 2), ("a.b.d", "x"), ("a.b.d", "y"), ("e", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "fit"),
    [
        ("keyword", "a", True), ("keyword", 1, False), ("keyword/text", "a", True), ("long", 1, True),
        ("long", True, False), ("long", 1.5, False), ("long", 1 << 63, False), ("double", 1, True),
        ("double", "1", False), ("boolean", 0, False), ("nested", {"a": 1}, False), ("nested", [{"a": 1}], True),
    ],
)  # fmt: skip
def test_what_fits(kind, value, fit):
    assert fits(kind, value) is fit


def test_what_is_not_declared_is_said():
    document = {"tapscan": {"novel": 1}, "source": {"port": "80"}}
    assert unfit([document]) == ["tapscan.novel: no row in kibana/fields.csv", "source.port: '80' is no long"]

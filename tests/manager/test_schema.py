"""fields.csv, and what is made of it without a server."""

import csv
import re
from pathlib import Path

import pytest

from manager import kibana_files, schema

ROOT = Path(__file__).parents[2]
TYPES = {"keyword", "keyword/text", "text", "long", "double", "boolean", "date", "ip", "nested"}
NESTED = {
    "email.attachments",
    "tapscan.verdicts",
    "tapscan.alarm.objects",
    "tapscan.alarm.verdicts",
    "tapscan.sensor.engines",
}
TYPED = {field.name: field.type for field in schema.fields()}


def listed(name):
    """The rows of a list that lies here, without its comments."""
    lines = (Path(__file__).parent / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_each_field_stands_there_once_with_a_known_type():
    assert len(TYPED) == len(schema.fields())
    assert set(TYPED.values()) <= TYPES
    assert {name for name, kind in TYPED.items() if kind == "nested"} == NESTED
    assert all(re.fullmatch(r"@timestamp|[a-z0-9_]+(\.[a-z0-9_]+)*", name) for name in TYPED)


def test_no_field_lies_under_a_leaf():
    parents = {name.rsplit(".", count)[0] for name in TYPED for count in range(1, name.count(".") + 1)}
    assert parents & TYPED.keys() == NESTED


@pytest.mark.parametrize("row", listed("ecs_types.csv"), ids=lambda row: row["field"])
def test_fields_of_ecs_have_the_type_of_ecs(row):
    families = {"wildcard": "keyword", "constant_keyword": "keyword", "match_only_text": "text"}
    kind, _, more = TYPED[row["field"]].partition("/")
    assert kind == families.get(row["type"], row["type"])
    assert bool(more) == (row["text"] == "yes")


def test_all_fields_but_our_own_are_of_ecs():
    assert {row["field"] for row in listed("ecs_types.csv")} == {name for name in TYPED if name[:8] != "tapscan."}


def test_fields_of_the_contract_are_there():
    assert [row["field"] for row in listed("contract_fields.csv") if row["field"] not in TYPED] == []


def test_better_types_are_those_of_ecs():
    better = {name: kind for kind, names in schema.BETTER.items() for name in names}
    theirs = {row["field"]: row["type"] for row in listed("ecs_types.csv")}
    assert better == {name: kind for name, kind in theirs.items() if kind in schema.BETTER}


def test_a_better_type_keeps_the_words_beside_it():
    made = {one.name: one.body["template"]["mappings"]["properties"] for one in schema.better()}
    assert made["tapscan@wildcard"]["url"]["properties"]["full"] == {
        "type": "wildcard",
        "fields": {"text": {"type": "text"}},
    }
    assert made["tapscan@match_only_text"]["message"] == {"type": "match_only_text"}


def test_every_dataset_has_its_streams_and_its_retention():
    made = {one.name: one.body for one in schema.templates() if one.kind == "index"}
    kept = {name: body["template"]["lifecycle"]["data_retention"] for name, body in made.items()}
    assert kept == {
        "logs-tapscan.object": "90d",
        "logs-tapscan.alarm": "400d",
        "logs-tapscan.action": "400d",
        "logs-tapscan.signature": "400d",
        "logs-tapscan.audit": "400d",
        "logs-tapscan.health": "400d",
        "metrics-tapscan.coverage": "30d",
        "metrics-tapscan.sensor": "30d",
    }
    for name, body in made.items():
        assert body["index_patterns"] == [f"{name}-*"]
        assert body["priority"] == 500
        assert body["data_stream"] == {}
        assert f"{name}@custom" in body["ignore_missing_component_templates"]


def test_streams_are_those_that_documents_name():
    from manager.events import STREAMS

    made = {one.name for one in schema.templates() if one.kind == "index"}
    assert {f"{kind}-{dataset}" for dataset, kind in STREAMS.items()} <= made


def test_retention_can_be_set():
    made = {one.name: one.body for one in schema.templates(retention={"object": 7})}
    assert made["logs-tapscan.object"]["template"] == {"lifecycle": {"data_retention": "7d"}}
    assert made["logs-tapscan.alarm"]["template"] == {"lifecycle": {"data_retention": "400d"}}


@pytest.mark.parametrize("dynamic", ["false", "strict"])
def test_what_is_not_declared_makes_no_field(dynamic):
    settings, ecs, *_ = (one.body["template"] for one in schema.templates(dynamic))
    assert ecs["mappings"]["dynamic"] == dynamic
    assert ("mapping" in settings["settings"]["index"]) == (dynamic == "false")


def test_files_are_current():
    stale = [path.name for path, text in kibana_files.made(ROOT / "kibana").items() if path.read_text() != text]
    assert stale == [], "run make kibana, and review what it wrote"


def test_files_that_are_no_longer_made_go(tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "old.json").write_text("{}")
    (tmp_path / "README.md").write_text(
        f"before\n{kibana_files.BEGIN.format('fields')}old\n{kibana_files.END.format('fields')}after\n"
    )
    kibana_files.write(tmp_path)
    assert not (tmp_path / "templates" / "old.json").exists()
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| `file.hash.sha256` | keyword | of the bytes as scanned |\n" in text
    assert "old" not in text
    kibana_files.write(tmp_path)
    assert (tmp_path / "README.md").read_text() == text

"""The sources of dashboards and rules: what a person writes, what of it is wrong, and what the README says of it."""

import json
import re
from pathlib import Path

import pytest

from manager import kibana, kibana_grid, lens, schema

ROOT = Path(__file__).parents[2]
OBJECTS = [json.loads(line) for line in (ROOT / "kibana/tapscan.ndjson").read_text().splitlines()]
RULES = [json.loads(line) for line in (ROOT / "kibana/rules.ndjson").read_text().splitlines()]
VIEWS = {one["id"]: one["attributes"] for one in OBJECTS if one["type"] == "index-pattern"}
TYPED = {field.name: field.type.partition("/")[0] for field in schema.fields()}
NUMBERS = {"long", "double"}
GROUPED = {"keyword", "ip", "boolean"} | NUMBERS
FIELD = re.compile(r"([@a-z_][a-z0-9_.@]*) :")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule_id"])
def test_rules_have_what_the_api_asks_for(rule):
    assert rule["type"] in ("query", "threshold")
    assert rule["severity"] in ("low", "medium", "high", "critical")
    assert 0 <= rule["risk_score"] <= 100
    assert rule["description"]
    assert rule["name"].startswith("Tapscan: ")
    assert {*FIELD.findall(rule["query"])} <= TYPED.keys()
    assert ("threshold" in rule) == (rule["type"] == "threshold")
    limits = rule.get("threshold", {"field": [], "cardinality": []})
    for name in [*limits["field"], *(one["field"] for one in limits["cardinality"])]:
        assert TYPED[name] in GROUPED
    mapped = [one["field"] for key in ("risk_score_mapping", "severity_mapping") for one in rule[key]]
    assert {TYPED[name] for name in mapped} <= NUMBERS


def test_ids_of_rules_are_unique():
    assert len({rule["rule_id"] for rule in RULES}) == len(RULES)


def test_a_severity_of_an_alarm_is_the_rules():
    (rule,) = (rule for rule in RULES if rule["rule_id"] == "tapscan-malicious-file")
    steps = {one["severity"]: one["value"] for one in rule["severity_mapping"]}
    assert steps == {"low": "21", "medium": "47", "high": "73", "critical": "99"}


@pytest.mark.parametrize("field", ["tapscan.nothing", "tapscan.verdicts", "message"])
def test_a_panel_of_a_field_that_can_not_be_shown_says_so(field):
    panel = {"title": "odd", "type": "table", "by": [{"terms": field}], "metrics": [{"count": "documents"}]}
    with pytest.raises(ValueError, match=rf"{field}: it is .*, which a panel can't group or count by"):
        lens.attributes(panel)


def test_a_metric_that_says_nothing_is_said():
    panel = {"title": "odd", "type": "metric", "metrics": [{"total": "file.size"}]}
    with pytest.raises(ValueError, match=r"'total': 'file.size'.*: says none of count, unique, .*, ratio"):
        lens.attributes(panel)


def test_a_table_is_ordered_by_a_column_that_can_be_an_order():
    """Not by a ratio or its parts, nor by a percentile; by name when nothing else is left."""
    ratio = {"ratio": [{"sum": "file.size"}, {"count": "documents"}], "label": "Share"}
    percentile = {"percentile": "file.size", "at": 99}
    for metrics, order in (
        ([ratio, percentile, {"count": "documents"}], {"columnId": "m2", "type": "column"}),
        ([ratio, percentile], {"fallback": True, "type": "alphabetical"}),
    ):
        panel = {"title": "", "type": "table", "by": [{"terms": "file.name"}], "metrics": metrics}
        layers = lens.attributes(panel)["state"]["datasourceStates"]["formBased"]["layers"]
        assert layers["layer"]["columns"]["b0"]["params"]["orderBy"] == order


def test_a_picture_has_a_box_for_each_panel():
    panels = [
        {"grid": [0, 4, 24, 6], "title": "One", "type": "pie"},
        {"grid": [24, 4, 24, 6], "title": "A title that is far too long for the box in which it stands"},
    ]
    assert kibana_grid.picture(panels) == [
        "+" + "-" * 47 + "+" + "-" * 47 + "+",
        "| One" + " " * 43 + "| A title that is far too long for the box in.. |",
        "| (pie)" + " " * 41 + "| (list)" + " " * 40 + "|",
        "+" + "-" * 47 + "+" + "-" * 47 + "+",
    ]


def test_the_panel_of_the_readme_is_one():
    (text,) = re.findall(r"```json\n(.*?)```", (ROOT / "kibana/README.md").read_text(), re.DOTALL)
    panel = json.loads(text)
    (operation, *_) = [
        column["operationType"]
        for column in lens.attributes(panel)["state"]["datasourceStates"]["formBased"]["layers"]["layer"][
            "columns"
        ].values()
    ]
    assert operation == "terms"
    assert panel["view"] in VIEWS


def test_every_word_of_a_panel_stands_in_the_readme():
    text = (ROOT / "kibana/README.md").read_text()
    used = {key for source in kibana.dashboards() for panel in source["panels"] for key in panel}
    assert {key for key in used - {"id", "title", "what"} if f"`{key}`" not in text} == set()
    shapes = {panel["shape"] for source in kibana.dashboards() for panel in source["panels"] if "shape" in panel}
    assert [word for word in {*lens.OPERATIONS, *lens.KINDS} if f"`{word}`" not in text] == []
    assert [shape for shape in shapes if shape not in text] == []


def test_what_leads_to_other_data_is_encoded():
    """A community ID has letters that mean something else in a URL: +, / and =."""
    urls = [
        drill["url"]
        for source in kibana.dashboards()
        for panel in source["panels"]
        for drill in panel.get("drill", ())
        if "url" in drill
    ]
    formats = [json.loads(one["fieldFormatMap"]) for one in VIEWS.values()]
    urls += [found["params"]["urlTemplate"] for format in formats for found in format.values() if found["id"] == "url"]
    assert len(urls) == 2
    for url in urls:
        assert "(index:'tapscan-network',query:(language:kuery,query:'network.community_id:%22{{" in url
        assert re.fullmatch(r"[^\s\"+]*", url.replace("encodeURIComponent event.value", "value"))


def test_rules_stand_in_the_readme():
    text = (ROOT / "kibana/README.md").read_text()
    assert [rule["name"] for rule in RULES if f"| {rule['name'].removeprefix('Tapscan: ')} |" not in text] == []

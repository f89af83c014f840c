"""What Kibana is given, against what Kibana asks of its saved objects. It can't run here: these are its rules."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

from manager import kibana, kibana_files, schema

ROOT = Path(__file__).parents[2]
OBJECTS = [json.loads(line) for line in (ROOT / "kibana/tapscan.ndjson").read_text().splitlines()]
BY_KEY = {(one["type"], one["id"]): one for one in OBJECTS}
TYPED = {field.name: field.type.partition("/")[0] for field in schema.fields()}
NESTED = tuple(f"{name}." for name, kind in TYPED.items() if kind == "nested")
SHOWN = {"lnsXY", "lnsMetric", "lnsPie", "lnsDatatable"}
NUMBERS = {"long", "double"}
GROUPED = {"keyword", "ip", "boolean"} | NUMBERS
FITS = {
    "terms": GROUPED,
    "date_histogram": {"date"},
    "unique_count": GROUPED | {"date"},
    "last_value": GROUPED | {"date"},
} | dict.fromkeys(("sum", "average", "median", "min", "max", "percentile"), NUMBERS)
FIELD = re.compile(r"([@a-z_][a-z0-9_.@]*) :")


def of(kind):
    return [one for one in OBJECTS if one["type"] == kind]


def each(kind):
    return pytest.mark.parametrize("one", of(kind), ids=lambda one: one["id"])


each_lens, each_dashboard, each_search = each("lens"), each("dashboard"), each("search")
each_object = pytest.mark.parametrize("one", OBJECTS, ids=lambda one: f"{one['type']} {one['id']}")


def panels(one):
    return json.loads(one["attributes"]["panelsJSON"])


def layer_of(one):
    (layer,) = one["attributes"]["state"]["datasourceStates"]["formBased"]["layers"].values()
    return layer


def strings(value):
    """All strings in it."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def queries(value):
    """All queries in it."""
    if isinstance(value, dict):
        if value.get("language") == "kuery":
            yield value["query"]
        for inner in value.values():
            yield from queries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from queries(inner)


def test_what_is_made_is_current():
    stale = [path.name for path, text in kibana_files.made(ROOT / "kibana").items() if path.read_text("utf-8") != text]
    assert stale == [], "make kibana"


def test_it_is_made_the_same_way_each_time():
    assert kibana.ndjson(kibana.objects()) == kibana.ndjson(kibana.objects())
    for line in (ROOT / "kibana/tapscan.ndjson").read_text().splitlines():
        assert line == json.dumps(json.loads(line), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def test_there_are_the_six_dashboards_and_each_leads_to_the_others():
    shown = [one["id"] for one in kibana.dashboards()]
    names = "overview", "flow", "engines", "coverage", "countermeasures", "sensor"
    assert shown == [f"tapscan-{name}" for name in names]
    for one in of("dashboard"):
        heading, *_ = panels(one)
        text = heading["embeddableConfig"]["savedVis"]["params"]["markdown"]
        assert re.match(r"\*\*.*\?\*\* ", text)
        assert set(re.findall(r"\(#/view/([a-z-]+)\)", text)) == {*shown} - {one["id"]}


def test_ids_are_unique_and_name_their_files():
    assert len(BY_KEY) == len(OBJECTS)
    for folder in ("objects", "rules"):
        for path in (ROOT / "kibana" / folder).glob("*.json"):
            source = json.loads(path.read_text())
            assert source.get("id", source.get("rule_id", path.stem)) == path.stem


@each_object
def test_versions_are_those_of_the_floor(one):
    versions = {"index-pattern": "8.0.0", "search": "8.0.0", "lens": "8.9.0", "dashboard": "8.9.0"}
    assert (one["coreMigrationVersion"], one["typeMigrationVersion"]) == ("8.8.0", versions[one["type"]])
    assert one.keys() == {*("attributes", "coreMigrationVersion", "id", "references", "type", "typeMigrationVersion")}


# What Kibana 8.9 has in the schemas of its saved objects. It refuses an object with anything else in it.
TIMES = {"timeRestore", "refreshInterval"}
KNOWN = {
    "index-pattern": {
        "title",
        "name",
        "timeFieldName",
        "fields",
        "fieldAttrs",
        "sourceFilters",
        "fieldFormatMap",
        "type",
    }
    | {"typeMeta", "allowNoIndex", "runtimeFieldMap"},
    "search": {"title", "description", "columns", "sort", "grid", "rowHeight", "rowsPerPage", "hideChart", "viewMode"}
    | {"isTextBasedQuery", "usesAdHocDataView", "hideAggregatedPreview", "breakdownField", kibana.META, "timeRange"}
    | TIMES,
    "lens": {"title", "description", "visualizationType", "state"},
    "dashboard": {"title", "description", kibana.META, "timeFrom", "timeTo", "controlGroupInput", "panelsJSON"}
    | {"optionsJSON", "version"}
    | TIMES,
}
CONTROLS = {"panelsJSON", "controlStyle", "chainingSystem", "ignoreParentSettingsJSON"}


@each_object
def test_attributes_are_those_that_kibana_knows(one):
    attributes = one["attributes"]
    assert attributes.keys() - KNOWN[one["type"]] == set()
    assert attributes.get(kibana.META, {}).keys() <= {"searchSourceJSON"}
    assert attributes.get("controlGroupInput", {}).keys() <= CONTROLS
    if one["type"] == "search":
        assert [len(each) for each in attributes["sort"]] == [2]
        assert attributes["grid"].keys() <= {"columns"}


@each_object
def test_references_resolve_and_are_used(one):
    named = [reference["name"] for reference in one["references"]]
    assert len(set(named)) == len(named)
    for reference in one["references"]:
        assert (reference["type"], reference["id"]) in BY_KEY
    assert sorted(named) == sorted(wanted(one))


def wanted(one):
    """The names of the references that an object asks for."""
    if one["type"] == "search":
        return [json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["indexRefName"]]
    if one["type"] == "lens":
        layers = one["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]
        return [f"indexpattern-datasource-layer-{name}" for name in layers]
    return [*of_a_dashboard(one)] if one["type"] == "dashboard" else []


def of_a_dashboard(one):
    source = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    yield from (kept["meta"]["indexRefName"] for kept in source["filter"])
    controls = json.loads(one["attributes"].get("controlGroupInput", {"panelsJSON": "{}"})["panelsJSON"])
    yield from (f"controlGroup_{name}:optionsListDataView" for name in controls)
    for panel in panels(one):
        if "panelRefName" in panel:
            yield f"{panel['panelIndex']}:{panel['panelRefName']}"
        for event in panel["embeddableConfig"]["enhancements"].get("dynamicActions", {"events": []})["events"]:
            if (kind := event["action"]["factoryId"]) == "DASHBOARD_TO_DASHBOARD_DRILLDOWN":
                yield f"{panel['panelIndex']}:drilldown:{kind}:{event['eventId']}:dashboardId"


def test_every_panel_and_search_is_on_a_dashboard():
    shown = {(reference["type"], reference["id"]) for one in of("dashboard") for reference in one["references"]}
    assert {key for key in BY_KEY if key[0] in ("lens", "search")} - shown <= {("search", "tapscan-search-alarms")}


@each_object
def test_what_has_to_be_a_string_is_one_and_holds_json(one):
    attributes = one["attributes"]
    for key in {"panelsJSON", "optionsJSON", "fieldFormatMap", "fields", "runtimeFieldMap"} & attributes.keys():
        json.loads(attributes[key])
    if one["type"] in ("dashboard", "search"):
        json.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    if "controlGroupInput" in attributes:
        json.loads(attributes["controlGroupInput"]["panelsJSON"])
        json.loads(attributes["controlGroupInput"]["ignoreParentSettingsJSON"])
    if one["type"] == "lens":
        assert isinstance(attributes["state"], dict)


@each_dashboard
def test_panels_stand_beside_each_other(one):
    grids = [panel["gridData"] for panel in panels(one)]
    for panel in panels(one):
        assert panel["gridData"]["i"] == panel["panelIndex"]
        assert panel["version"] == "8.9.0"
    for grid in grids:
        assert grid["x"] in range(48 - grid["w"] + 1)
        assert grid["y"] % 2 == grid["h"] % 2 == 0, "the drawing in README has a line for two rows"
    for a, b in combinations(grids, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], (a["i"], b["i"])


@each_dashboard
def test_panels_leave_no_gaps(one):
    grids = [panel["gridData"] for panel in panels(one)]
    bottom = max(grid["y"] + grid["h"] for grid in grids)
    assert sum(grid["w"] * grid["h"] for grid in grids) == 48 * bottom


@each_dashboard
def test_dashboards_filter_for_our_documents(one):
    (kept,) = json.loads(one["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["filter"]
    assert kept["query"] == {"match_phrase": {"event.module": "tapscan"}}


@each_lens
def test_columns_are_in_order(one):
    layer = layer_of(one)
    columns = [layer["columns"][key] for key in layer["columnOrder"]]
    assert len(columns) == len(layer["columns"])
    assert [column["isBucketed"] for column in columns] == sorted(
        (column["isBucketed"] for column in columns), reverse=True
    )


@each_lens
def test_every_accessor_and_order_is_a_column(one):
    assert one["attributes"]["visualizationType"] in SHOWN
    columns = layer_of(one)["columns"]
    shown = [text for text in strings(one["attributes"]["state"]["visualization"]) if re.fullmatch(r"[bm]\d\w*", text)]
    assert shown
    assert {*shown} <= columns.keys()
    for column in columns.values():
        order = column["params"].get("orderBy", {})
        assert order.get("type") != "column" or not columns[order["columnId"]]["isBucketed"]
        assert {*column.get("references", ())} <= columns.keys()


@each_lens
def test_every_column_is_shown_or_part_of_a_formula(one):
    columns = layer_of(one)["columns"]
    shown = {*strings(one["attributes"]["state"]["visualization"])}
    parts = {part for column in columns.values() for part in column.get("references", ())}
    assert columns.keys() - shown == parts


@each_lens
def test_operations_fit_their_fields(one):
    for column in layer_of(one)["columns"].values():
        if column["operationType"] in FITS:
            assert TYPED[column["sourceField"]] in FITS[column["operationType"]], column["label"]
        elif column["operationType"] == "count":
            assert column["sourceField"] == "___records___"
        else:
            assert column["operationType"] in ("filters", "formula", "math")
            assert "sourceField" not in column


@each_lens
def test_formulas_are_what_their_parts_compute(one):
    columns = layer_of(one)["columns"]
    for column in columns.values():
        if column["operationType"] == "formula":
            (root,) = column["references"]
            tree = columns[root]["params"]["tinymathAst"]
            assert tree["text"] == column["params"]["formula"]
            assert tree["args"] == columns[root]["references"]
            named = re.findall(r"(?:^|/)([a-z_]+)\(", tree["text"])
            assert [columns[part]["operationType"] for part in tree["args"]] == named


@each_lens
def test_no_panel_needs_a_nested_field(one):
    fields = [column["sourceField"] for column in layer_of(one)["columns"].values() if "sourceField" in column]
    fields += [name for query in queries(one) for name in FIELD.findall(query)]
    assert [name for name in fields if name != "___records___" and name not in TYPED] == []
    assert [name for name in fields if name.startswith(NESTED) or TYPED.get(name) == "nested"] == []


@each_search
def test_columns_of_searches_exist(one):
    assert {*one["attributes"]["columns"]} <= {name for name, kind in TYPED.items() if kind != "nested"}
    assert all(TYPED[name] for query in queries(one) for name in FIELD.findall(query))


@each_dashboard
def test_controls_choose_from_fields_that_can_be_listed(one):
    controls = json.loads(one["attributes"].get("controlGroupInput", {"panelsJSON": "{}"})["panelsJSON"])
    assert (len(controls) == 4) == (one["id"] == "tapscan-flow")
    for control in controls.values():
        assert TYPED[control["explicitInput"]["fieldName"]] in GROUPED


def test_views_of_streams_match_what_the_templates_make():
    made = {pattern for template in schema.templates() for pattern in template.body.get("index_patterns", ())}
    for one in of("index-pattern"):
        title = one["attributes"]["title"]
        assert title in made | {"logs-tapscan.*"} or one["id"] == "tapscan-network"
        assert {*json.loads(one["attributes"]["fieldFormatMap"])} <= TYPED.keys()

"""Every panel and every rule, asked of a real server that has the documents of a real scan and of a sensor."""

import copy
import json
import secrets
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from capture import make
from elastic import VERSIONS
from kibana_queries import in_namespace, over_threshold, query_of, request_of, rows_of, store, threshold_of
from nouns import an_action
from sensing import ROOT, TAPSCAN

from engines.status import EngineStatus, HostStatus
from manager import kibana, schema
from manager.ecs import line
from manager.elastic_setup import Asked, set_up
from manager.events import Documents
from manager.observer import Observer

CASES = ROOT / "tests" / "cases"
OBJECTS = [json.loads(text) for text in (ROOT / "kibana/tapscan.ndjson").read_text().splitlines()]
RULES = [json.loads(text) for text in (ROOT / "kibana/rules.ndjson").read_text().splitlines()]
LENSES = {one["id"]: one for one in OBJECTS if one["type"] == "lens"}
SEARCHES = {one["id"]: one for one in OBJECTS if one["type"] == "search"}
TYPED = {field.name: field.type.partition("/")[0] for field in schema.fields()}
VIEWS = {one["id"]: one["attributes"]["title"] for one in OBJECTS if one["type"] == "index-pattern"}
OURS = {"match_phrase": {"event.module": "tapscan"}}
ZERO = {  # that there were none is known, too
    "tapscan.coverage.lost_bytes",
    "tapscan.coverage.unscanned_objects",
    "tapscan.engine.queue",
    "tapscan.engine.silent",
    "tapscan.host.drained",
    "tapscan.sensor.flows",
    "tapscan.sensor.ledger_failed",
    "tapscan.sensor.lost_bytes",
    "tapscan.sensor.lost_packets",
}

# Three engines: one finds more than the starter rules and not all that they do, one never answers as it should.
SETTINGS = """
[[engine]]
name = "yara"
kind = "yara"

[[engine]]
name = "acme"
kind = "yara"
starter = false
rules = ["acme.yar"]

[[engine]]
name = "broken"
kind = "command"
argv = ["/bin/false", "{file}"]
clean = [0]
malicious = [2]
"""
ACME = """
rule acme_test_file { strings: $a = "EICAR-STANDARD-ANTIVIRUS-TEST-FILE" condition: $a and filesize < 100 }
rule acme_picture { condition: uint32be(0) == 0x47494638 }
"""


def printed(folder, *words):
    done = subprocess.run(
        [*TAPSCAN, *words, "--json", "--config", "tapscan.toml"],
        cwd=folder,
        capture_output=True,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/bin:/bin",
            "XDG_CACHE_HOME": str(folder),
            "XDG_STATE_HOME": str(folder),
        },
        check=False,
    )
    assert done.returncode in (0, 1, 2), done.stderr
    return [json.loads(text) for text in done.stdout.splitlines()]


def of(documents, dataset):
    return [one for one in documents if one["event"]["dataset"] == f"tapscan.{dataset}"]


def stopped(alarm):
    """A later revision of an alarm, of a flow that was stopped."""
    later = copy.deepcopy(alarm)
    later["event"] |= {"id": f"{alarm['event']['id']}s", "type": ["info", "denied"]}
    later["tapscan"]["alarm"]["revision"] += 1
    return later


def actions():
    """Countermeasures: two that were to stop a flow, and what doesn't count for the stop rate."""
    make_one = Documents(Observer())
    wide = {"latency": 1_500_000, "bytes_total": 1000}
    made = (
        an_action(id="1", bytes_delivered=250, **wide),
        an_action(id="2", outcome="late", bytes_delivered=1000, **wide),
        an_action(id="3", outcome="observed", mode="observe"),
        an_action(id="4", outcome="failed", kind="webhook", reason="503"),
    )
    return [json.loads(line(make_one.action(one))) for one in made]


@pytest.fixture(scope="module")
def documents():
    """Of all cases as a scan prints them; the minutes of a sensor; what the contract says of what is still to come."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tapscan.toml").write_text(SETTINGS)
        (folder / "acme.yar").write_text(ACME)
        for case in sorted(path.parent for path in CASES.glob("*/make.py")):
            make(case, folder / f"{case.name}.pcap")
        found = printed(folder, "scan", *sorted(path.name for path in folder.glob("*.pcap")))
        found += of(printed(folder, "sensor", "--replay", "demo.pcap", "--speed", "0"), "sensor")
    alarms = of(found, "alarm")
    return [
        *found,
        stopped(alarms[0]),
        *actions(),
        *of_hosts(),
    ]


def of_hosts():
    make_one = Documents(Observer())
    engine = EngineStatus("yara", 2, 0, "4.5", "1", 100, 1, objects_s=12.5, mb_s=3.0, median_ms=2.0, p99_ms=9.0)
    made = (
        make_one.health(1_700_000_000_000_000_000, "packets are lost"),
        make_one.scan_host(HostStatus("b", "10.0.0.2", None, False), engine),
    )
    return [json.loads(line(one)) for one in made]


@pytest.fixture(scope="module")
def asked(elastic, documents):
    """Asks a data view; its answer, of these documents only."""
    assert set_up(Asked(elastic.url), "strict") == 0
    namespace = f"t{secrets.token_hex(6)}"
    store(elastic, documents, namespace)
    set_up(Asked(elastic.url))
    return lambda index, body: elastic.ask("POST", f"/{in_namespace(index, namespace)}/_search", body)


def view_of(one):
    (reference,) = one["references"]
    return VIEWS[reference["id"]]


@pytest.fixture
def shows(asked):
    """What a panel shows."""
    return lambda name: rows_of(LENSES[name], asked(view_of(LENSES[name]), request_of(LENSES[name], [OURS])))


one_server = pytest.mark.parametrize("elastic", list(VERSIONS)[:1], indirect=True)


@one_server
@pytest.mark.parametrize("name", LENSES)
def test_every_panel_shows_something(shows, name):
    rows = shows(name)
    assert rows
    columns = LENSES[name]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]["columns"]
    for key in rows[0][1]:
        values = [values[key] for _, values in rows]
        counted = columns.get(f"{key}X0", columns[key])["sourceField"]  # of a ratio: its numerator
        assert any(value is not None if counted in ZERO else value for value in values), columns[key]["label"]


@one_server
@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_finds_something(asked, name):
    search = SEARCHES[name]
    source = json.loads(search["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    body = {"query": query_of(source["query"]["query"]), "fields": search["attributes"]["columns"], "size": 1000}
    hits = asked(view_of(search), body)["hits"]["hits"]
    shown = {field for hit in hits for field in hit["fields"]}
    assert shown >= {*search["attributes"]["columns"]}


@one_server
@pytest.mark.parametrize("name", [*LENSES, *SEARCHES])
def test_every_field_has_its_type_in_what_the_templates_make(elastic, asked, name):
    one = LENSES.get(name) or SEARCHES[name]
    stream = view_of(one).replace("logs-tapscan.*", "logs-tapscan.object-*").replace("*", "x")
    made = elastic.ask("POST", f"/_index_template/_simulate_index/{stream}")["template"]["mappings"]["properties"]
    for field in fields_of(one):
        assert type_of(made, field) == TYPED[field], field


def fields_of(one):
    yield from one["attributes"].get("columns", ())
    layers = one["attributes"].get("state", {}).get("datasourceStates", {}).get("formBased", {}).get("layers", {})
    for column in (column for layer in layers.values() for column in layer["columns"].values()):
        if column.get("sourceField", "___records___") != "___records___":
            yield column["sourceField"]


def type_of(properties, field):
    *parents, leaf = field.split(".")
    for parent in parents:
        assert properties[parent].get("type", "object") == "object"
        properties = properties[parent]["properties"]
    return properties[leaf]["type"]


@one_server
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["rule_id"])
def test_every_rule_can_be_asked(asked, rule):
    assert asked(",".join(rule["index"]), threshold_of(rule))["hits"]["total"]["value"] > 0


@one_server
def test_alarms_are_counted_once_whatever_their_revisions(shows, documents):
    alarms = of(documents, "alarm")
    known = len({one["tapscan"]["alarm"]["id"] for one in alarms})
    assert len(alarms) == known + 1
    assert shows("tapscan-overview-alarms") == [((), {"m0": known})]
    assert shows("tapscan-overview-stopped") == [((), {"m0": 1})]
    assert shows("tapscan-overview-share") == [((), {"m0": 1 / known})]


@one_server
def test_the_stop_rate_is_of_flows_that_were_to_be_stopped(shows):
    assert shows("tapscan-countermeasures-actions") == [((), {"m0": 4})]
    assert shows("tapscan-countermeasures-rate") == [((), {"m0": 0.5})]


@one_server
def test_objects_by_protocol_are_those_of_the_scan(shows, documents):
    known = Counter(one["network"]["protocol"] for one in of(documents, "object"))
    assert {protocol: values["m0"] for (protocol,), values in shows("tapscan-flow-protocols")} == known
    assert shows("tapscan-flow-objects") == [((), {"m0": known.total()})]


@one_server
def test_bytes_unscanned_are_those_of_the_ledger(shows, documents):
    rows = [one["tapscan"]["coverage"] for one in of(documents, "coverage")]
    total = sum(row.get("unscanned_bytes", 0) for row in rows)
    assert total > 0
    assert shows("tapscan-coverage-unscanned") == [((), {"m0": total})]
    assert shows("tapscan-coverage-share") == [((), {"m0": total / sum(row.get("bytes", 0) for row in rows)})]
    known = Counter()
    for row in rows:
        known[row.get("reason")] += row.get("unscanned_bytes", 0)
    del known[None]
    assert {reason: values["m0"] for (reason,), values in shows("tapscan-coverage-reasons")} == known


def found_by(documents):
    return [{*one["tapscan"].get("engines", {}).get("malicious", ())} for one in of(documents, "object")]


@one_server
def test_finds_of_one_engine_alone_are_known(shows, documents):
    known = Counter(engine for found in found_by(documents) if len(found) == 1 for engine in found)
    assert known.keys() == {"yara", "acme"}
    assert {engine: values["m0"] for (engine,), values in shows("tapscan-engines-unique")} == known


@one_server
def test_the_matrix_of_agreement_is_right(shows, documents):
    known = Counter((a, b) for found in found_by(documents) for a in found for b in found)
    assert known["yara", "acme"] > 0
    assert {keys: values["m0"] for keys, values in shows("tapscan-engines-matrix")} == known


@one_server
def test_countermeasures_are_summed_up(shows):
    assert shows("tapscan-countermeasures-rate") == [((), {"m0": 0.5})]
    assert shows("tapscan-countermeasures-delivered") == [((), {"m0": 1250})]
    assert shows("tapscan-countermeasures-share") == [((), {"m0": 0.625})]


@one_server
def test_packets_of_a_sensor_are_those_of_its_minutes(shows, documents):
    known = sum(one["tapscan"]["sensor"]["packets"] for one in of(documents, "sensor") if "sensor" in one["tapscan"])
    assert known > 0
    assert shows("tapscan-sensor-packets") == [((), {"m0": known})]


DRILLS = [
    (f"{source['id']}-{panel['id']}", drill["dashboard"])
    for source in kibana.dashboards()
    for panel in source["panels"]
    for drill in panel.get("drill", ())
    if "dashboard" in drill
]


@one_server
@pytest.mark.parametrize(("name", "to"), DRILLS)
def test_a_click_leads_to_a_dashboard_that_has_something(asked, shows, name, to):
    (values, _) = shows(name)[0]
    layer = LENSES[name]["attributes"]["state"]["datasourceStates"]["formBased"]["layers"]["layer"]
    fields = [layer["columns"][key]["sourceField"] for key in layer["columnOrder"][: len(values)]]
    clicked = [{"term": {field: value}} for field, value in zip(fields, values, strict=True)]
    shown = [one for one in LENSES if one.startswith(f"{to}-")]
    empty = []
    for panel in shown:
        answer = asked(view_of(LENSES[panel]), request_of(LENSES[panel], [OURS, *clicked]))
        empty += [panel] if answer["hits"]["total"]["value"] == 0 else []
    assert {*empty} <= {"tapscan-flow-found", "tapscan-flow-engines"}, "all but what was found, where nothing was"


def many(alarm, count, **more):
    """The same file, sent again and again to somebody else."""
    for number in range(count):
        one = copy.deepcopy(alarm)
        one["event"] |= {"id": f"{number}"} | more
        one["tapscan"]["alarm"] |= {"id": f"{number}", "recipients": [f"r{number}@example.org"]}
        yield one


@one_server
@pytest.mark.parametrize(
    ("name", "least", "field"),
    [("same-file-many-receivers", 3, "file.hash.sha256"), ("mail-many-recipients", 10, "tapscan.alarm.sender")],
)
def test_a_threshold_is_reached_with_its_number_and_not_before(elastic, documents, namespace, name, least, field):
    (rule,) = (rule for rule in RULES if rule["rule_id"] == f"tapscan-{name}")
    assert rule["threshold"]["field"] == [field]
    alarm = of(documents, "alarm")[0]
    found = []
    for count in (least - 1, least):
        own = f"{namespace}{count}"
        store(elastic, many(alarm, count, category=["malware", "email"]), own)
        answer = elastic.ask("POST", f"/{in_namespace(','.join(rule['index']), own)}/_search", threshold_of(rule))
        found.append(len(over_threshold(rule, answer)))
    assert found == [0, 1]


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("", {"match_all": {}}),
        ("a : 1", {"match": {"a": "1"}}),
        ("a.b : *", {"exists": {"field": "a.b"}}),
        ("a : *+*", {"wildcard": {"a": {"value": "*+*"}}}),
        ("not a : 1", {"bool": {"must_not": [{"match": {"a": "1"}}]}}),
        ("a : 1 and b : 2", {"bool": {"filter": [{"match": {"a": "1"}}, {"match": {"b": "2"}}]}}),
    ],
)
def test_queries_of_kibana_are_read(text, query):
    assert query_of(text) == query


def test_and_binds_closer_than_or_and_parentheses_closer_than_both():
    (first, second) = query_of("a : 1 and b : 2 or c : 3")["bool"]["should"]
    assert second == {"match": {"c": "3"}}
    assert len(first["bool"]["filter"]) == 2
    (_, inner) = query_of("a : 1 and (b : 2 or c : 3)")["bool"]["filter"]
    assert len(inner["bool"]["should"]) == 2


@pytest.mark.parametrize("text", ["a", "a : ", "a > 1", "a : 1 b : 2", "(a : 1", 'a : "b c"', "a : 1)"])
def test_what_is_more_than_that_is_refused(text):
    with pytest.raises((ValueError, IndexError)):
        query_of(text)

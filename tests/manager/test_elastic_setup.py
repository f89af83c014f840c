"""`tapscan elastic setup` against real servers of both versions; every kind of document stored where nothing unknown is
taken."""

import json
import re
import urllib.error
from pathlib import Path

import pytest
from capture import make, maker
from elastic import USERS
from hypothesis import HealthCheck, Phase, given, settings
from made import documents
from sensing import documents as read

from manager import schema
from manager.cli import do
from manager.elastic_setup import Asked, _role_as_put, differences, mapped_otherwise, refusal, set_up

CASES = Path(__file__).parents[1] / "cases"
COMPONENTS = ["tapscan@settings", "tapscan@ecs", "tapscan@own"]
BETTER = [f"tapscan@{kind}" for kind in schema.BETTER]
STREAM = re.compile(r"(logs|metrics)-tapscan\.\w+-")
INDEXES = [one.name for one in schema.templates() if one.kind == "index"]


@pytest.fixture
def setup(elastic, namespace, capfd):
    """Does the command; its exit code and lines, without those about streams of other tests."""

    def call(*words):
        capfd.readouterr()
        code = do(["elastic", "setup", elastic.url, *words])
        lines = capfd.readouterr().out.splitlines()
        return code, [line for line in lines if namespace in line or not STREAM.match(line)]

    return call


@pytest.fixture
def strict(elastic):
    """A server that refuses what isn't declared."""
    assert set_up(Asked(elastic.url), "strict") == 0
    yield elastic
    set_up(Asked(elastic.url))


def stored(server, every, namespace):
    """Stores documents in their streams as they are; those that are refused, with the reason."""
    lines = []
    for one in every:
        stream = f"{one['data_stream']['type']}-{one['event']['dataset']}-{namespace}"
        lines += [{"create": {"_index": stream}}]
        lines += [one | {"data_stream": one["data_stream"] | {"namespace": namespace}}]
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    answer = server.ask("POST", "/_bulk", body)
    return [item["create"]["error"] for item in answer["items"] if "error" in item["create"]]


def a_document(dataset="object", **more):
    kind = "metrics" if dataset in schema.METRICS else "logs"
    event = {"id": "1", "dataset": f"tapscan.{dataset}"}
    return {"@timestamp": "2024-02-29T12:00:00Z", "event": event, "data_stream": {"type": kind}} | more


def drop(elastic):
    """As if no setup had ever been. Streams can't be deleted here; this template is one that they may have instead."""
    body = {"index_patterns": list(schema.STREAMS), "priority": 1, "data_stream": {}}
    elastic.ask("PUT", "/_index_template/plain", body)
    for kind, names in (("index", INDEXES), ("component", COMPONENTS)):
        for name in names:
            try:
                elastic.ask("DELETE", f"/_{kind}_template/{name}")
            except urllib.error.HTTPError as error:
                error.close()  # there is none


def test_it_makes_everything_once(elastic, setup):
    drop(elastic)
    code, lines = setup()
    assert code == 0
    made = [line.removesuffix(": made") for line in lines if line.endswith(": made")]
    assert made == [*COMPONENTS, *INDEXES]
    assert [line for line in lines if "made" not in line] == [
        *(f"{name}: left out, this server does not take it" for name in BETTER),
        "role tapscan_writer: left out, this server has no security",
    ]
    code, again = setup()
    assert code == 0
    assert [line.replace("left as it is", "made") for line in again] == lines


def test_check_finds_no_drift_after_setup(elastic, setup, namespace):
    setup()
    assert stored(elastic, [a_document(), a_document("sensor")], namespace) == []
    assert setup("--check") == (0, ["no difference"])


def test_check_says_what_is_missing(elastic, setup):
    drop(elastic)
    code, lines = setup("--check")
    assert code == 2
    assert lines == [f"{name}: missing" for name in [*COMPONENTS, *INDEXES]]
    setup()


def test_a_changed_template_is_drift_and_put_right(elastic, setup):
    setup()
    body = json.loads(json.dumps(next(one.body for one in schema.templates() if one.name == schema.ECS)))
    body["template"]["mappings"]["properties"]["source"]["properties"]["ip"] = {"type": "keyword"}
    elastic.ask("PUT", f"/_component_template/{schema.ECS}", body)
    key = "template.mappings.properties.source.properties.ip.type"
    assert setup("--check") == (2, [f"tapscan@ecs: {key}: keyword there, ip here"])
    assert "tapscan@ecs: changed" in setup()[1]
    assert setup("--check") == (0, ["no difference"])


def test_streams_with_an_older_mapping_are_rolled_over(elastic, setup, namespace):
    setup()
    stream = f"logs-tapscan.object-{namespace}"
    assert stored(elastic, [a_document()], namespace) == []
    elastic.ask("PUT", f"/{stream}/_mapping", {"properties": {"tapscan": {"properties": {"mine": {"type": "long"}}}}})
    code, lines = setup("--check")
    assert code == 2
    assert lines == [f"{stream}: its newest index was made by other templates: tapscan.mine.type"]
    _, lines = setup()
    assert f"{stream}: rolled over, so that the new templates hold from now on" in lines
    assert setup("--check") == (0, ["no difference"])
    assert elastic.documents(stream)  # what was there is there


def test_own_components_are_left_alone_and_hold(elastic, setup, namespace):
    setup()
    own = {"template": {"mappings": {"properties": {"labels": {"properties": {"site": {"type": "keyword"}}}}}}}
    elastic.ask("PUT", "/_component_template/logs-tapscan.object@custom", own)
    try:
        setup()
        assert setup("--check") == (0, ["no difference"])
        assert stored(elastic, [a_document(labels={"site": "cellar"})], namespace) == []
        stream = f"logs-tapscan.object-{namespace}"
        (index,) = elastic.ask("GET", f"/{stream}/_mapping").values()
        assert index["mappings"]["properties"]["labels"]["properties"]["site"] == {"type": "keyword"}
    finally:
        drop(elastic)
        elastic.ask("DELETE", "/_component_template/logs-tapscan.object@custom")


def test_retention_is_set_and_outlives_the_next_setup(elastic, setup):
    drop(elastic)
    setup("--retention", "object=30d", "--retention", "sensor=7")
    assert "logs-tapscan.object: left as it is" in setup()[1]
    assert setup("--check") == (0, ["no difference"])
    assert setup("--check", "--retention", "object=90d")[0] == 2
    assert days(elastic, "logs-tapscan.object") == "30d"
    assert days(elastic, "metrics-tapscan.sensor") == "7d"
    assert days(elastic, "logs-tapscan.alarm") == "400d"
    assert "logs-tapscan.object: changed" in setup("--retention", "object=90d", "--retention", "sensor=30")[1]


def days(elastic, name):
    (found,) = elastic.ask("GET", f"/_index_template/{name}")["index_templates"]
    return found["index_template"]["template"]["lifecycle"]["data_retention"]


def test_our_templates_win_over_those_of_the_server(elastic, setup):
    elastic.ask("PUT", "/_index_template/logs", {"index_patterns": ["logs-*-*"], "priority": 100, "data_stream": {}})
    setup()
    made = elastic.ask("POST", "/_index_template/_simulate_index/logs-tapscan.alarm-default")["template"]
    assert made["mappings"]["dynamic"] == "false"
    assert made["mappings"]["properties"]["tapscan"]["properties"]["alarm"]["properties"]["objects"]["type"] == "nested"
    assert made["lifecycle"]["data_retention"] == "400d"


def test_a_value_of_a_wrong_type_costs_its_field_alone(elastic, setup, namespace):
    setup()
    odd = a_document(source={"ip": "somewhere", "port": 80}, tapscan={"new": {"field": 1}})
    assert stored(elastic, [odd], namespace) == []
    stream = f"logs-tapscan.object-{namespace}"
    assert next(iter(elastic.documents(stream).values()))["source"]["ip"] == "somewhere"
    (index,) = elastic.ask("GET", f"/{stream}/_mapping").values()
    assert "new" not in index["mappings"]["properties"]["tapscan"]["properties"]


def test_strict_servers_refuse_what_is_not_declared(strict, namespace):
    errors = stored(strict, [a_document(tapscan={"new": 1}), a_document(source={"ip": "somewhere"})], namespace)
    assert [error["type"] for error in errors] == ["strict_dynamic_mapping_exception", "document_parsing_exception"]


def test_documents_of_all_cases_are_stored_by_a_strict_server(strict, namespace, tmp_path, tapscan):
    every = []
    for case in sorted(path.parent for path in CASES.glob("*/make.py")):
        make(case, tmp_path / "input.pcap")
        command = getattr(maker(case), "COMMAND", "extract")
        every += read(tapscan(command, "--json", "--config", CASES / "tapscan.toml", "input.pcap").stdout)
    assert {one["event"]["dataset"] for one in every} >= {"tapscan.object", "tapscan.alarm", "tapscan.coverage"}
    assert stored(strict, every, namespace) == []


@settings(
    max_examples=15,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(documents())
def test_documents_of_any_nouns_are_stored_by_a_strict_server(strict, namespace, every):
    assert stored(strict, every, namespace) == []


def test_a_server_without_lifecycle_management_is_told_of_none(setup):
    code, lines = setup("--ilm", "tapscan-90-days")
    assert code == 0
    assert "tapscan@ilm: left out, this server does not take it" in lines
    assert setup("--check", "--ilm", "tapscan-90-days")[0] == 0


def test_a_lifecycle_policy_holds_for_all_streams(capfd):
    assert do(["elastic", "setup", "--dry-run", "--ilm", "mine"]) == 0
    told = json.loads(capfd.readouterr().out)
    made = told["PUT /_component_template/tapscan@ilm"]["template"]
    assert made == {"settings": {"index": {"lifecycle": {"name": "mine"}}}}
    indexes = [body for path, body in told.items() if path.startswith("PUT /_index_template/")]
    assert len(indexes) == 8
    assert all("tapscan@ilm" in body["composed_of"] for body in indexes)


def test_dry_run_prints_what_would_be_sent_and_asks_nobody(capfd):
    assert do(["elastic", "setup", "--dry-run", "--retention", "alarm=10d"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert list(told)[:4] == [f"PUT /_component_template/{name}" for name in [*COMPONENTS]] + [
        "PUT /_index_template/logs-tapscan.object"
    ]
    assert told["PUT /_index_template/logs-tapscan.alarm"]["template"]["lifecycle"] == {"data_retention": "10d"}
    assert told["PUT /_security/role/tapscan_writer"]["indices"][0]["privileges"] == ["create_doc", "auto_configure"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no Elasticsearch: name its URL"),
        (["http://127.0.0.1:1"], "http://127.0.0.1:1: can't be reached"),
        (["nonsense"], "elasticsearch.urls"),
        (["--retention", "objects=3d"], "'objects=3d' won't do"),
        (["--retention", "object=0"], "'object=0' won't do"),
        (["--retention", "object=soon"], "'object=soon' won't do"),
    ],
)
def test_bad_usage_is_one_line(tapscan, words, said):
    done = tapscan("elastic", "setup", *words)
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert said in line


def test_who_is_not_known_or_may_not_is_told(secured, tapscan):
    done = tapscan("elastic", "setup", secured.url)
    assert done.returncode == 2
    assert "it doesn't know who we are" in done.stderr.decode()
    (line,) = by(secured, tapscan, "tapscan").stderr.decode().splitlines()
    assert "may not do this" in line
    assert "manage_index_templates" in line


def test_a_role_that_can_not_be_made_is_a_line_and_no_failure(secured, tapscan):
    done = by(secured, tapscan, "admin")
    assert (done.returncode, done.stderr) == (0, b"")
    (line,) = [line for line in done.stdout.decode().splitlines() if line.startswith("role ")]
    assert line.startswith("role tapscan_writer: not made, it answered 400")  # this server lacks a part for it


def by(secured, tapscan, user):
    config = f'[elasticsearch]\nurls = ["{secured.url}"]\nusername = "{user}"\n'
    path = Path(secured.folder) / f"{user}.toml"
    path.write_text(config)
    path.chmod(0o644)
    return tapscan("elastic", "setup", "--config", path, TAPSCAN_ELASTICSEARCH_PASSWORD=USERS[user][1])


def test_a_writer_may_add_and_nothing_else(secured, tapscan, namespace):
    by(secured, tapscan, "admin")
    stream = f"logs-tapscan.object-{namespace}"
    document = json.dumps(a_document()).encode()
    secured.ask("PUT", f"/{stream}/_create/1", document, user="tapscan")
    for method, path in (("GET", f"/{stream}/_search"), ("DELETE", f"/{stream}/_doc/1")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            secured.ask(method, path, user="tapscan")
        assert refused.value.code == 403
        refused.value.close()


def test_a_role_that_is_there_is_compared():
    role = schema.role()
    indices = [role.body["indices"][0] | {"allow_restricted_indices": False}]
    there = _role_as_put({"cluster": ["monitor"], "indices": indices, "applications": [], "transient_metadata": {}})
    assert [*differences(role, there)] == []
    there["cluster"] = ["all"]
    assert [*differences(role, there)] == ['tapscan_writer: cluster: ["all"] there, ["monitor"] here']


def test_what_a_document_gives_a_constant_is_no_other_mapping():
    """As servers with that type have it; those of the tests lack it."""
    new = {"properties": {"type": {"type": "constant_keyword"}, "a": {"properties": {"value": {"type": "long"}}}}}
    old = json.loads(json.dumps(new))
    old["properties"]["type"]["value"] = "logs"
    assert mapped_otherwise(old, new) == []
    old["properties"]["a"]["properties"]["value"]["type"] = "keyword"
    assert mapped_otherwise(old, new) == ["a.value.type"]


def test_refusals_are_lines():
    assert refusal(500, {"error": {"reason": "broken"}}) == "it answered 500: broken"
    assert refusal(502, "Bad Gateway") == "it answered 502: Bad Gateway"
    assert refusal(400, {"error": "no handler found"}) == "it answered 400: no handler found"

"""One bulk request to a real server, and what its answers mean."""

import json

import pytest

from manager.bulk import Bulk, Later, Refused, judged
from manager.dead_letters import record
from manager.elastic_client import client
from manager.settings import ElasticsearchSettings

PROPERTIES = {"@timestamp": {"type": "date"}, "event": {"properties": {"id": {"type": "keyword"}}}}
TIME = "2026-11-25T12:00:00.000000Z"


@pytest.fixture
def stream(elastic, namespace):
    """A data stream in which `size` is a number."""
    name = f"logs-tests.bulk-{namespace}"
    properties = PROPERTIES | {"size": {"type": "long"}}
    body = {
        "index_patterns": [name],
        "data_stream": {},
        "priority": 600,
        "template": {"mappings": {"dynamic": False, "properties": properties}},
    }
    elastic.ask("PUT", f"/_index_template/{namespace}", body)
    return name


@pytest.fixture
def bulk(elastic):
    with client(ElasticsearchSettings(urls=(elastic.url,))) as server:
        yield Bulk(server)


def made(stream, number, **more):
    document = {"@timestamp": TIME, "event": {"id": str(number)}, "size": number} | more
    return record(stream, str(number), json.dumps(document).encode())


def test_what_is_sent_twice_is_stored_once(elastic, stream, bulk):
    records = [made(stream, number) for number in range(100)]
    assert (bulk.send(records).stored, bulk.send(records).before) == (100, 100)
    assert sorted(map(int, elastic.documents(stream))) == list(range(100))


def test_a_bad_document_costs_itself_alone(elastic, stream, bulk):
    bad = made(stream, 7, size="as large as a house")
    outcome = bulk.send([made(stream, 1), bad, made(stream, 2)])
    assert outcome.stored == 2
    assert [(one.record, one.status) for one in outcome.dead] == [(bad, 400)]
    assert "size" in outcome.dead[0].reason
    assert sorted(elastic.documents(stream)) == ["1", "2"]


def test_json_that_is_none_costs_itself_alone(elastic, stream, bulk):
    outcome = bulk.send([made(stream, 1), record(stream, "2", b'{"@timestamp": '), made(stream, 3)])
    assert (outcome.stored, [one.record.document for one in outcome.dead]) == (2, [b'{"@timestamp": '])


def test_without_a_template_nothing_is_stored_anywhere(elastic, namespace, bulk):
    with pytest.raises(Refused, match="tapscan elastic setup"):
        bulk.send([made(f"logs-nobody.knows-{namespace}", 1)])
    assert elastic.documents(f"logs-nobody.knows-{namespace}") == {}


def test_nobody_there_is_for_later():
    with (
        client(ElasticsearchSettings(urls=("http://127.0.0.1:9",), timeout=5.0)) as server,
        pytest.raises(Later, match="onnection"),
    ):
        Bulk(server).send([made("logs-a-b", 1)])


def test_who_is_not_known_is_refused(secured):
    with client(ElasticsearchSettings(urls=(secured.url,))) as server, pytest.raises(Refused, match="401"):
        Bulk(server).send([made("logs-tapscan.object-default", 1)])


def test_the_role_writes_our_streams_and_no_others(secured, namespace, tmp_path):
    word = tmp_path / "password"
    word.write_text("writer-of-tests\n")
    settings = ElasticsearchSettings(urls=(secured.url,), username="tapscan", password_file=str(word))
    name = f"logs-tapscan.tests-{namespace}"
    mapped = {"mappings": {"properties": PROPERTIES}}
    template = {"index_patterns": [name], "data_stream": {}, "priority": 600, "template": mapped}
    secured.ask("PUT", f"/_index_template/{namespace}", template)
    with client(settings) as server:
        assert Bulk(server).send([made(name, 1)]).stored == 1
        with pytest.raises(Refused, match="unauthorized"):
            Bulk(server).send([made(f"logs-other-{namespace}", 1)])
    assert list(secured.documents(name)) == ["1"]


ONE = [made("logs-a-b", 1)]


@pytest.mark.parametrize("answer", [None, [], {}, {"items": []}, {"items": [{}, {}]}], ids=str)
def test_an_answer_that_says_too_little_is_for_later(answer):
    with pytest.raises(Later):
        judged(ONE, answer)


@pytest.mark.parametrize(
    ("status", "stored", "again", "dead"),
    [(201, 1, 0, 0), (409, 1, 0, 0), (429, 0, 1, 0), (503, 0, 1, 0), (500, 0, 1, 0), (400, 0, 0, 1), (404, 0, 0, 1)],
)
def test_each_status_has_its_end(status, stored, again, dead):
    item = {"create": {"status": status, "error": {"type": "some_exception", "reason": "why"}}}
    outcome = judged(ONE, {"errors": True, "items": [item]})
    assert (outcome.stored, len(outcome.again), len(outcome.dead)) == (stored, again, dead)
    assert all(one.reason == "some_exception: why" for one in outcome.dead)
    assert bool(outcome.why) == bool(again)

"""The Elasticsearch of the tests is a real one: data streams, repeats, rights, and data that a crash leaves."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from elastic import SECONDS
from elastic_node import Lacking, Node, free_port, java

SCRIPT = [sys.executable, str(Path(__file__).parent / "elasticsearch")]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "support")}
TEMPLATE = {"mappings": {"dynamic": "strict", "properties": {"@timestamp": {"type": "date"}, "n": {"type": "long"}}}}


@pytest.fixture
def stream(namespace):
    return f"logs-tapscan.object-{namespace}"


def made(elastic, stream):
    """Its template, by which the first document makes the data stream."""
    composed = {"index_patterns": [stream], "data_stream": {}, "priority": 600, "template": TEMPLATE}
    elastic.ask("PUT", f"/_index_template/{stream}", composed)


def create(elastic, stream, documents, user="admin"):
    """Statuses, by id."""
    lines = []
    for key, document in documents.items():
        lines += [{"create": {"_index": stream, "_id": key}}, {"@timestamp": "2026-01-01T00:00:00Z"} | document]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    items = elastic.ask("POST", "/_bulk", body, user)["items"]
    return {item["create"]["_id"]: item["create"]["status"] for item in items}


def wait(until):
    end = time.monotonic() + SECONDS
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


def refused(elastic, method, path, body=None):
    """Whether the writer may not."""
    with pytest.raises(urllib.error.HTTPError) as raised:
        elastic.ask(method, path, body, "tapscan")
    raised.value.close()
    return raised.value.code == 403


def test_a_bulk_makes_the_data_stream_and_a_repeat_is_told(elastic, stream):
    made(elastic, stream)
    assert create(elastic, stream, {"a": {"n": 1}, "b": {"n": 2}}) == {"a": 201, "b": 201}
    assert create(elastic, stream, {"b": {"n": 9}, "c": {"n": 3}}) == {"b": 409, "c": 201}
    assert {key: one["n"] for key, one in elastic.documents(stream).items()} == {"a": 1, "b": 2, "c": 3}
    (hit, *_) = elastic.search(stream)["hits"]["hits"]
    assert hit["_index"].startswith(f".ds-{stream}-")


def test_a_bad_document_leaves_its_neighbours_alone(elastic, stream):
    made(elastic, stream)
    bad = {"n": "many"}
    assert create(elastic, stream, {"a": {"n": 1}, "b": bad, "c": {"n": 3}}) == {"a": 201, "b": 400, "c": 201}


def test_all_documents_are_shown_however_many(elastic, stream):
    assert elastic.documents(stream) == {}
    made(elastic, stream)
    create(elastic, stream, {str(number): {"n": number} for number in range(12_000)})
    assert sorted(one["n"] for one in elastic.documents(stream).values()) == [*range(12_000)]
    most = elastic.search(stream, size=0, aggs={"most": {"max": {"field": "n"}}})["aggregations"]["most"]
    assert most["value"] == 11_999


def test_the_writer_stores_and_may_do_nothing_else(secured, stream):
    made(secured, stream)
    assert create(secured, stream, {"a": {"n": 1}}, "tapscan") == {"a": 201}
    assert create(secured, stream, {"a": {"n": 1}}, "tapscan") == {"a": 409}
    assert secured.ask("GET", "/_cluster/health", user="tapscan")["status"] in ("green", "yellow")
    assert create(secured, "logs-other-default", {"a": {"n": 1}}, "tapscan") == {"a": 403}
    assert refused(secured, "POST", f"/{stream}/_search")
    assert refused(secured, "POST", f"/{stream}/_refresh")
    assert refused(secured, "DELETE", f"/{stream}/_doc/a")
    assert refused(secured, "DELETE", f"/{stream}")
    assert refused(secured, "PUT", f"/_index_template/{stream}", {"index_patterns": [stream]})
    assert secured.documents(stream).keys() == {"a"}


def test_what_was_stored_survives_kill_9(elastics, stream):
    elastic = elastics("8.19.0")
    made(elastic, stream)
    create(elastic, stream, {"a": {"n": 1}})
    before = elastic.pid
    elastic.kill()
    assert elastic.pid is None
    assert not Path(f"/proc/{before}").exists()
    elastic.start()
    assert elastic.pid != before
    assert elastic.documents(stream).keys() == {"a"}
    assert create(elastic, stream, {"a": {"n": 1}}) == {"a": 409}


def test_it_ends_with_the_tests_however_they_end(elastics, tmp_path):
    """A test run that is killed leaves no server behind."""
    elastics("8.19.0")  # so that what is missing is said
    run = "from elastic import Elastic; one = Elastic('8.19.0'); print(one.folder, flush=True); one.start()"
    with subprocess.Popen([sys.executable, "-c", run], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as tests:
        node = Node("8.19.0", tests.stdout.readline().strip())
        wait(lambda: node.pid)
        pid = node.pid
        tests.kill()
    wait(lambda: not node.runs(pid))
    shutil.rmtree(node.folder)


def script(*words, **environment):
    return subprocess.run([*SCRIPT, *map(str, words)], env=os.environ | environment, capture_output=True, text=True)


def test_anyone_starts_one_by_a_command(elastics):
    elastics("8.19.0")
    with tempfile.TemporaryDirectory(prefix="tapscan-elastic-") as folder:
        Path(folder).chmod(0o755)
        port = free_port()
        done = script("8.19.0", folder, "--port", port, "--security")
        first, *users = done.stdout.splitlines()
        assert (done.returncode, first) == (0, f"http://127.0.0.1:{port}"), done.stderr
        assert "tapscan / writer-of-tests (tapscan_writer)" in users
        with pytest.raises(urllib.error.HTTPError, match="401") as raised, urllib.request.urlopen(first):
            pass
        raised.value.close()
        assert "runs in" in script("8.19.0", folder).stderr
        assert script("stop", folder).returncode == 0
        assert (script("stop", folder).returncode, Node("8.19.0", folder).pid) == (2, None)


def test_what_is_missing_is_said_in_a_line(tmp_path):
    (tmp_path / "elasticsearch-8.19.0.zip").write_bytes(b"something else")
    done = script("8.19.0", tmp_path / "node", "--kept", tmp_path, PATH=str(Path(sys.executable).parent))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "elasticsearch: Elasticsearch comes by Maven, which isn't here (Debian: maven)\n"


def test_what_is_not_the_pinned_distribution_is_not_run(tmp_path):
    """Maven, as it would be if its repository had something else."""
    maven = tmp_path / "mvn"
    maven.write_text(f"#!/bin/sh\necho other > {tmp_path}/elasticsearch-8.19.0.zip\n")
    maven.chmod(0o755)
    done = script("8.19.0", tmp_path / "node", "--kept", tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 2
    assert "is not what was published" in done.stderr


def test_which_java_is_needed_is_said(tmp_path, monkeypatch):
    """A machine that has an old one only."""
    (tmp_path / "old/bin").mkdir(parents=True)
    (tmp_path / "old/bin/java").touch()
    (tmp_path / "old/release").write_text('JAVA_VERSION="17.0.15"\n')
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("elastic_node.JAVAS", tmp_path)
    assert java("8.19.0") == tmp_path / "old"
    with pytest.raises(Lacking, match=r"9\.2\.0 needs Java 21 or newer"):
        java("9.2.0")

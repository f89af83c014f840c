"""The whole way: a scan, or a sensor, its spool, a real server; every document is there once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nouns import documents

from manager.elastic_setup import Asked, set_up

ROOT = Path(__file__).parents[2]
DATASETS = {
    "logs": ("object", "alarm", "health"),
    "metrics": ("coverage", "sensor"),
}


@pytest.fixture
def place(elastic, namespace, tmp_path):
    """Settings that name a real server, with templates."""
    set_up(Asked(url=elastic.url))
    return settings(tmp_path, namespace, elastic.url)


def settings(folder, namespace, *urls, more=""):
    path = folder / "tapscan.toml"
    given = json.dumps(list(urls))
    path.write_text(
        f"[spool]\ndirectory = '{folder}/spool'\n[elasticsearch]\nurls = {given}\nnamespace = '{namespace}'\n"
        f"flush_timeout = 20.0\n{more}\n[[engine]]\nkind = 'yara'\n"
    )
    return path


def stored(elastic, namespace):
    """What is there, by its id."""
    found = {}
    for kind, names in DATASETS.items():
        for name in names:
            found |= elastic.documents(f"{kind}-tapscan.{name}-{namespace}")
    return found


def same(told, found):
    """Whether what was printed is what is there; when they were made may differ."""
    told = {one["event"]["id"]: one for one in told}
    assert told.keys() == found.keys()
    for key, one in told.items():
        assert without_times(one) == without_times(found[key])


def without_times(document):
    left = json.loads(json.dumps(document))
    for key in ("created", "duration"):
        left["event"].pop(key, None)
    for key in ("latency", "verdicts", "alarm", "coverage"):  # seconds are in them
        left["tapscan"].pop(key, None)
    return left


@pytest.fixture
def demo(tmp_path):
    return capture("demo", tmp_path)


def capture(case, folder):
    path = folder / f"{case}.pcap"
    subprocess.run([sys.executable, ROOT / "tests" / "cases" / "capture.py", case, path], check=True)
    return path


def test_a_scan_ends_when_its_documents_are_stored(tapscan, place, elastic, namespace, demo):
    done = tapscan("scan", "--json", "--config", place, demo)
    assert (done.returncode, done.stderr) == (1, b"")
    found = stored(elastic, namespace)
    same(documents(done), found)
    assert len(found) > 10


@pytest.mark.parametrize("workers", [1, 3])
def test_scanned_again_it_is_there_once(tapscan, place, elastic, namespace, demo, workers):
    for _ in range(2):
        done = tapscan("scan", "--json", "--config", place, "--workers", str(workers), demo)
        assert done.returncode == 1, done.stderr
    assert stored(elastic, namespace).keys() == {one["event"]["id"] for one in documents(done)}


def test_an_extract_stores_nothing(tapscan, place, elastic, namespace, demo, tmp_path):
    assert tapscan("extract", "--config", place, demo).returncode == 0
    assert stored(elastic, namespace) == {}
    assert not (tmp_path / "spool").exists()


def test_what_could_not_be_stored_is_stored_by_the_next(tapscan, place, elastic, namespace, demo, tmp_path):
    path = settings(tmp_path, namespace, "http://127.0.0.1:9", more="timeout = 2.0")
    path.write_text(path.read_text().replace("20.0", "0.2"))
    first = tapscan("scan", "--json", "--config", path, demo)
    assert first.returncode == 1
    assert b"documents for elasticsearch stay in" in first.stderr
    status = tapscan("elastic", "status", "--config", path)
    assert status.returncode == 2
    assert b"documents wait" in status.stdout
    settings(tmp_path, namespace, elastic.url)
    assert tapscan("scan", "--config", path, capture("tls-sni", tmp_path)).returncode == 0
    found = stored(elastic, namespace)
    told = [one for one in documents(first) if one["event"]["id"] in found]
    assert len(told) == len(documents(first)) < len(found)


def test_status_says_how_it_goes(tapscan, place, demo):
    assert tapscan("scan", "--config", place, demo).returncode == 1
    done = tapscan("elastic", "status", "--json", "--config", place)
    assert done.returncode == 0
    known = json.loads(done.stdout)
    assert known["server"]["version"][0] in "89"
    assert known["spool"]["waiting"] == known["spool"]["dead_letters"] == len(known["server"]["drift"]) == 0
    said = tapscan("elastic", "status", "--config", place).stdout.decode()
    assert "0 documents wait" in said
    assert "green" in said or "yellow" in said


def test_backfill_from_the_spool_and_from_files(tapscan, place, elastic, namespace, demo, tmp_path):
    done = tapscan("scan", "--json", "--config", place, demo)
    (tmp_path / "printed.jsonl").write_bytes(done.stdout)
    again = tapscan("elastic", "backfill", "--config", place)
    assert (again.returncode, again.stderr.split()[1]) == (0, b"0"), again.stderr
    other = settings(tmp_path, f"{namespace}2", elastic.url)
    moved = tmp_path / "moved.jsonl"
    moved.write_bytes(done.stdout.replace(namespace.encode(), f"{namespace}2".encode()))
    for _ in range(2):
        sent = tapscan("elastic", "backfill", "--config", other, moved)
        assert sent.returncode == 0, sent.stderr
    assert stored(elastic, f"{namespace}2").keys() == stored(elastic, namespace).keys()
    assert list((tmp_path / "spool").glob("backfill*")) == []


def test_backfill_since(tapscan, place, demo):
    assert tapscan("scan", "--config", place, demo).returncode == 1
    done = tapscan("elastic", "backfill", "--config", place, "--since", "2999-01-01")
    assert done.stderr.startswith(b"tapscan: 0 documents stored, 0 had")
    assert tapscan("elastic", "backfill", "--config", place, "--since", "soon").returncode == 2


def test_a_dead_letter_is_listed_and_sent_again(tapscan, place, elastic, namespace, demo, tmp_path):
    done = tapscan("scan", "--json", "--config", place, demo)
    bad = next(one for one in documents(done) if one["event"]["dataset"] == "tapscan.object")
    bad["event"]["id"] = "not-stored-yet"
    bad["file"] = "no object"
    (tmp_path / "bad.jsonl").write_bytes(json.dumps(bad).encode())
    spooled = (
        "from manager.effective import effective\nfrom manager.outlets import spool_folder, spooled\n"
        "from manager.spool import Spool\nimport json, sys\nfrom pathlib import Path\n"
        "settings, _ = effective(sys.argv[1])\n"
        "Spool(spool_folder(settings), 1 << 30).append([spooled(json.loads(Path(sys.argv[2]).read_bytes()))])\n"
    )
    subprocess.run([sys.executable, "-c", spooled, place, tmp_path / "bad.jsonl"], cwd=ROOT, check=True)
    assert tapscan("scan", "--config", place, demo).returncode == 1
    listed = tapscan("elastic", "dead-letters", "list", "--json", "--config", place)
    (letter,) = map(json.loads, listed.stdout.splitlines())
    assert (letter["id"], letter["status"]) == ("not-stored-yet", 400)
    assert "file" in letter["reason"]
    assert b"not-stored-yet" in tapscan("elastic", "dead-letters", "--config", place).stdout
    assert "not-stored-yet" not in stored(elastic, namespace)
    replayed = tapscan("elastic", "dead-letters", "replay", "--config", place)
    assert replayed.stderr == b"tapscan: 1 documents are in the spool again\n"


@pytest.mark.parametrize("words", [("status",), ("backfill",), ("setup",)])
def test_without_a_server_one_line_says_so(tapscan, words):
    done = tapscan("elastic", *words)
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"no Elasticsearch" in done.stderr


def test_a_file_that_holds_something_else(tapscan, place, tmp_path):
    (tmp_path / "other.jsonl").write_bytes(b'{"a": 1}\n')
    done = tapscan("elastic", "backfill", "--config", place, tmp_path / "other.jsonl")
    assert done.returncode == 2
    assert b"line 1 is no document of tapscan" in done.stderr
    assert tapscan("elastic", "backfill", "--config", place, tmp_path / "gone.jsonl").returncode == 2


def test_a_spool_that_cannot_be(tapscan, place, demo, tmp_path):
    (tmp_path / "spool").write_text("a file")
    done = tapscan("scan", "--config", place, demo)
    assert done.returncode == 2
    assert b"spool.directory" in done.stderr


def test_a_scan_that_is_killed_is_stored_by_the_next(tapscan, place, elastic, namespace, demo):
    words = [sys.executable, "-m", "manager.cli", "scan", "--json", "--config", place, demo]
    environment = os.environ | {"XDG_STATE_HOME": str(demo.parent / "state")}
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, env=environment) as scan:
        scan.stdout.readline()
        scan.send_signal(signal.SIGKILL)
    done = tapscan("scan", "--json", "--config", place, demo)
    assert stored(elastic, namespace).keys() == {one["event"]["id"] for one in documents(done)}


def test_a_sensor_stores_what_it_sees(tapscan, place, elastic, namespace, demo):
    done = tapscan("sensor", "--replay", demo, "--speed", "0", "--json", "--config", place)
    assert done.returncode == 0, done.stderr
    told = documents(done)
    assert stored(elastic, namespace).keys() == {one["event"]["id"] for one in told}
    assert {"tapscan.object", "tapscan.alarm", "tapscan.coverage", "tapscan.sensor"} <= {
        one["event"]["dataset"] for one in told
    }


def test_the_least_rights_are_enough(tapscan, secured, namespace, demo, tmp_path):
    (tmp_path / "admin").write_text("admin-of-tests")
    (tmp_path / "writer").write_text("writer-of-tests")
    who = "username = '{}'\npassword_file = '{}'"
    place = settings(tmp_path, namespace, secured.url, more=who.format("admin", tmp_path / "admin"))
    assert tapscan("elastic", "setup", "--config", place).returncode == 0
    settings(tmp_path, namespace, secured.url, more=who.format("tapscan", tmp_path / "writer"))
    done = tapscan("scan", "--json", "--config", place, demo)
    assert (done.returncode, done.stderr) == (1, b"")
    same(documents(done), stored(secured, namespace))
    refused = tapscan("elastic", "setup", "--config", place)
    assert refused.returncode == 2
    assert refused.stderr.count(b"\n") == 1
    (tmp_path / "writer").write_text("another word")
    unknown = tapscan("elastic", "status", "--config", place)
    assert unknown.returncode == 2
    assert b"401" in unknown.stdout

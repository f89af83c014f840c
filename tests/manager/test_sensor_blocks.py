"""The sensor blocks what it knows: a page in the place of an answer, resets, the list, feeds; with real transfers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from downloads import RULE, SIZE, asked, download, fetched
from sensing import Sensor, documents, of

WAIT = 0.1  # seconds before the server answers: longer than the sensor needs


@pytest.fixture
def watching(span, tmp_path):
    """A sensor with a rule, a policy and what else is said."""
    (tmp_path / "rules.yar").write_text(RULE)

    def started(do=("reset", "block_page"), more="", mode="enforce"):
        (tmp_path / "tapscan.toml").write_text(
            f'[[engine]]\nname = "yara"\nkind = "yara"\nrules = ["rules.yar"]\n'
            f'[[policy]]\nwhen = {{ verdict = "malicious" }}\ndo = {json.dumps(do)}\n'
            f'[countermeasures]\nmode = "{mode}"\nper_host = 100.0\n{more}'
        )
        return Sensor(tmp_path, "-i", span.port, "--json", "--config", str(tmp_path / "tapscan.toml"))

    return started


def ended(sensor, count):
    """All documents, and those of actions with what they say, once there are so many."""
    sensor.tells(count, "action")
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    return documents(out), [(one, one["tapscan"]["action"]) for one in of(documents(out), "action")]


SILENT = """
import socket, sys
with socket.create_server((sys.argv[1], 443)) as server:
    print("ready", flush=True)
    while True:
        one = server.accept()[0]
        one.recv(4096)
"""
GREET = """
import socket, ssl, sys
context = ssl.create_default_context()
with socket.create_connection((sys.argv[1], 443), timeout=20) as link:
    try:
        context.wrap_socket(link, server_hostname=sys.argv[2])
    except OSError as error:
        print(type(error).__name__)
"""
TWICE = """
import socket, sys
with socket.create_connection((sys.argv[1], 80), timeout=20) as link:
    answers = link.makefile("rb")
    link.sendall(b"GET /other HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    while answers.readline().strip():
        pass
    answers.read(int(sys.argv[2]))
    link.sendall(b"GET /a.exe HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    sys.stdout.buffer.write(answers.read())
"""


def lost(found):
    """Bytes that are said to have passed unseen."""
    coverage = [one["tapscan"]["coverage"] for one in of(found, "coverage")]
    return [one for one in coverage if one.get("reason") in ("gap", "capture_loss") or one.get("lost_bytes")]


def test_who_asks_again_is_told_why(span, watching):
    sensor = watching()
    with download(span, wait=WAIT):
        assert fetched(span) < SIZE
        sensor.tells(2, "action")
        page = asked(span)
    documents, found = ended(sensor, 3)
    assert [(own["kind"], own["outcome"]) for _, own in found] == [
        ("block_page", "done"),
        ("reset", "confirmed"),
        ("block_page", "confirmed"),
    ]
    document, own = found[2]
    assert page.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert own["id"].encode() in page
    assert b"Marker (yara)" in page
    assert page.endswith(b"</html>\n")
    assert (own["bytes_delivered"], own["frames"], own["why"]) == (0, 2, "http://a/setup.exe is blocked")
    assert document["url"]["original"] == "http://a/setup.exe"
    assert "hash" not in document["file"]
    assert lost(documents) == []  # our own bytes are acknowledged, and nobody else's


def test_without_a_page_who_asks_again_is_reset(span, watching):
    sensor = watching(do=["block_next", "reset"])
    with download(span, wait=WAIT):
        assert fetched(span) < SIZE
        sensor.tells(2, "action")
        assert asked(span) == b"ConnectionResetError"
    _, found = ended(sensor, 3)
    assert [(own["kind"], own["outcome"]) for _, own in found][2] == ("reset", "confirmed")


def test_what_is_lifted_is_had_again_and_a_restart_lifts_nothing(span, watching, tapscan, tmp_path):
    sensor = watching(do=["block_page"])
    own = {"XDG_STATE_HOME": str(tmp_path / "state")}
    with download(span, rate=32 << 20, wait=WAIT):
        assert fetched(span) == SIZE  # only the next one is blocked
        ended(sensor, 1)
        sensor = watching(do=["observe"])
        assert asked(span).startswith(b"HTTP/1.1 403")
        listed = tapscan("actions", "blocked", **own)
        assert (listed.returncode, b"url a/setup.exe" in listed.stdout) == (0, True)
        lifted = tapscan("actions", "lift", "http://a/setup.exe", **own)
        assert (lifted.returncode, lifted.stdout) == (0, b"1 item lifted\n")
        while (got := asked(span)).startswith(b"HTTP/1.1 403"):  # until the sensor has looked
            pass
        assert got.startswith(b"HTTP/1.1 200")
    assert sensor.end()[0] == 0


def test_what_a_feed_names_is_blocked_at_once(span, watching, tmp_path):
    (tmp_path / "feed.txt").write_text("bad.example # a sinkhole\nhttp://a/a.exe\n")
    sensor = watching(more=f'feeds = ["{tmp_path}/feed.txt"]\n')
    silent = span.inside(span.server, sys.executable, "-c", SILENT, span.SERVER)
    with download(span, wait=WAIT), subprocess.Popen(silent, stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() == b"ready\n"
        assert b"a sinkhole" in asked(span, "/any", "bad.example")
        greeted = subprocess.run(
            span.inside(span.client, sys.executable, "-c", GREET, span.SERVER, "bad.example"),
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        server.kill()
    assert greeted.stdout == "ConnectionResetError\n"
    documents, found = ended(sensor, 2)
    assert [(one["network"]["protocol"], own["kind"], own["outcome"]) for one, own in found] == [
        ("http", "block_page", "confirmed"),
        ("tls", "reset", "confirmed"),
    ]
    assert found[0][0]["rule"]["name"] == "a sinkhole"
    assert lost(documents) == []


def test_the_second_request_of_a_connection_gets_its_page(span, watching, tmp_path):
    (tmp_path / "feed.txt").write_text("http://a/a.exe\n")
    sensor = watching(do=["observe"], more=f'feeds = ["{tmp_path}/feed.txt"]\n')
    with download(span, rate=64 << 20, wait=WAIT):
        words = span.inside(span.client, sys.executable, "-c", TWICE, span.SERVER, str(SIZE))
        got = subprocess.run(words, check=True, capture_output=True).stdout
    assert got.startswith(b"HTTP/1.1 403")
    ended(sensor, 2)


def test_a_dry_run_sends_no_page(span, watching, tmp_path):
    (tmp_path / "feed.txt").write_text("http://a/setup.exe\n")
    sensor = watching(more=f'feeds = ["{tmp_path}/feed.txt"]\n', mode="dry_run")
    with download(span, rate=32 << 20, wait=WAIT):
        assert fetched(span) == SIZE
    _, found = ended(sensor, 1)
    assert [(own["kind"], own["outcome"], own["frames"]) for _, own in found] == [("block_page", "dry_run", 2)]


def test_where_the_answer_may_be_faster_what_is_claimed_is_what_the_client_has(span, watching, tmp_path):
    (tmp_path / "feed.txt").write_text("http://a/setup.exe\n")
    sensor = watching(do=["observe"], more=f'feeds = ["{tmp_path}/feed.txt"]\n')
    with download(span):
        got = asked(span)
    _, found = ended(sensor, 1)
    own = found[0][1]
    assert own["outcome"] == "confirmed"
    if got.startswith(b"HTTP/1.1 403"):
        assert (own["kind"], own.get("reason"), own["bytes_delivered"]) == ("block_page", None, 0)
    else:
        assert got.startswith(b"HTTP/1.1 200")
        assert own["kind"] == "reset" or own["reason"] == "the answer began before the page: it was reset"
        assert 0 < own["bytes_delivered"] < SIZE

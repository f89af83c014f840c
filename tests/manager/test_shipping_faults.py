"""Documents on their way while a server, a process or a network fails: afterwards each is stored, and once."""

import contextlib
import os
import re
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from elastic_proxy import Proxy
from machine import small_disk
from shipping import SECONDS, Shipping, identity

from manager.dead_letters import DeadLetters
from manager.shipper import dead_letters

MAPPINGS = {
    "dynamic": "strict",
    "properties": {
        "@timestamp": {"type": "date"},
        "event": {"properties": {"id": {"type": "keyword"}}},
        "size": {"type": "long"},
        "message": {"type": "text", "index": False},
    },
}


@pytest.fixture
def node(elastics):
    """Also after a test that failed, it runs."""
    elastic = elastics("8.19.0")
    yield elastic
    if not elastic.alive():
        elastic.start()


@pytest.fixture
def stream(node, namespace):
    """A data stream."""
    name = f"logs-tapscan.object-{namespace}"
    body = {"index_patterns": [name], "data_stream": {}, "priority": 600, "template": {"mappings": MAPPINGS}}
    node.ask("PUT", f"/_index_template/{namespace}", body)
    return name


@pytest.fixture
def proxy(node):
    with Proxy(node.url) as made:
        yield made


@pytest.fixture
def ship(tmp_path, stream):
    """Starts processes; those that are left are killed."""
    begun = []

    def start(url, *numbers, **more):
        begun.append(Shipping(tmp_path / "spool", url, stream, *numbers, **more))
        return begun[-1]

    yield start
    for one in begun:
        one.kill()


def stored(node, stream, count):
    """Waits until so many are."""
    until = time.monotonic() + SECONDS
    while len(found := node.documents(stream)) < count:
        assert time.monotonic() < until, len(found)
        time.sleep(0.05)
    return sorted(found)


def each(count, first=0):
    return [identity(number) for number in range(first, count)]


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_takes_nothing_for_a_while(node, stream, proxy, ship, status):
    proxy.answer = status
    process = ship(proxy.url, 0, 3_000, 3_000)
    process.keeps(2_000)
    process.says(f"documents wait in the spool: {status}")
    assert node.documents(stream) == {}
    proxy.answer = None
    assert process.ends() == 3_000
    assert ["wait in the spool" in line for line in process.said.splitlines()] == [True, False]
    assert process.said.endswith("elasticsearch takes documents again\n")
    assert sorted(node.documents(stream)) == each(3_000)
    assert process.progress["tries"] == proxy.answered[status] > 1


def test_answers_that_are_cut_off(node, stream, proxy, ship):
    """The server has stored what it was sent; nobody knows."""
    proxy.cuts = 3
    process = ship(proxy.url, 0, 2_000)
    assert process.ends() == 2_000
    assert sorted(node.documents(stream)) == each(2_000)
    assert proxy.answered["cut"] == 3
    assert process.progress["before"] >= proxy.documents[0]
    assert process.progress["stored"] == 2_000


def test_requests_that_are_too_large(node, stream, proxy, ship):
    proxy.most = 50_000
    process = ship(proxy.url, 0, 1_000)
    assert process.ends() == 1_000
    assert sorted(node.documents(stream)) == each(1_000)
    assert proxy.answered[413] > 0
    assert process.progress["dead"] == 0


def test_a_document_that_alone_is_too_large_is_set_aside(node, stream, proxy, ship, tmp_path):
    proxy.most = 500
    assert ship(proxy.url, 0, 20).ends() == 20
    letters = [*DeadLetters(dead_letters(tmp_path / "spool", "elasticsearch"))]
    assert [letter["status"] for letter in letters] == [413] * 20
    assert sorted(letter["id"] for letter in letters) == each(20)


def test_requests_of_which_half_is_taken(node, stream, proxy, ship):
    proxy.throttled = 5
    process = ship(proxy.url, 0, 2_000)
    assert process.ends() == 2_000
    assert sorted(node.documents(stream)) == each(2_000)
    assert proxy.answered["throttled"] == 5
    assert process.progress["before"] == 0


def test_a_document_of_another_kind_never_stops_its_neighbours(node, stream, ship, tmp_path):
    """Its mapping says number; every tenth document says something else."""
    process = ship(node.url, 0, 1_000, WRONG="10")
    assert process.ends() == 1_000
    wrong = each(1_000)[1::10]
    assert sorted(node.documents(stream)) == sorted({*each(1_000)} - {*wrong})
    letters = [*DeadLetters(dead_letters(tmp_path / "spool", "elasticsearch"))]
    assert [letter["id"] for letter in letters] == wrong
    assert {letter["status"] for letter in letters} == {400}
    assert "size" in letters[0]["reason"]
    assert letters[0]["document"]["size"] == "as large as a house"


def test_an_index_that_is_closed_to_writing_for_a_while(node, stream, ship):
    """What a server does whose disk gets full (flood_stage)."""
    process = ship(node.url, 0, 4_000, 2_000)
    stored(node, stream, 100)
    node.ask("PUT", f"/{stream}/_settings", {"index.blocks.read_only_allow_delete": True})
    process.says("documents wait in the spool: cluster_block_exception")
    process.keeps(3_000)
    assert len(node.documents(stream)) < 3_000
    node.ask("PUT", f"/{stream}/_settings", {"index.blocks.read_only_allow_delete": None})
    assert process.ends() == 4_000
    assert sorted(node.documents(stream)) == each(4_000)


def test_a_server_that_hangs(node, stream, ship):
    """It takes connections and says nothing, and does in the end what it was asked for."""
    process = ship(node.url, 0, 4_000, 2_000, TIMEOUT="0.5")
    stored(node, stream, 100)
    os.kill(node.pid, signal.SIGSTOP)
    try:
        process.says("documents wait in the spool: ")
    finally:
        os.kill(node.pid, signal.SIGCONT)
    assert process.ends() == 4_000
    assert "timed out" in process.said
    assert sorted(node.documents(stream)) == each(4_000)


def test_a_server_that_is_killed_under_load(node, stream, ship):
    process = ship(node.url, 0, 1_000_000, 1_000)
    stored(node, stream, 500)
    node.kill()
    process.keeps(process.kept + 1_000)
    node.start()
    stored(node, stream, process.kept)
    last = process.end()
    assert ship(node.url, last, 20).ends() == last + 20
    assert sorted(node.documents(stream)) == each(last + 20)


def test_a_process_that_is_killed_under_load(node, stream, ship):
    """What it said is on disk is stored by the next."""
    last = 0
    for _ in range(3):
        process = ship(node.url, last, 1_000_000, 2_000)
        process.keeps(last + 1_000)
        last = process.kill()
    assert ship(node.url, last, 20).ends() == last + 20
    assert sorted(node.documents(stream)) == each(last + 20)


def test_both_are_killed_under_load(node, stream, ship):
    process = ship(node.url, 0, 1_000_000, 2_000)
    stored(node, stream, 500)
    node.kill()
    last = process.kill()
    node.start()
    assert ship(node.url, last, 20).ends() == last + 20
    assert sorted(node.documents(stream)) == each(last + 20)


@pytest.mark.parametrize("days", [365, -365])
def test_a_clock_that_is_set_under_load(node, stream, ship, days):
    process = ship(node.url, 0, 4_000, 2_000, JUMP=str(days * 86_400))
    stored(node, stream, 500)
    process.process.send_signal(signal.SIGUSR1)
    assert process.ends() == 4_000
    assert sorted(node.documents(stream)) == each(4_000)
    said = datetime.fromisoformat(process.progress["time"])
    assert abs(said - datetime.now(UTC) - timedelta(days)) < timedelta(1)


def test_a_disk_under_the_spool_that_is_full_for_a_while(node, stream, ship, tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    with small_disk(folder, "8m"):
        process = ship(node.url, 0, 5_000, 2_500)
        process.keeps(1_000)
        ballast = folder / "ballast"
        with contextlib.suppress(OSError):  # it takes what there is
            ballast.write_bytes(bytes(8 << 20))
        process.says("the spool: No space left on device")
        assert process.kept < 5_000
        ballast.unlink()
        assert process.ends() == 5_000
    assert sorted(node.documents(stream)) == each(5_000)


def test_what_falls_off_a_full_spool_is_counted(node, stream, proxy, ship):
    """The server is away for longer than the spool can hold."""
    proxy.answer = 503
    process = ship(proxy.url, 0, 2_000, MOST="500000")
    process.keeps(2_000)
    proxy.answer = None
    assert process.ends() == 2_000
    found, lost = sorted(node.documents(stream)), process.progress["lost"]
    assert lost > 0
    assert len(found) == 2_000 - lost
    assert found[-1] == identity(1_999)
    told = re.findall(r"(\d+) documents fell off the full spool", process.said)
    assert sum(map(int, told)) == lost

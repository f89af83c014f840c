"""Documents a second into a real Elasticsearch: from the spool by the shipper, and by the client's own bulk helper."""

from __future__ import annotations

import json
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.collection import Captures
from bench.figures import Figure
from manager.cursor import Cursor
from manager.elastic_client import client
from manager.elastic_setup import Asked, set_up
from manager.events import Documents
from manager.observer import Observer
from manager.outlets import ELASTIC, elasticsearch, spooled
from manager.settings import ElasticsearchSettings
from manager.shipper import Shipper
from manager.spool import Spool

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "support"), str(TESTS / "cases")]
from elastic import Elastic  # noqa: E402 - the tests' own server
from nouns import an_object, said, scanned  # noqa: E402 - and their objects

COUNT = 20_000
RUNS = 5
ENGINES = "clamav", "yara", "hashes"


def figures(_places: Captures, home: Path) -> list[Figure]:
    """In turns, each into streams of its own; all documents differ."""
    ours, theirs = [], []
    with Elastic() as server:
        set_up(Asked(url=server.url))
        for turn in range(RUNS + 1):
            times = _shipped(server, home / str(turn)), _helped(server)
            if turn:  # the first warms up
                ours.append(times[0])
                theirs.append(times[1])
    ratio = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    rates = [f"{COUNT / statistics.median(times):,.0f}/s" for times in (ours, theirs)]
    how = f"{rates[0]} against {rates[1]}, {COUNT:,} documents of objects, one shard"
    return [Figure("elasticsearch, documents/s, shipper / bulk helper", ratio, "x", 1.0, 0.8, how, rising=True)]


def _documents(namespace: str) -> Iterator[dict[str, Any]]:
    made = Documents(Observer("bench", namespace=namespace))
    verdicts = [said(name, "clean", engine_version="1.0", database_version="27000") for name in ENGINES]
    for number in range(COUNT):
        yield made.object(*_scanned(number, verdicts))


def _scanned(number: int, verdicts: list[Any]) -> tuple[Any, Any]:
    target = an_object(b"bytes", id=f"{number:032x}")
    return target, scanned(target, *verdicts)


def _shipped(server: Elastic, folder: Path) -> float:
    namespace = secrets.token_hex(6)
    records = [spooled(document) for document in _documents(namespace)]
    spool = Spool(folder, 1 << 30)
    for start in range(0, COUNT, 500):
        end = spool.append(records[start : start + 500])
    began = time.monotonic()
    shipper = Shipper(elasticsearch(ElasticsearchSettings(urls=(server.url,))), folder, print)
    look = Cursor(folder, ELASTIC)
    while look.behind().records:
        time.sleep(0.01)
    seconds = time.monotonic() - began
    shipper.close()
    _counted(server, namespace)
    assert end == look.position
    return seconds


def _helped(server: Elastic) -> float:
    from elasticsearch import helpers

    namespace = secrets.token_hex(6)
    documents = [json.loads(spooled(document).document) for document in _documents(namespace)]
    index = f"logs-tapscan.object-{namespace}"
    with client(ElasticsearchSettings(urls=(server.url,))) as raw:
        began = time.monotonic()
        actions = (
            {"_op_type": "create", "_index": index, "_id": one["event"]["id"], "_source": one} for one in documents
        )
        helpers.bulk(raw, actions, chunk_size=1000)
        seconds = time.monotonic() - began
    _counted(server, namespace)
    return seconds


def _counted(server: Elastic, namespace: str) -> None:
    stream = f"logs-tapscan.object-{namespace}"
    server.ask("POST", f"/{stream}/_refresh")
    if (count := server.ask("GET", f"/{stream}/_count")["count"]) != COUNT:
        raise RuntimeError(f"{count} documents of {COUNT} are there")

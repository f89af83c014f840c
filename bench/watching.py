"""A sensor with countermeasures at a SPAN port: started for a measurement, ended after it, and what it says it did."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from downloads import RULE
from span import Span, run

ROOT = Path(__file__).parents[1]
TRANSFERS = str(ROOT / "bench" / "transfers.py")
MOST = 180.0  # seconds that a client may take
KINDS = '"dataset":"tapscan.action"', '"dataset":"tapscan.sensor"'
SETTLES = 5.0  # seconds in which a flow that was stopped is known to be over
ROOTLESS = "root is needed: the networks are namespaces"
SETTINGS = """
[[engine]]
name = "yara"
kind = "yara"
rules = ["rules.yar"]
[[policy]]
when = { verdict = "malicious" }
do = ["reset"]
[countermeasures]
mode = "enforce"
per_second = 1000.0
per_host = 60000.0
hosts = 10000
"""


@contextmanager
def watched(folder: Path, port: str, rule: str = RULE) -> Iterator[list[dict[str, Any]]]:
    """A sensor watches; the list has its documents of KINDS when it has ended. What frames it sends is not limited."""
    folder.mkdir()
    (folder / "rules.yar").write_text(rule)
    (folder / "tapscan.toml").write_text(SETTINGS)
    documents: list[dict[str, Any]] = []
    sensor = _sensor(folder, port)
    try:
        yield documents
        time.sleep(SETTLES)
    finally:
        sensor.send_signal(signal.SIGTERM)
        sensor.communicate()
    with (folder / "out").open() as out:  # there may be very many of other kinds
        documents += [json.loads(line) for line in out if any(kind in line for kind in KINDS)]


def actions(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What it says it did, each in its last revision."""
    done = [one["tapscan"]["action"] for one in documents if one["event"]["dataset"] == "tapscan.action"]
    return [*{one["id"]: one for one in done}.values()]


def claims(documents: list[dict[str, Any]]) -> str:
    """For how many flows it says that it has sent frames, and of which that this has stopped them."""
    sent = [one["outcome"] for one in actions(documents) if one["frames"] > 0]
    return f"claimed {len(sent)} ({sent.count('confirmed')} confirmed)"


def shaped(span: Span, namespace: str, rate: str, burst: str = "64kb") -> None:
    """What is sent from there goes in frames as they are on a cable, and not faster than that."""
    run(*span.inside(namespace, "ethtool", "-K", "eth0", "tso", "off", "gso", "off"))
    if rate != "unshaped":
        shape = "tbf", "rate", rate, "burst", burst, "latency", "50ms"
        run(*span.inside(namespace, "tc", "qdisc", "add", "dev", "eth0", "root", *shape))


@contextmanager
def far(span: Span, delay: float) -> Iterator[None]:
    """Each direction between the server and the switch, where the sensor is, takes `delay` ms."""
    for namespace in (span.server, span.client):
        run(*span.inside(namespace, "ethtool", "-K", "eth0", "tx", "off"))
    name = span.port.replace("tsp", "tsd")
    argv = [sys.executable, str(ROOT / "bench" / "delay.py"), *span.cut(name), str(delay)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as cable:
        assert cable.stdout is not None
        assert cable.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            cable.kill()
            run("ip", "link", "del", name)


@contextmanager
def served(span: Span, role: str, *words: object, address: str = Span.SERVER) -> Iterator[list[str]]:
    """A server of `transfers` at that end; the list has what it has printed when it has ended."""
    argv = span.inside(span.server, sys.executable, TRANSFERS, role, address, *map(str, words))
    said: list[str] = []
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}  # it says there that a client was reset
    with subprocess.Popen(argv, text=True, **pipes) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield said
        finally:
            server.kill()
        said += server.stdout.read().splitlines()


@contextmanager
def transferring(span: Span, role: str, *words: object, address: str = Span.SERVER) -> Iterator[list[str]]:
    """A client of `transfers` at the other end; the list has what it has printed when it has ended by itself."""
    argv = span.inside(span.client, sys.executable, TRANSFERS, role, address, *map(str, words))
    said: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as client:
        try:
            yield said
            said += client.communicate(timeout=MOST)[0].splitlines()
        finally:
            client.kill()


def transfer(span: Span, role: str, *words: object, address: str = Span.SERVER) -> list[str]:
    """What a client prints."""
    with transferring(span, role, *words, address=address) as said:
        pass
    return said


def _sensor(folder: Path, port: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "manager.cli", "sensor", "-i", port, "--json", "--config", "tapscan.toml"]
    given = os.environ | {"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "out").open("w") as out:  # a pipe that nobody reads would hold it up
        sensor = subprocess.Popen(words, cwd=folder, env=given, stdout=out, stderr=subprocess.PIPE, text=True)
    assert sensor.stderr is not None
    while "watching" not in sensor.stderr.readline():
        pass
    return sensor

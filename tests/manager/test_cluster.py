"""`tapscan cluster`: what is refused before Ray starts, what Ray is told, and what is shown of it."""

from __future__ import annotations

import io
import os
import signal
import stat
import sys
import threading

import pytest

from engines.status import EngineStatus, HostStatus
from manager import cluster
from manager.cluster import Member, environment, flags
from manager.cluster_status import _shown, code, differing
from manager.options import Stop
from manager.report import console


@pytest.fixture
def started(monkeypatch):
    """Commands that would be run, with their environment."""
    seen = []

    def run(member, token, own):
        seen.append((list(own), environment(member, token), token))
        return 0

    monkeypatch.setattr(cluster, "_run", run)
    monkeypatch.setattr(cluster.socket, "create_connection", lambda *_, **__: io.BytesIO())
    return seen


def test_the_head_makes_a_token_that_only_its_user_reads(tmp_path, started, capsys):
    file = tmp_path / "deep" / "token"
    assert cluster.start_head(Member("10.0.0.1", None, str(file)), 6379) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text()) == 64
    assert f"copy of {file}" in capsys.readouterr().err
    before = file.read_text()
    cluster.start_head(Member("10.0.0.1", None, str(file)), 6379)
    assert file.read_text() == before
    ((own, environment, _), _) = started
    assert own[:4] == ["--head", "--port=6379", "--include-dashboard=false", "--node-ip-address=10.0.0.1"]
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["RAY_AUTH_TOKEN_PATH"] == str(file)


def test_a_host_joins_with_the_token_of_the_head(tmp_path, started):
    file = tmp_path / "token"
    file.write_text("x" * 64)
    (tmp_path / "tapscan.toml").touch()
    member = Member("10.0.0.2", str(tmp_path / "tapscan.toml"), str(file), "scan2")
    assert cluster.join(member, "10.0.0.1:6379") == 0
    ((own, environment, token),) = started
    assert (own[:2], token) == (["--address=10.0.0.1:6379", "--node-ip-address=10.0.0.2"], file)
    assert environment["TAPSCAN_HOST"] == "scan2"
    assert environment["TAPSCAN_CONFIG"] == str(tmp_path / "tapscan.toml")


@pytest.mark.parametrize("address", ["10.0.0.1", ":6379", "head:", "head:port", ""])
def test_an_address_without_host_or_port(address):
    with pytest.raises(Stop, match="no HOST:PORT"):
        cluster.join(Member("10.0.0.2", None), address)


def test_without_the_token_nobody_joins(tmp_path):
    with pytest.raises(Stop, match="copy the token of the cluster's head there"):
        cluster.join(Member("10.0.0.2", None, str(tmp_path / "none")), "10.0.0.1:6379")


def test_a_token_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Stop, match=r"Not a directory|File exists"):
        cluster.start_head(Member("10.0.0.1", None, str(tmp_path / "file" / "token")), 6379)


@pytest.mark.parametrize(
    ("bind", "why"),
    [("eth0", "no IP address"), ("0.0.0.0", "not all of them"), ("::", "not all of them"), ("", "no IP")],
)
def test_an_address_that_is_none_of_this_host(bind, why):
    with pytest.raises(Stop, match=why):
        cluster._check_address(bind)


def test_a_public_address_is_warned_of(capsys):
    cluster._check_address("8.8.8.8")
    assert "is a public address" in capsys.readouterr().err
    cluster._check_address("10.0.0.1")
    cluster._check_address("fd00::1")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("port", [6379, 7000])
def test_ports_are_those_of_the_firewall_table(port):
    told = list(flags(Member("10.0.0.1", None, memory=123), port))
    assert "--node-ip-address=10.0.0.1" in told
    assert "--min-worker-port=20000" in told
    assert "--max-worker-port=20999" in told
    assert "--object-store-memory=123" in told
    ports = dict(flag.split("=") for flag in told if "-port=" in flag and "worker" not in flag)
    assert sorted(map(int, ports.values())) == list(range(port + 1, port + 6))


def test_a_head_that_does_not_answer_is_one_line(tmp_path, tapscan):
    (tmp_path / "token").write_text("x" * 64)
    done = tapscan("cluster", "join", "127.0.0.1:1", "--bind", "127.0.0.1", "--token", tmp_path / "token")
    assert done.returncode == 2
    assert done.stderr.startswith(b"tapscan: no head of a cluster answers at 127.0.0.1:1: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit('Traceback\\n  what\\nwhy it failed\\n')", "why it failed"),
        ("exit(3)", "it does not say why"),
    ],
)
def test_trouble_of_ray_is_one_line(tmp_path, monkeypatch, program, why):
    monkeypatch.setattr(cluster, "RAY", (sys.executable, "-c", program))
    with pytest.raises(Stop, match=f"^ray start ended: {why}$"):
        cluster.start_head(Member("127.0.0.1", None, str(tmp_path / "token")), 6379)


def test_who_ends_it_ends_ray(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "RAY", (sys.executable, "-c", "import time; time.sleep(60)"))
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert cluster.start_head(Member("127.0.0.1", None, str(tmp_path / "token")), 6379) == 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_settings_file_with_a_mistake_is_said_at_once(tmp_path, tapscan):
    (tmp_path / "token").write_text("x" * 64)
    (tmp_path / "bad.toml").write_text("[pool]\nkind = 'cloud'\n")
    done = tapscan("cluster", "head", "--bind", "127.0.0.1", "--token", tmp_path / "token", "--config", "bad.toml")
    assert done.returncode == 2
    assert b"pool.kind" in done.stderr


def engine(name, database="7"):
    return EngineStatus(name, 1, 0, "1.0", database, 1200, 0, 3, 4567, 10.0, 12.5, 0.25, 1.5, 2.5)


HOSTS = [
    HostStatus("a", "10.0.0.1", None, False, (engine("clamav"), engine("yara", None))),
    HostStatus("b", "10.0.0.2", None, True, (engine("clamav", "8"), engine("yara", None))),
    HostStatus(None, "10.0.0.3", "10.0.0.3: tapscan 9 there, 1 here", False),
    HostStatus("d", "10.0.0.4", None, False),
    HostStatus("e", "10.0.0.5", None, True),
]


def test_databases_that_differ():
    assert differing(HOSTS) == {"clamav": {"7": ["a"], "8": ["b"]}}
    assert differing(HOSTS[:1]) == {}


def test_a_refused_host_is_an_exit_code():
    assert (code(HOSTS), code(HOSTS[:2])) == (2, 0)


def test_status_as_a_person_reads_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    console().print(_shown(HOSTS))
    shown = capsys.readouterr().out
    assert "a 10.0.0.1" in shown
    assert "1,200" in shown
    assert "4,567" in shown
    assert "1.50 ms" in shown
    assert "10.0.0.3: tapscan 9 there, 1 here" in shown
    assert "b 10.0.0.2 (drained)" in shown
    assert "d 10.0.0.4: ready, no sensor uses it" in shown
    assert "e 10.0.0.5 (drained): its sensors use the others" in shown
    assert "clamav does not know the same everywhere: 7 on a, 8 on b" in shown


def test_status_of_no_cluster_is_one_line(tapscan):
    done = tapscan("cluster", "status", "127.0.0.1:1")
    assert done.returncode == 2
    assert done.stderr == b"tapscan: 127.0.0.1:1: nothing answers: [Errno 111] Connection refused\n"

"""What a process that reads hostile bytes can still do, tried in one."""

import os
import signal
from pathlib import Path

import pytest
from forked import elsewhere

from manager import privileges
from manager.privileges import give_up, held, settle

NOTHING = {
    "open network connections",
    "see network interfaces",
    "open sockets",
    "capture packets",
    "read /etc/passwd",
    "write to /",
    "start programs",
    "be root",
}


def without(folder, user=None):
    def given_up():
        if user is not None:
            os.setresuid(user, user, user)
        steps = give_up(None, str(folder))
        return steps, dict(held(str(folder)))

    return given_up


@pytest.fixture
def folder(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    return tmp_path


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives up most")
def test_root_keeps_its_temporary_files_alone(folder):
    steps, can = elsewhere(without(folder))
    assert [step for step in steps if step.refused] == []
    assert can == dict.fromkeys(NOTHING, False) | {"write temporary files": True}


@pytest.mark.skipif(os.geteuid() != 0, reason="who isn't root is one already")
def test_a_user_gives_up_as_much(folder):
    steps, can = elsewhere(without(folder, user=65534))
    assert [step for step in steps if step.refused] == []
    assert can == dict.fromkeys(NOTHING, False) | {"write temporary files": True}


def test_what_the_kernel_refuses_is_said_and_the_rest_is_given_up(folder, monkeypatch):
    def no_landlock(_):
        raise privileges.Refused(38, "Function not implemented")

    monkeypatch.setattr(privileges, "_landlock", no_landlock)
    steps, can = elsewhere(without(folder))
    assert {step.name: step.refused for step in steps if step.refused} == {"files": "Function not implemented"}
    assert not can["open network connections"]


def test_a_user_that_is_not_there_is_said():
    steps = elsewhere(lambda: give_up("nosuchuser", None))
    refused = {step.name: step.refused for step in steps if step.refused}
    assert not refused or "nosuchuser" in refused["user"]


def test_as_an_operator_asks_for_it(tapscan, tmp_path):
    done = tapscan("sensor", "--check-privileges")
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, lines
    assert "worker: can open network connections: no" in lines
    assert "worker: can capture packets: no" in lines
    for who in ("manager", "worker"):
        assert f"{who}: can be root: no" in lines
        assert f"{who}: can write to /: no" in lines
        assert f"{who}: can write temporary files: yes" in lines
    (tmp_path / "other.toml").write_text('[sensor]\nuser = "nosuchuser"\n')
    done = tapscan("sensor", "--check-privileges", "--config", "other.toml")
    if os.geteuid() == 0:
        assert "manager: can capture packets: yes" in lines  # of an interface that returns
        assert done.returncode == 2
        assert done.stderr == b"tapscan: [sensor] user: there is no user 'nosuchuser' on this host\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="root gives up most")
def test_root_as_the_manager_keeps_capturing_alone(folder):
    def settled():
        return settle("nobody"), status(), dict(held(str(folder)))

    steps, now, can = elsewhere(settled)
    assert [step for step in steps if step.refused] == []
    assert {now[name] for name in ("CapEff", "CapPrm")} == {f"{1 << 13:016x}"}
    assert {now[name] for name in ("CapInh", "CapAmb")} == {f"{0:016x}"}
    assert now["Uid"].split() == ["65534"] * 4
    assert now["Groups"].strip() == ""
    assert {name for name, holds in can.items() if not holds} == {"write to /", "be root"}


@pytest.mark.skipif(os.geteuid() != 0, reason="who isn't root is one already")
def test_who_has_no_right_to_capture_gets_none(folder):
    def settled():
        os.setresuid(65534, 65534, 65534)
        return settle(None), status(), dict(held(str(folder)))

    steps, now, can = elsewhere(settled)
    assert [step for step in steps if step.refused] == []
    assert int(now["CapEff"], 16) == 0
    assert not can["capture packets"]


@pytest.mark.skipif(os.geteuid() != 0, reason="who becomes another user is root")
def test_a_worker_sends_no_signals_to_others_of_its_user(folder):
    def tried():
        os.setresuid(65534, 65534, 65534)
        give_up(None, str(folder))
        return [refuses(lambda: os.kill(os.getpid(), 0)), refuses(lambda: signal.pidfd_send_signal(own, 0))]

    own = os.pidfd_open(os.getpid())
    try:
        assert elsewhere(tried) == [True, True]
    finally:
        os.close(own)


def refuses(what):
    try:
        what()
    except PermissionError:
        return True
    return False


def status():
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)

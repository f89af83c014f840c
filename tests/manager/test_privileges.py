"""What a process that reads hostile bytes can still do, tried in one."""

import os
import pickle

import pytest

from manager import privileges
from manager.privileges import give_up, held

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


def elsewhere(what):
    """What a process of its own gives back."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writing, pickle.dumps(what()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pickle.load(pipe)
    os.waitpid(pid, 0)
    return told


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
    assert "can open network connections: no" in lines
    assert "can write temporary files: yes" in lines
    (tmp_path / "other.toml").write_text('[sensor]\nuser = "nosuchuser"\n')
    done = tapscan("sensor", "--check-privileges", "--config", "other.toml")
    if os.geteuid() == 0:
        assert done.returncode == 2
        assert b"given up: user - NOT: " in done.stdout

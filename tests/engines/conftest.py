"""A real clamd and clamscan with a small database of their own; absent ones are said aloud, and an error in CI.

And a real head of a cluster, which all tests share that need no hosts of their own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from samples import EICAR

SECONDS = 30  # for a daemon to start or end
SUPPORT = str(Path(__file__).parents[1] / "support")


def needed(*commands):
    """Skips aloud on a user's machine, fails in CI, when a program is missing."""
    missing = [command for command in commands if shutil.which(command, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if missing:
        why = f"{', '.join(missing)} not installed (Debian: clamav-daemon, clamav)"
        pytest.skip(why)


def write_database(directory):
    """Signatures by content, by hash and by YARA."""
    directory.mkdir(exist_ok=True)
    (directory / "own.ndb").write_text(
        f"Test.Eicar:0:0:{EICAR.hex()}\nTest.Odd_name-1.(x)/y:0:*:{b'odd-marker'.hex()}\n"
    )
    (directory / "own.yar").write_text('rule Own_rule { strings: $a = "yara-marker" condition: $a }\n')
    return directory


@dataclass
class Daemon:
    """A clamd that runs: its sockets and files, and how to stop and start it."""

    home: Path
    port: int
    process: subprocess.Popen | None = None

    @property
    def socket(self):
        return str(self.home / "clamd.sock")

    def start(self):
        self.process = subprocess.Popen(
            [
                shutil.which("clamd", path=os.environ["PATH"] + ":/usr/sbin"),
                "--foreground",
                "-c",
                self.home / "clamd.conf",
            ],
            cwd=self.home,  # a clamd that is ended while it reloads may write a file of any name
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + SECONDS
        while not Path(self.socket).exists():
            assert time.monotonic() < until, (self.home / "clamd.log").read_text()
            assert self.process.poll() is None, (self.home / "clamd.log").read_text()
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(SECONDS)
        Path(self.socket).unlink(missing_ok=True)


def free_port(following=0):
    """One that nobody listens on, nor on so many after it."""
    while True:
        with contextlib.suppress(OSError, OverflowError), contextlib.ExitStack() as probes:
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
            for number in range(port + 1, port + 1 + following):
                probes.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


@pytest.fixture(scope="session")
def clamds(tmp_path_factory):
    """Starts daemons, each with a home of its own."""
    needed("clamd")
    with contextlib.ExitStack() as running:

        def start(name="clamd"):
            home = tmp_path_factory.mktemp(name)
            daemon = Daemon(home, free_port())
            database = write_database(home / "db")
            user = "User root\n" if os.geteuid() == 0 else ""
            (home / "clamd.conf").write_text(
                f"DatabaseDirectory {database}\nLocalSocket {daemon.socket}\nTCPSocket {daemon.port}\n"
                f"TCPAddr 127.0.0.1\nStreamMaxLength 2M\nPidFile {home / 'pid'}\nLogFile {home / 'clamd.log'}\n"
                f"Foreground yes\n{user}"
            )
            daemon.start()
            running.callback(daemon.stop)
            return daemon

        yield start


@pytest.fixture(scope="session")
def clamd_daemon(clamds):
    return clamds()


@pytest.fixture(scope="session")
def clamscan(tmp_path_factory):
    """The argument vector of a real clamscan."""
    needed("clamscan")
    database = write_database(tmp_path_factory.mktemp("clamscan") / "db")
    return ["clamscan", "--no-summary", f"--database={database}", "{file}"]


@pytest.fixture(scope="session")
def head(tmp_path_factory):
    """The address of a cluster of one host, whose engines find `fakes`."""
    port, log = free_port(following=5), tmp_path_factory.mktemp("head") / "log"
    words = [sys.executable, "-m", "manager.cli", "cluster", "head", "--bind=127.0.0.1", f"--port={port}"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, env=os.environ | {"PYTHONPATH": SUPPORT}, stdout=file, stderr=file, start_new_session=True
        )
    try:
        _answers(port, process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port, process, log):
    until = time.monotonic() + SECONDS
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert time.monotonic() < until, log.read_text()
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)

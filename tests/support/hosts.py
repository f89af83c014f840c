"""A cluster of real hosts: network namespaces on a bridge, each with its own Ray, started as users start it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SUPPORT = str(Path(__file__).parent)
SECONDS = 40  # for a host to come up
TAPSCAN = [sys.executable, "-m", "manager.cli"]


def needed():
    """Says aloud on a user's machine, and fails in CI, where hosts can't be made."""
    missing = [name for name in ("ip", "unshare") if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        why = f"hosts are network namespaces: root and {', '.join(missing) or 'ip'} are needed (Debian: iproute2)"
        pytest.skip(why)


def run(*words):
    subprocess.run(words, check=True, capture_output=True)


class Hosts:
    """The head stands in the namespace of the test; the others have their own."""

    def __init__(self, folder, *words, head=(), **environment):
        """`words`: more of `tapscan cluster head` and `join`, `head`: of it alone; `environment`: what they find."""
        self._folder = Path(folder)
        self._words = words
        self._key = f"{os.getpid() % 10000}"
        self.net = f"10.{78 + os.getpid() % 100}.{os.getpid() // 100 % 250}"
        self.bridge = f"tsb{self._key}"
        self._own = {"head": list(head)}
        self._processes = {}
        self._joined = {}  # name -> how it is run inside, its address
        self.address = f"{self.net}.1:6379"
        self.environment = {"PYTHONPATH": os.pathsep.join((SUPPORT, str(Path(SUPPORT).parents[1])))} | environment

    def __enter__(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.net}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self.start_head()
        return self

    def __exit__(self, *_):
        for name in list(self._processes):
            self.kill(name)
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "del", self.bridge)

    def start_head(self):
        """For the first time, or again."""
        self._start("head", [], "head", "--bind", f"{self.net}.1")

    def add(self, *names, **own):
        """Further hosts, all at once. `own`: more words of `join`, by the name of the host."""
        self._own |= own
        for name in names:
            number = 10 + len(self._processes)
            space, link = self._space(name), f"tsv{self._key}{name}"
            run("ip", "netns", "add", space)
            run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", link, "master", self.bridge, "up")
            run("ip", "-n", space, "addr", "add", f"{self.net}.{number}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")
            files = self._folder / f"files-{name}"  # hosts share no disk
            files.mkdir()
            Path("/tmp/ray").mkdir(exist_ok=True)
            own = f'mount -t tmpfs tmpfs /dev/shm && mount --bind {files} /tmp/ray && exec "$@"'
            inside = ["ip", "netns", "exec", space, "unshare", "-m", "sh", "-c", own, "sh"]
            self._joined[name] = inside, f"{self.net}.{number}"
            self._join(name)

    def _join(self, name):
        inside, address = self._joined[name]
        self._start(name, inside, "join", self.address, "--bind", address)

    def wait(self):
        """Until all hosts are in the cluster."""
        until = time.monotonic() + SECONDS
        tls = self._words if "--tls" in self._words else ()
        words = [*TAPSCAN, "cluster", "status", "--json", self.address, *tls]
        while True:
            shown = subprocess.run(words, capture_output=True, env=os.environ | self.environment)
            if len({json.loads(line)["host"]["ip"][0] for line in shown.stdout.splitlines()}) == len(self._processes):
                return
            assert time.monotonic() < until, shown

    def restart(self, name):
        """It ends, whatever of it still runs, and joins again, as its service manager would have it."""
        self._end(name)
        self._processes.pop(name).wait()
        self._join(name)

    def link(self, name, up):
        """The cable of a host."""
        run("ip", "link", "set", f"tsv{self._key}{name}", "up" if up else "down")

    def actors(self, name):
        """Processes of the engines on a host."""
        return [pid for pid in self._pids(name) if b"_Actor" in _words(pid)]

    def raylets(self, name):
        """The process that makes a host one."""
        return [pid for pid in self._pids(name) if b"/raylet/raylet" in _words(pid).partition(b"\0")[0]]

    def _pids(self, name):
        shown = subprocess.run(["ip", "netns", "pids", self._space(name)], capture_output=True, text=True)
        return [int(pid) for pid in shown.stdout.split()]

    def end(self, name):
        """Ends it as its operator does; gives the exit code."""
        self._processes[name].terminate()
        return self._processes[name].wait(SECONDS)

    def kill(self, name):
        """Its power is gone."""
        process = self._processes.pop(name)
        if name == "head":
            os.killpg(process.pid, signal.SIGKILL)
            for pid in _group(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        else:
            self._end(name)
            with contextlib.suppress(subprocess.CalledProcessError):
                run("ip", "link", "del", f"tsv{self._key}{name}")
            run("ip", "netns", "del", self._space(name))
        process.wait()

    def _end(self, name):
        for pid in self._pids(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _space(self, name):
        return f"ts{self._key}{name}"

    def _start(self, name, inside, *words):
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [*inside, *TAPSCAN, "cluster", *words, "--name", name, *self._words, *self._own.get(name, ())],
                env=os.environ | self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if name == "head":
            self._listening(name)

    def _listening(self, name):
        import socket

        host, _, port = self.address.partition(":")
        until = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            assert time.monotonic() < until, (self._folder / f"{name}.log").read_text()
            assert self._processes[name].poll() is None, (self._folder / f"{name}.log").read_text()
            time.sleep(0.1)


def _words(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _group(session):
    """The processes of a session."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                yield int(entry.name)

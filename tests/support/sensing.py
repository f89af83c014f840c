"""`tapscan sensor` as a user calls it: a process that runs, and the real servers that it watches."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from span import TRAFFIC

TAPSCAN = [sys.executable, "-m", "manager.cli"]
ROOT = Path(__file__).parents[2]
SECONDS = 60


@contextlib.contextmanager
def serving(span, files, folder, address=None):
    """Servers that have these files."""
    folder.mkdir()
    for name, payload in files.items():
        (folder / name).write_bytes(payload)
    words = sys.executable, TRAFFIC, "serve", address or span.SERVER, str(folder)
    server = subprocess.Popen(span.inside(span.server, *words), stdout=subprocess.PIPE)
    try:
        assert server.stdout.readline() == b"ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def fetch(span, *names, address=None):
    """A client gets each by HTTP and FTP, and mails it."""
    words = sys.executable, TRAFFIC, "fetch", address or span.SERVER, *names
    subprocess.run(span.inside(span.client, *words), check=True, timeout=SECONDS)


class Sensor:
    """One that runs."""

    def __init__(self, folder, *words, out=subprocess.PIPE, shorter="", does="sensor", **environment):
        """`shorter`: statements that make its patience less; `does`: which command it is."""
        folder.chmod(0o755)  # who it becomes reads its settings again
        own = {
            "XDG_CACHE_HOME": str(folder / ".cache"),
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(ROOT),
        }
        given = os.environ | own | environment
        pipes = {"stdout": out, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*_command(shorter), does, *words], cwd=folder, env=given, **pipes)
        self.said = self.process.stderr.readline()
        while self.said.startswith("tapscan: hint: "):  # of the clock of the machine
            self.said = self.process.stderr.readline()
        self._out, self._err = [], []
        for pipe, lines in ((self.process.stdout or (), self._out), (self.process.stderr, self._err)):
            threading.Thread(target=lines.extend, args=(pipe,), daemon=True).start()

    def workers(self):
        """The processes that capture, and the recorder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                if f"PPid:\t{self.process.pid}\n" in status and "Name:\ttapscan-nursery\n" not in status:
                    found.append(int(entry.name))
        return sorted(found)

    def says(self, text):
        """Waits for a line of standard error with it."""
        until = time.monotonic() + SECONDS
        while not any(text in line for line in (self.said, *self._err)):
            assert time.monotonic() < until, self._err
            time.sleep(0.02)

    def tells(self, count, dataset):
        """Waits for so many documents of a kind."""
        until = time.monotonic() + SECONDS
        while sum(f'"dataset":"tapscan.{dataset}"' in line for line in self._out) < count:
            assert time.monotonic() < until, self._out
            time.sleep(0.02)

    def end(self, number=signal.SIGTERM):
        """Exit code, standard output and error."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code, "".join(self._out), "".join(self._err)


def _command(shorter):
    return [sys.executable, "-c", f"{shorter}\nfrom manager.cli import main\nmain()"] if shorter else TAPSCAN


def documents(text):
    return [json.loads(one) for one in text.splitlines()]


def of(found, dataset):
    return [one for one in found if one["event"]["dataset"] == f"tapscan.{dataset}"]


def figures(found):
    """Those of the sensor itself, a minute each; engines have documents of their own."""
    return [one["tapscan"]["sensor"] for one in of(found, "sensor") if "sensor" in one["tapscan"]]

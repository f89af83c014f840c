"""The other tools as commands, and a clamd of the bench's own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Cost, Failed, daemon_cpu, run

TAPSCAN = str(Path(sys.executable).with_name("tapscan"))
SURICATA_YAML = Path("/etc/suricata/suricata.yaml")
# which Debian package has the command
PACKAGES = {
    "suricata": "suricata",
    "tcpflow": "tcpflow",
    "tshark": "tshark",
    "yara": "yara",
    "yarac": "yara",
    "clamd": "clamav-daemon",
    "clamdscan": "clamdscan",
    "nginx": "nginx-light",
    "tcpdump": "tcpdump",
    "ip": "iproute2",
    "ethtool": "ethtool",
}
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
STARTS_IN = 60  # seconds, a daemon


def command(name: str) -> str:
    """Where a command is. Raises Failed when it is not installed."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise Failed(f"{name} not installed (Debian: {PACKAGES[name]})")
    return found


def missing(*names: str) -> str:
    """What is not installed of these, as words for a table; empty when all are there."""
    packages = dict.fromkeys(PACKAGES[name] for name in names if shutil.which(name, path=PATH) is None)
    return f"not installed: {', '.join(packages)}" if packages else ""


def suricata(capture: Path, home: Path, store: bool = False) -> Cost:
    """Suricata's stock settings and SHA-256 of each file, no rules, one thread; `store` keeps the files as well."""
    settings, logs = suricata_settings(home, store), fresh(home / "suricata")
    options = ["-S", "/dev/null", "--runmode", "single", "-l", str(logs), "-r", str(capture)]
    return run([command("suricata"), "-c", str(settings), *options])


def suricata_settings(home: Path, store: bool = False) -> Path:
    """The file of these settings."""
    settings = home / ("store.yaml" if store else "suricata.yaml")
    if not settings.exists():
        settings.write_text(_suricata_settings(SURICATA_YAML.read_text(), store))
    return settings


def _suricata_settings(stock: str, store: bool) -> str:
    files = re.search(r"- files:\s+force-magic: no.*?#force-hash: \[md5\]", stock, re.S)
    if files is None:
        raise Failed(f"{SURICATA_YAML}: files of eve-log are not where they are in the stock settings")
    stock = stock.replace(files[0], files[0].replace("#force-hash: [md5]", "force-hash: [sha256]"))
    if store:
        stock = re.sub(r"(- file-store:\s+version: 2\s+enabled:) no", r"\1 yes", stock)
        stock = re.sub(r"#force-filestore: yes", "force-filestore: yes", stock)
    return stock


def tcpflow(capture: Path, home: Path) -> Cost:
    """tcpflow with its HTTP scanner, which writes each body to a file, and nothing to the terminal."""
    return run([command("tcpflow"), "-q", "-a", "-o", str(fresh(home / "tcpflow")), "-r", str(capture)])


def tshark(capture: Path, home: Path) -> Cost:
    """tshark, HTTP objects to files."""
    objects = f"http,{fresh(home / 'tshark')}"
    return run([command("tshark"), "-n", "-Q", "--export-objects", objects, "-r", str(capture)])


def tapscan(verb: str, capture: Path, *options: str) -> Cost:
    """tapscan with JSON lines; that something malicious was found (1) is no failure."""
    return run([TAPSCAN, verb, "--json", *options, str(capture)], (0, 1))


def fresh(directory: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    return directory


@dataclass(frozen=True, slots=True)
class Clamd:
    """A clamd that runs."""

    settings: Path
    socket: Path
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of CPU that it has taken until now."""
        return daemon_cpu(self.process.pid)


@contextmanager
def clamd(home: Path) -> Iterator[Clamd]:
    """A clamd with a small database, so that what is measured is the way to it and not its signatures."""
    home.mkdir()
    (home / "db").mkdir()
    (home / "db/bench.ndb").write_text(f"Bench.Marker:0:*:{b'no capture holds this marker of the bench'.hex()}\n")
    socket, settings = home / "clamd.sock", home / "clamd.conf"
    user = "User root\n" if os.geteuid() == 0 else ""
    settings.write_text(
        f"DatabaseDirectory {home / 'db'}\nLocalSocket {socket}\nLogFile {home / 'clamd.log'}\nForeground yes\n"
        f"MaxThreads {len(os.sched_getaffinity(0))}\n{user}"
    )
    argv: Sequence[str] = [command("clamd"), "--foreground", "-c", str(settings)]
    process = subprocess.Popen(argv, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(socket, process)
        yield Clamd(settings, socket, process)
    finally:
        process.terminate()
        process.wait(STARTS_IN)


def _wait_for(socket: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_IN
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > until:
            raise Failed("clamd did not start")
        time.sleep(0.05)

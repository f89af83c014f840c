"""A node of the small Elasticsearch that its makers publish for integration tests: how it is had, set up and started.

It carries the server, data streams and security, and no Java. Its licence allows tests; nothing of it is passed on.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from pathlib import Path

VERSIONS = {  # SHA-256 of the distribution, and the oldest Java that runs it
    "8.19.0": ("14833b2d86c30656901f92049f81fb5777a8e4545413c8656cd1a21b55173033", 17),
    "9.2.0": ("bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b", 21),
}
MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch"
KEPT = Path(__file__).parents[2] / "build/services"
JAVAS = Path("/usr/lib/jvm")
OWNER = "tapscan-elastic"  # Elasticsearch refuses to run as root
OPTIONS = "-XX:TieredStopAtLevel=1 -XX:-UseG1GC -XX:+UseSerialGC"  # ready in half the time
SETTINGS = {
    "discovery.type": "single-node",
    "http.host": "127.0.0.1",
    "transport.host": "127.0.0.1",
    "node.store.allow_mmap": False,
    "cluster.routing.allocation.disk.threshold_enabled": False,
}
USERS = {"admin": ("superuser", "admin-of-tests"), "tapscan": ("tapscan_writer", "writer-of-tests")}
STREAMS = {"names": ["logs-tapscan.*", "metrics-tapscan.*"], "privileges": ["create_doc", "auto_configure"]}
ROLES = {"tapscan_writer": {"cluster": ["monitor"], "indices": [STREAMS]}}


class Lacking(Exception):
    """What this machine hasn't got, and how to get it."""


def distribution(version, kept=KEPT):
    """The archive, from Maven Central; kept, so that it is fetched once."""
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"elasticsearch-{version}.zip"
    with (kept / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _intact(path, version):
            _fetch(version, kept)
        if not _intact(path, version):
            raise Lacking(f"{path} is not what was published (SHA-256): delete it and try again")
    return path


def _intact(path, version):
    if not path.exists():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == VERSIONS[version][0]


def _fetch(version, kept):
    if shutil.which("mvn") is None:
        raise Lacking("Elasticsearch comes by Maven, which isn't here (Debian: maven)")
    words = ["mvn", "-q", "-B", MAVEN, f"-Dartifact={ARTIFACT}:{version}:zip", f"-DoutputDirectory={kept}"]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        said = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stdout.strip())
        raise Lacking(f"Maven could not get Elasticsearch {version}: {said}")


def java(version):
    """The home of the oldest Java that runs it."""
    least = VERSIONS[version][1]
    homes = [*map(Path, filter(None, [os.environ.get("JAVA_HOME")])), *sorted(JAVAS.glob("*"))]
    fitting = [(number, home) for home in homes if (number := _java_version(home)) >= least]
    if not fitting:
        how = f"Debian: openjdk-{least}-jre-headless, or any newer; where Debian has none, Temurin"
        raise Lacking(f"Elasticsearch {version} needs Java {least} or newer in {JAVAS} or JAVA_HOME ({how})")
    return min(fitting)[1]


def _java_version(home):
    if not (home / "release").exists() or not (home / "bin/java").exists():
        return 0
    found = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.M)
    return int(found[1]) if found else 0


def free_port():
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Node:
    """One in a folder of its own: the program, its settings, data and logs. Root starts it as another user."""

    def __init__(self, version, folder):
        self._version = version
        self.folder = Path(folder).absolute()
        self._home = self.folder / f"elasticsearch-{version}"
        self._pid = self.folder / "pid"

    def prepare(self, port, *, security=False, kept=KEPT, heap="512m", data=None, more=None):
        """`more`: of elasticsearch.yml. What there is in the folder stays: a node goes on with its data."""
        self._environment = self._variables(java(self._version), heap)
        archive = distribution(self._version, kept)
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._home.exists():
            _unpack(archive, self.folder)
        places = {"path.data": str(data or self.folder / "data"), "path.logs": str(self.folder / "logs")}
        for place in (*places.values(), self.folder / "tmp"):
            Path(place).mkdir(exist_ok=True)
        ports = {"http.port": port, "transport.port": free_port(), "xpack.security.enabled": security}
        self._write("elasticsearch.yml", _yaml(SETTINGS | places | ports | (more or {})))
        if security:
            self._secure()
        if os.geteuid() == 0:
            self._hand_over(places["path.data"])

    def _variables(self, home, heap):
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "ES_JAVA_HOME": str(home),
            "ES_JAVA_OPTS": f"-Xms{heap} -Xmx{heap} {OPTIONS}",
            "CLI_JAVA_OPTS": OPTIONS.split()[0],
            "ES_TMPDIR": str(self.folder / "tmp"),
        }

    def _write(self, name, text):
        (self._home / "config" / name).write_text(text)

    def _secure(self):
        """The users of its file realm, one of them with the rights that tapscan needs and no other."""
        self._write("roles.yml", _yaml(ROLES))
        self._write("users", "".join(f"{user}:{_hashed(password)}\n" for user, (_, password) in USERS.items()))
        self._write("users_roles", "".join(f"{role}:{user}\n" for user, (role, _) in USERS.items()))

    def _hand_over(self, data):
        user = _owner()
        subprocess.run(["chown", "-R", f"{user.pw_uid}:{user.pw_gid}", self.folder, data], check=True)
        if subprocess.run([*_becoming(), "test", "-x", self._home]).returncode:
            raise Lacking(
                f"the user {OWNER}, who runs Elasticsearch, can't get into {self.folder}: take another folder"
            )

    def start(self, *words, **pipes):
        """Its process, which ends with the thread that called; with `-d` it goes on, and this process ends early."""
        bound = [] if "-d" in words else ["setpriv", "--pdeathsig", "KILL"]
        become = _becoming() if os.geteuid() == 0 else []
        command = [*become, *bound, self._home / "bin/elasticsearch", "-p", self._pid, *words]
        return subprocess.Popen(command, env=self._environment, cwd=self._home, stdin=subprocess.DEVNULL, **pipes)

    @property
    def pid(self):
        """Of the node that runs; None when none does."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(self._pid.read_text())
            return pid if self.runs(pid) else None
        return None

    def runs(self, pid):
        """Whether this process is a node of this folder; its file of the number goes before the process does."""
        with contextlib.suppress(OSError):
            return str(self._home).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        return False

    def end(self, number=signal.SIGTERM):
        """Returns when it runs no more; says whether it did."""
        if (pid := self.pid) is None:
            return False
        os.kill(pid, number)
        while self.runs(pid):
            time.sleep(0.01)  # it isn't our child
        self._pid.unlink(missing_ok=True)
        return True

    def log(self):
        """The end of what it wrote."""
        path = self.folder / "logs/elasticsearch.log"
        return path.read_text()[-4000:] if path.exists() else ""


def _unpack(archive, folder):
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = Path(packed.extract(entry, folder))
            if entry.external_attr >> 16 & 0o111:
                path.chmod(0o755)


def _yaml(settings):
    """JSON is YAML."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


def _hashed(password):
    """As the file realm keeps it (PBKDF2), with few rounds: each request would pay for more."""
    salt, rounds = secrets.token_bytes(32), 1000
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds, 32)
    return f"{{PBKDF2}}{rounds}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _owner():
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(OWNER)
    words = "useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OWNER
    subprocess.run(words, check=True)
    return pwd.getpwnam(OWNER)


def _becoming():
    user = _owner()
    return ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]

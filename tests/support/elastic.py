"""A real Elasticsearch: the small distribution that its makers publish for integration tests, from Maven Central.

It carries the server, data streams and security, and no JDK. Its licence allows tests; nothing of it is passed on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

VERSIONS = {  # SHA-256 of the distribution, and the oldest Java that runs it
    "8.19.0": ("14833b2d86c30656901f92049f81fb5777a8e4545413c8656cd1a21b55173033", 17),
    "9.2.0": ("bf44938a0490ba2a303d39c9cb64b38963dd08c812ce93e10816e878585bcb6b", 21),
}
MAVEN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
KEPT = Path(__file__).parents[2] / "build" / "services"
NOBODY = 65534  # the server refuses to run as root
SECONDS = 90  # for it to come up
USERS = {"admin": ("superuser", "admin-of-tests"), "tapscan": ("tapscan_writer", "writer-of-tests")}


def java(least):
    """The home of a Java of at least this version. Skips where there is none."""
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, sorted(Path("/usr/lib/jvm").glob("*")))]
    for home in homes:
        release = Path(home or "/nonexistent") / "release"
        found = re.search(r'JAVA_VERSION="(\d+)', release.read_text()) if release.exists() else None
        if found and int(found[1]) >= least:
            return home
    pytest.skip(
        f"no Java {least} or newer in /usr/lib/jvm or JAVA_HOME (Debian: openjdk-{least}-jre-headless, or Temurin)"
    )


def distribution(version):
    """The archive, fetched once. Skips where there is no Maven."""
    digest, _ = VERSIONS[version]
    path = KEPT / f"elasticsearch-{version}.zip"
    if not path.exists():
        if shutil.which("mvn") is None:
            pytest.skip("Elasticsearch comes by Maven, which isn't here (Debian: maven)")
        artifact = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{version}:zip"
        with tempfile.TemporaryDirectory() as folder:
            words = ["mvn", "-q", "-B", MAVEN, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            KEPT.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(folder) / path.name, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest, f"{path} isn't what was published"
    return path


class Elastic:
    """One node. `settings`: more of elasticsearch.yml; `data`: where documents are kept, its own folder if unset."""

    def __init__(self, version="8.19.0", port=0, security=False, data=None, heap="512m", **settings):
        self.version = version
        self.security = security
        self._java = java(VERSIONS[version][1])
        self._heap = heap
        archive = distribution(version)
        self.folder = Path(tempfile.mkdtemp(prefix=f"tapscan-elastic-{version}-"))
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(self.folder)
        self._home = next(self.folder.glob("elasticsearch-*"))
        for program in [*(self._home / "bin").iterdir(), *self._home.glob("modules/*/platform/*/bin/*")]:
            program.chmod(0o755)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._data = Path(data or self.folder / "data")
        self._configure(settings)
        self._pid = 0

    def _configure(self, more):
        settings = {
            "cluster.name": self.folder.name,
            "discovery.type": "single-node",
            "xpack.security.enabled": self.security,
            "http.host": "127.0.0.1",
            "transport.host": "127.0.0.1",
            "http.port": self.port,
            "transport.port": free_port(),
            "path.data": str(self._data),
            "path.logs": str(self.folder / "logs"),
            "node.store.allow_mmap": False,
            "cluster.routing.allocation.disk.threshold_enabled": False,
        } | more
        config = self._home / "config"
        (config / "elasticsearch.yml").write_text(
            "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        )
        if self.security:
            (config / "roles.yml").write_text(
                "tapscan_writer:\n  cluster: [monitor]\n  indices:\n"
                "    - names: ['logs-tapscan.*', 'metrics-tapscan.*']\n      privileges: [create_doc, auto_configure]\n"
            )
        self._data.mkdir(exist_ok=True)
        self._own()
        for name, (role, password) in USERS.items() if self.security else ():
            self._run("bin/elasticsearch-users", "useradd", name, "-p", password, "-r", role)

    def _own(self):
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", self.folder, self._data], check=True)

    def _run(self, *words):
        become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
        environment = {
            "PATH": os.environ["PATH"],
            "ES_JAVA_HOME": self._java,
            "ES_JAVA_OPTS": f"-Xms{self._heap} -Xmx{self._heap} -XX:TieredStopAtLevel=1",
            "HOME": str(self.folder),
        }
        done = subprocess.run(
            [*become, *words], cwd=self._home, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self):
        """Starts it, for the first time or again on the same documents; waits until it answers."""
        (self.folder / "pid").unlink(missing_ok=True)
        self._run("bin/elasticsearch", "-d", "-p", str(self.folder / "pid"))
        self._pid = int((self.folder / "pid").read_text())
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=10s")
            except OSError as error:
                if time.monotonic() > deadline or not self.alive():
                    pytest.fail(f"{error}\n{self.log()}")
                time.sleep(0.2)  # until it listens
            else:
                return self

    __enter__ = start

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def alive(self):
        """Whether its process is there."""
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self):
        """Ends it as a power cut would."""
        if self._pid and self.alive():
            os.kill(self._pid, signal.SIGKILL)
            while self.alive():
                time.sleep(0.01)  # it isn't our child

    def log(self):
        """The end of what it wrote."""
        return "".join(path.read_text()[-4000:] for path in (self.folder / "logs").glob(f"{self.folder.name}.log"))

    def ask(self, method, path, body=None, user="admin"):
        """A request; its answer as JSON. Raises OSError (HTTPError among them)."""
        headers = {"Content-Type": "application/json"}
        if self.security:
            told = f"{user}:{USERS[user][1]}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(told).decode()
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def documents(self, stream):
        """All documents of a data stream, by their id, oldest first."""
        try:
            self.ask("POST", f"/{stream}/_refresh")
            found, after = {}, None
            while True:
                body = {"size": 5000, "sort": [{"event.id": "asc"}]} | ({"search_after": after} if after else {})
                hits = self.ask("POST", f"/{stream}/_search", body)["hits"]["hits"]
                if not hits:
                    return found
                assert not found.keys() & {hit["_id"] for hit in hits}
                found |= {hit["_id"]: hit["_source"] for hit in hits}
                after = hits[-1]["sort"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""A real Elasticsearch as tests have it: it starts, is killed, comes back with its data, and shows what it stored."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import signal
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from elastic_node import USERS, VERSIONS, Lacking, Node, free_port

PAGE = 5_000  # documents in one answer
SECONDS = 120  # for it to come up, on a busy machine

__all__ = ["SECONDS", "USERS", "VERSIONS", "Elastic", "Elastics", "free_port"]


class Elastic:
    """One node. `settings`: more of elasticsearch.yml; `data`: where documents are kept, its own folder if unset."""

    def __init__(self, version="8.19.0", port=0, security=False, data=None, heap="512m", **settings):
        self.version, self.security = version, security
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Another user than root has to get there, so it is in no folder of pytest's.
        self.folder = Path(tempfile.mkdtemp(prefix=f"tapscan-elastic-{version}-"))
        self.folder.chmod(0o755)
        self._node = Node(version, self.folder)
        self._given = {"security": security, "data": data, "heap": heap, "more": settings}
        self._process = None

    def start(self):
        """Starts it, for the first time or again on the same documents; waits until it answers."""
        try:
            self._node.prepare(self.port, **self._given)
        except Lacking as lacking:
            pytest.skip(str(lacking))
        with (self.folder / "output").open("wb") as output:
            self._process = self._node.start(stdout=output, stderr=output)
        until = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None, f"Elasticsearch {self.version} ended\n{self.log()}"
            assert time.monotonic() < until, f"Elasticsearch {self.version} doesn't get ready\n{self.log()}"
            time.sleep(0.05)
        return self

    def _answers(self):
        with contextlib.suppress(OSError):
            return not self.ask("GET", "/_cluster/health?wait_for_status=yellow&timeout=10s")["timed_out"]
        return False

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self):
        """Of the node; None when it doesn't run."""
        return self._node.pid

    def alive(self):
        """Whether its process is there."""
        return self.pid is not None

    def kill(self):
        """Ends it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self):
        """Ends it as its operator does."""
        self._end(signal.SIGTERM)

    def restart(self):
        """Ends it and starts it again."""
        self.stop()
        return self.start()

    def _end(self, number):
        if self._process is None:
            return
        if not self._node.end(number):
            self._process.kill()  # it was starting, or ended by itself
        self._process.wait(SECONDS)
        self._process = None

    def log(self):
        """The end of what it wrote."""
        return (self.folder / "output").read_text()[-2000:] + self._node.log()

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

    def refresh(self, stream):
        """What was stored is found from now on."""
        self.ask("POST", f"/{stream}/_refresh")

    def search(self, stream, **body):
        """What a query finds."""
        self.refresh(stream)
        return self.ask("POST", f"/{stream}/_search", body)

    def documents(self, stream, sources=True):
        """All documents of a data stream, by their id. None is there twice. `sources`: not only the ids."""
        try:
            self.refresh(stream)
            return self._all(self.ask("POST", f"/{stream}/_pit?keep_alive=1m")["id"], sources)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return {}
            raise

    def _all(self, moment, sources):
        found, place = {}, {}
        asked = {"size": PAGE, "pit": {"id": moment}, "sort": ["_shard_doc"], "_source": sources}
        while True:
            hits = self.ask("POST", "/_search", asked | {"track_total_hits": False} | place)["hits"]["hits"]
            assert not found.keys() & {hit["_id"] for hit in hits}
            found |= {hit["_id"]: hit.get("_source") for hit in hits}
            if len(hits) < PAGE:
                self.ask("DELETE", "/_pit", {"id": moment})
                return found
            place = {"search_after": hits[-1]["sort"]}


class Elastics:
    """Those of a test session: each is started when a test first needs it, and once."""

    def __init__(self):
        self._running = {}

    def __call__(self, version, security=False):
        """One that runs, also after a test that killed it."""
        key = version, security
        if key not in self._running:
            self._running[key] = Elastic(version, security=security).__enter__()
        one = self._running[key]
        return one if one.alive() else one.restart()

    def close(self):
        """Ends all."""
        for one in self._running.values():
            one.__exit__()

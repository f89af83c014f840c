"""Who may speak to a cluster: a token that all peers need, and TLS between them where it is configured."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest
from certificates import certificates
from fakes import Kitchen
from hosts import TAPSCAN, Hosts, needed
from samples import object_of

from engines.failover import Failover, NoCluster
from engines.pool import Pool
from manager.access import access

KITCHEN = Kitchen({"one": ("digest", 10.0, 4)}, {"a": ["one"]})
MARK = secrets.token_hex(16).encode()  # in each object: what a listener on the cable looks for


def of_network(folder, net):
    """A folder as `--tls` wants it, with an authority of its own; good for all hosts of the network."""
    return certificates(folder, *(f"IP:{net}.{number}" for number in range(1, 20)))


class Listener:
    """What goes over the bridge of the hosts: whether a mark was in it."""

    def __init__(self, bridge):
        self.packets = 0
        self.seen = False
        self._stop = Event()
        self._line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._line.bind((bridge, 0))
        self._line.settimeout(0.2)
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._stop.is_set():
            try:
                self.seen |= MARK in self._line.recv(1 << 17)
                self.packets += 1
            except TimeoutError:
                pass

    def heard(self):
        """Ends; gives whether the mark was seen."""
        self._stop.set()
        self._thread.join()
        self._line.close()
        assert self.packets > 20
        return self.seen


def scan(hosts):
    """Objects of all ways to travel, on the other host; whether a listener on the cable sees what is in them."""
    pool = Failover(KITCHEN, hosts.address, lambda outcome: Pool([], outcome=outcome))
    try:
        listener = Listener(hosts.bridge)
        for number, size in enumerate((100, 200_000, 900_000)):
            pool.submit(object_of(MARK * (size // len(MARK) + 1), f"n{number}"), time.monotonic_ns())
        verdicts = [one.verdicts[0] for one in pool.drain()]
        assert {(verdict.status, verdict.host) for verdict in verdicts} == {("clean", "a")}
        time.sleep(0.3)
        return listener.heard()
    finally:
        pool.close()


def refused(hosts):
    """Why a sensor can't use the cluster."""
    with pytest.raises(NoCluster) as error:
        Failover(KITCHEN, hosts.address, lambda outcome: Pool([], outcome=outcome))
    return str(error.value)


def status(hosts, *words):
    command = [*TAPSCAN, "cluster", "status", hosts.address, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


@pytest.fixture
def other_token(tmp_path):
    file = tmp_path / "other-token"
    file.write_text(secrets.token_hex(32))
    return str(file)


def test_without_its_token_nobody_uses_a_cluster(tmp_path, monkeypatch, other_token):
    needed()
    with Hosts(tmp_path) as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        hosts.add("a")
        hosts.wait()
        assert scan(hosts)  # the listener does see what is in the clear
        with ThreadPoolExecutor() as both:  # Ray takes its time to give up
            asked = both.submit(status, hosts, "--token", other_token)
            monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
            monkeypatch.delenv("RAY_AUTH_MODE")
            assert refused(hosts).endswith("are token and TLS those of the cluster?")
        done = asked.result()
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.endswith("are token and TLS those of the cluster?\n")
        assert done.stderr.count("\n") == 1


def test_with_certificates_all_of_it_is_tls(tmp_path, monkeypatch):
    needed()
    made = Hosts(tmp_path)
    folder = of_network(tmp_path / "tls", made.net)
    with Hosts(tmp_path, "--tls", folder) as hosts:
        for name, value in hosts.environment.items():
            monkeypatch.setenv(name, value)
        hosts.add("a")
        hosts.wait()
        assert "has TLS and we have not" in refused(hosts)
        assert "has TLS and we have not" in status(hosts).stderr
        strange = of_network(tmp_path / "strange", hosts.net)
        assert "TLS fails" in status(hosts, "--tls", strange).stderr
        for name, value in access(os.environ["RAY_AUTH_TOKEN_PATH"], folder).items():
            monkeypatch.setenv(name, value)
        assert not scan(hosts)

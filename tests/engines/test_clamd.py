"""Against a real clamd, and against daemons on loopback that misbehave."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from samples import EICAR, object_of

from engines.clamd import Clamd, _age


@pytest.fixture(params=["unix", "tcp"])
def clamd(clamd_daemon, request):
    return Clamd(address=clamd_daemon.socket if request.param == "unix" else f"127.0.0.1:{clamd_daemon.port}")


def test_versions(clamd):
    assert clamd.check() is None
    assert clamd.version.startswith(("1.", "0."))


@pytest.mark.parametrize(
    ("payload", "status", "signature"),
    [
        (EICAR, "malicious", "Test.Eicar.UNOFFICIAL"),
        (b"... odd-marker ...", "malicious", "Test.Odd_name-1.(x)/y.UNOFFICIAL"),
        (b"a yara-marker here", "malicious", "YARA.Own_rule.UNOFFICIAL"),
        (b"nothing", "clean", None),
        (b"", "clean", None),
    ],
)
def test_verdicts(clamd, payload, status, signature):
    verdict = clamd.scan(object_of(payload))
    assert (verdict.status, verdict.signature, verdict.reason) == (status, signature, None)
    assert verdict.rule == ({"name": signature} if signature else None)


@pytest.mark.parametrize("on_disk", [False, True])
def test_large_objects_go_in_chunks(clamd, on_disk):
    payload = bytes(1_500_000) + b"odd-marker"
    assert clamd.scan(object_of(payload, on_disk=on_disk)).status == "malicious"


@pytest.mark.parametrize(("size", "way"), [(100, "_pass"), (4 << 20, "_pass"), (5_000_000, "_send"), (0, "_send")])
def test_small_objects_are_handed_over_as_a_descriptor(clamd_daemon, monkeypatch, size, way):
    clamd, ways = Clamd(address=clamd_daemon.socket), []
    for name in ("_pass", "_send"):
        real = getattr(clamd, name)
        monkeypatch.setattr(clamd, name, lambda *given, name=name, real=real: (ways.append(name), real(*given))[1])
    assert clamd.scan(object_of(bytes(size))).status == ("clean" if size < 5_000_000 else "skipped")
    assert ways == [way]


def test_a_descriptor_that_clamd_may_not_read_costs_no_verdict(tmp_path):
    def answer(connection):
        command = connection.recv(9)
        if command == b"zFILDES\0\0":
            connection.sendall(b"fd[10]: Can't access file ERROR\0")
        else:
            read_stream(connection)
            connection.sendall(b"stream: Odd FOUND\0")
        asked.append(command)

    def serve():
        for _ in range(3):
            connection, _ = listener.accept()
            with connection:
                answer(connection)

    asked, path = [], str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        clamd = Clamd(address=path, timeout=5)
        clamd.version = "known"
        assert [clamd.scan(object_of(EICAR)).signature for _ in range(2)] == ["Odd", "Odd"]
        thread.join(5)
    assert [command[:8] for command in asked] == [b"zFILDES\0", b"zINSTREA", b"zINSTREA"]


def test_over_the_size_limit_is_skipped_and_said(clamd):
    verdict = clamd.scan(object_of(bytes(6 << 20)))
    assert verdict.status == "skipped"
    assert "StreamMaxLength" in verdict.reason


def test_many_at_once(clamd):
    verdicts = []
    threads = [threading.Thread(target=lambda: verdicts.append(clamd.scan(object_of(EICAR)).status)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert verdicts == ["malicious"] * 10


def test_reload_and_restart_are_survived(clamd_daemon):
    clamd = Clamd(address=clamd_daemon.socket)
    assert clamd.scan(object_of(EICAR)).status == "malicious"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(clamd_daemon.socket)
        connection.sendall(b"zRELOAD\0")
        assert b"RELOADING" in connection.recv(100)
    assert clamd.scan(object_of(EICAR)).status == "malicious"
    clamd_daemon.stop()
    gone = clamd.scan(object_of(EICAR))
    assert gone.status == "error"
    assert clamd_daemon.socket in gone.reason
    assert clamd.check() is not None
    clamd_daemon.start()
    assert clamd.check() is None
    assert clamd.scan(object_of(EICAR)).status == "malicious"


class Hostile:
    """A daemon on loopback that answers what it is told to, and counts its connections."""

    def __init__(self, answer):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.answer = answer
        self.connections = 0
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    self.answer(connection, self.connections)
                except OSError:
                    continue

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.fixture
def hostile():
    made = []

    def make(answer):
        made.append(Hostile(answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def read_stream(connection):
    """What a clamd reads of one INSTREAM."""
    data = b""
    while not data.endswith(bytes(4)) or len(data) < 14:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


@pytest.mark.parametrize("said", [b"garbage\0", b"stream: whatever ERROR\0", b"\xff\xfe\0", b""])
def test_what_is_no_verdict_is_an_error_never_clean(hostile, said):
    daemon = hostile(lambda connection, _: (read_stream(connection), connection.sendall(said)))
    clamd = Clamd(address=daemon.address, timeout=5)
    clamd.version = "known"
    verdict = clamd.scan(object_of(b"x"))
    assert verdict.status == "error"
    assert verdict.reason
    assert daemon.connections == 2


def test_a_broken_connection_is_tried_once_more(hostile):
    def answer(connection, number):
        if number > 1:
            read_stream(connection)
            connection.sendall(b"stream: OK\0")

    clamd = Clamd(address=hostile(answer).address, timeout=5)
    clamd.version = "known"
    assert clamd.scan(object_of(b"x" * 100)).status == "clean"


def test_silence_is_a_timeout(hostile):
    release = threading.Event()
    clamd = Clamd(address=hostile(lambda *_: release.wait(10)).address, timeout=0.2)
    clamd.version = "known"
    begun = time.monotonic()
    assert clamd.scan(object_of(b"x")).status == "timeout"
    assert time.monotonic() - begun < 5
    release.set()


def test_an_endless_answer_ends(hostile):
    def answer(connection, _):
        read_stream(connection)
        for _ in range(1000):
            connection.sendall(b"x" * 10_000)

    clamd = Clamd(address=hostile(answer).address, timeout=5)
    clamd.version = "known"
    assert clamd.scan(object_of(b"x")).status == "error"


def test_somebody_else_at_the_socket(hostile):
    daemon = hostile(lambda connection, _: connection.sendall(b"220 smtp ready\r\n\0"))
    assert "not a clamd" in Clamd(address=daemon.address).check()


@pytest.mark.parametrize("address", ["/no/such/socket", "127.0.0.1:1", "nonsense:port", "[::1]:1"])
def test_nobody_at_the_address(address):
    clamd = Clamd(address=address, timeout=2)
    assert address in clamd.check()
    assert clamd.scan(object_of(b"x")).status == "error"


def test_age_of_the_database():
    assert _age("Tue Nov  3 09:31:12 2020") > 86400 * 365
    assert _age("some day") is None
    assert _age(None) is None

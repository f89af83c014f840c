import socket
from threading import Thread

import pytest

from manager import effective as module
from manager.effective import usual_clamd


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    """Something behind a usual socket that answers PING with the given bytes."""

    def start(answer):
        path = str(tmp_path / "clamd.ctl")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()
        monkeypatch.setattr(module, "USUAL_SOCKETS", (str(tmp_path / "absent"), path))

        def serve():
            connection, _ = listening.accept()
            with connection, listening:
                connection.recv(64)
                connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        threads.append(thread)
        return path

    threads = []
    yield start
    for thread in threads:
        thread.join()


def test_a_clamd_behind_its_usual_socket_is_used(daemon):
    path = daemon(b"PONG\0")
    settings, origins = module.effective(None)
    assert [(engine.kind, getattr(engine, "address", None)) for engine in settings.engine] == [
        ("yara", None),
        ("clamd", path),
    ]
    assert origins["engine"] == "what is found on this host"


def test_something_else_behind_it_is_not(daemon):
    daemon(b"hello\0")
    assert usual_clamd() is None


def test_a_socket_that_nobody_listens_on_is_not(tmp_path, monkeypatch):
    path = str(tmp_path / "dead")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    monkeypatch.setattr(module, "USUAL_SOCKETS", (path,))
    assert usual_clamd() is None

"""A real injector process, the network in which it sends, and a connection that it may reset."""

import contextlib
import pickle
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from nouns import another

from manager.action import Request
from manager.children import started
from manager.injector import InjectorTask, sending
from manager.settings import CountermeasureSettings
from sensor.frames import Frame
from sensor.noun import noun

SECRET = b"of this run"
SECONDS = 20


class Injector:
    """`say` is the end of the workers, `hear` reports. `folder`: of the audit and of the stop file."""

    def __init__(self, *interfaces, small=None, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="tapscan-injector-"))
        self.folder.chmod(0o777)  # it becomes nobody
        self.audit, self.stop = self.folder / "frames.jsonl", self.folder / "stop"
        self.workers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as ours:
            ours.enter_context(theirs)
            out = [ours.enter_context(sending(name)) for name in interfaces]
            task = InjectorTask(
                CountermeasureSettings(**{"mode": "enforce"} | settings), SECRET,
                tuple((name, one.fileno()) for name, one in zip(interfaces, out, strict=True)),
                theirs.fileno(), str(self.folder), str(self.stop),
            )  # fmt: skip
            numbers = [theirs.fileno(), *(one.fileno() for one in out)]
            self.process, self.channel = started("manager.injector", task, numbers, small)
        self.channel.settimeout(SECONDS)
        self.ready = pickle.loads(self.channel.recv(1 << 16))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.workers.close()
        assert self.process.wait() == 0
        shutil.rmtree(self.folder)

    def say(self, what):
        self.workers.send(what if isinstance(what, bytes) else pickle.dumps(what))

    def hear(self):
        return pickle.loads(self.channel.recv(1 << 16))

    def asked(self, request):
        self.say(request)
        return self.hear()


ECHO = """
import socket, sys
with socket.create_server(("10.67.0.1", 8080)) as server:
    print("ready", flush=True)
    with server.accept()[0] as one:
        print(one.recv(100).decode(), flush=True)
        sys.stdin.readline()
        one.sendall(b"rest")
        one.shutdown(1)
        print("end", one.recv(100), flush=True)
"""
ASK = """
import socket, sys
with socket.create_connection(("10.67.0.1", 8080), timeout=20) as one:
    one.sendall(b"hello")
    print(one.getsockname()[1], flush=True)
    try:
        print(one.recv(100), flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
"""


@noun
class Talk:
    """A connection: its processes, its client's port, and what is sent next by each end."""

    server: subprocess.Popen
    client: subprocess.Popen
    port: int
    next: tuple[int, int]  # of the client, of the server
    link: bytes  # Ethernet, from server to client


@contextlib.contextmanager
def talking(span):
    """The client has sent five bytes, and waits; the server waits for a line on its standard input."""
    kinds = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with _seen(span) as seen, contextlib.ExitStack() as stack:
        server = stack.enter_context(_running(span.inside(span.server, "python3", "-c", ECHO), kinds))
        assert server.stdout.readline() == "ready\n"
        client = stack.enter_context(_running(span.inside(span.client, "python3", "-c", ASK), kinds))
        port = int(client.stdout.readline())
        assert server.stdout.readline() == "hello\n"
        link, number, expected = _data(seen)
        yield Talk(server, client, port, (number + 5, expected), link[6:12] + link[:6] + link[12:])


@contextlib.contextmanager
def _running(words, kinds):
    with subprocess.Popen(words, **kinds) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def _seen(span):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as seen:
        seen.bind((span.port, 0x0003))
        seen.settimeout(SECONDS)
        yield seen


def _data(seen):
    """Link header, sequence and acknowledgement number of the client's five bytes."""
    while True:
        frame = seen.recv(2000)
        if frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame.endswith(b"hello"):
            return frame[:14], int.from_bytes(frame[38:42], "big"), int.from_bytes(frame[42:46], "big")


def flow_of(span, port):
    ends = {"orig_ip": socket.inet_aton(span.CLIENT), "resp_ip": socket.inet_aton(span.SERVER)}
    return another(orig_port=port, resp_port=8080, **ends)


def reset_of(span, talk, action="one", offset=0):
    """The server is told that the client has reset the connection, and the client that the server has."""
    flow = flow_of(span, talk.port)
    back = talk.link[6:12] + talk.link[:6] + talk.link[12:]
    up = Frame(back, flow.orig_ip, flow.orig_port, flow.resp_ip, 8080, 64, 0x14, talk.next[0] + offset, talk.next[1])
    down = Frame(
        talk.link, flow.resp_ip, 8080, flow.orig_ip, flow.orig_port, 64, 0x14, talk.next[1] + offset, talk.next[0]
    )
    return Request(action, flow, (up, down), span.port)

"""A real injector process, the network in which it sends, and a connection that it may reset."""

import contextlib
import pickle
import shutil
import socket
import struct
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from nouns import another

from manager.action import Request
from manager.children import started
from manager.injector import InjectorTask, sending
from manager.settings import BlockPageSettings, CountermeasureSettings
from reassembly.events import Flow
from sensor.frames import Frame, Notice
from sensor.noun import noun

SECRET = b"of this run"
SECONDS = 20


class Injector:
    """`say` is the end of the workers, `hear` reports. `folder`: of the audit and of the stop file."""

    def __init__(self, *interfaces, small=None, template=None, **settings):
        self.folder = Path(tempfile.mkdtemp(prefix="tapscan-injector-"))
        shutil.chown(self.folder, "nobody")  # who it becomes
        self.audit, self.stop = self.folder / "frames.jsonl", self.folder / "stop"
        self.workers, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with contextlib.ExitStack() as ours:
            ours.enter_context(theirs)
            out = [ours.enter_context(sending(name)) for name in interfaces]
            task = InjectorTask(
                CountermeasureSettings(**{"mode": "enforce"} | settings), SECRET,
                tuple((name, one.fileno()) for name, one in zip(interfaces, out, strict=True)),
                theirs.fileno(), str(self.folder), str(self.stop),
                page=BlockPageSettings(template=template),
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
kind = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 8080), family=kind) as server:
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
with socket.create_connection((sys.argv[1], 8080), timeout=20) as one:
    one.sendall(b"hello")
    print(one.getsockname()[1], flush=True)
    try:
        print(one.recv(100), flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
"""


@noun
class Talk:
    """A connection: its processes, its flow, the link header from server to client, and what each end sends next."""

    server: subprocess.Popen
    client: subprocess.Popen
    flow: Flow
    link: bytes
    next: tuple[int, int]  # of the client, of the server
    stamp: tuple[int, int]  # of what the server sends next (RFC 7323)

    def reset(self, interface, offset=0):
        """The server is told that the client has reset the connection, and the client that the server has."""
        flow, (up, down) = self.flow, self.next
        orig, resp = (flow.orig_ip, flow.orig_port), (flow.resp_ip, flow.resp_port)
        back = self.link[6:12] + self.link[:6] + self.link[12:]
        frames = (
            Frame(back, *orig, *resp, 64, 0x14, up + offset & _NUMBERS, down),
            Frame(self.link, *resp, *orig, 64, 0x14, down + offset & _NUMBERS, up),
        )
        return Request("one", flow, frames, interface)

    def page(self, interface, **more):
        """The server is told that the client has reset the connection, and the client gets a page."""
        asked = self.reset(interface)
        gone, said = asked.frames
        said = replace(said, flags=0x19, **{"stamp": self.stamp} | more)
        return replace(asked, frames=(gone, said), notice=NOTICE)


NOTICE = Notice("ac7", "a <sinkhole>", "http://a.example/setup.exe")
_NUMBERS = 0xFFFFFFFF


@contextlib.contextmanager
def talking(span, server=None, client=None, tag=b""):
    """The client has sent five bytes, and waits; the server waits for a line on its standard input.

    `tag`: VLAN tag of the link header.
    """
    server, client = server or span.SERVER, client or span.CLIENT
    with _seen(span) as seen, contextlib.ExitStack() as stack:
        listening = stack.enter_context(_running(span.inside(span.server, "python3", "-c", ECHO, server)))
        assert listening.stdout.readline() == "ready\n"
        asking = stack.enter_context(_running(span.inside(span.client, "python3", "-c", ASK, server)))
        flow = flow_of(client, int(asking.stdout.readline()), server)
        assert listening.stdout.readline() == "hello\n"
        link, number, expected, stamp = _data(seen)
        back = link[6:12] + link[:6] + tag + link[12:]
        yield Talk(listening, asking, flow, back, (number + 5 & _NUMBERS, expected), stamp)


@contextlib.contextmanager
def _running(words):
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
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
    """Link header, sequence and acknowledgement number of the client's five bytes, and the stamp of their answer."""
    while True:
        frame = seen.recv(2000)
        at = {b"\x08\x00": 34, b"\x86\xdd": 54}.get(frame[12:14])
        if at and frame.endswith(b"hello"):
            seq, ack, own, other = struct.unpack_from("!II12xII", frame, at + 4)  # behind two NOPs and two bytes
            return frame[:14], seq, ack, (other, own)


def flow_of(client, port, server):
    """The flow of such a connection."""
    packed = [socket.inet_pton(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in (client, server)]
    return another(orig_ip=packed[0], orig_port=port, resp_ip=packed[1], resp_port=8080)

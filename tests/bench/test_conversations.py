"""Connections that begin at a rate: real ones to whoever reads them, and half of them without an end."""

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections import Counter

from bench import soak
from bench.conversations import answers, due, frames
from bench.packets import FILE_HEADER
from reassembly.builder import Memory
from reassembly.events import FlowEnd
from reassembly.flows import FlowTable
from reassembly.limits import Limits
from reassembly.objects import Object
from sensor.captures import Capture


def read(path):
    limits = Limits()
    table, capture = FlowTable(limits, Memory(limits)), Capture(str(path))
    found = [one for batch in capture for one in table.feed(batch)]
    found += table.close()
    return [one for one in found if type(one) is Object], [one for one in found if type(one) is FlowEnd]


def test_half_of_them_close_and_all_bring_a_page(tmp_path):
    path = tmp_path / "made.pcap"
    sent = [frames(step, flows) for tick in range(20) for step, flows in due(tick, 10, 50)]
    path.write_bytes(FILE_HEADER + b"".join(sent))
    objects, ends = read(path)
    whole = 10 * (20 - 4)  # those of the last ticks have no answer yet
    assert sorted(one.facts["url.path"] for one in objects) == [f"/item/{50 + n:08}" for n in range(whole)]
    assert all(one.complete and f"item {one.name}".encode() in one.content.memory for one in objects)
    assert Counter(end.how for end in ends) == {"fin": 5 * (20 - 7), "end_of_capture": 200 - 5 * (20 - 7)}
    assert len({one.sha256 for one in objects}) == whole
    assert not any(end.findings or sum(end.missing) for end in ends)
    assert not any(end.flow.midstream for end in ends)


def test_they_go_onto_the_wire_at_that_pace(span, tmp_path):
    words = sys.executable, "-m", "bench.conversations", "eth0", "200", "0.5", "7"
    begun, seen = time.monotonic(), []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as port:  # 3: ETH_P_ALL
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        port.bind((span.port, 3))
        port.setblocking(False)
        command = span.inside(span.client, *words)
        done = subprocess.run(command, check=True, cwd=soak.ROOT, stdout=subprocess.PIPE, timeout=60)
        with contextlib.suppress(BlockingIOError):
            while True:
                seen.append(port.recv(1 << 16))
    assert time.monotonic() - begun > 0.5
    assert int(done.stdout) == 107
    headers = [struct.pack("<IIII", 0, 0, len(frame), len(frame)) for frame in seen]
    path = tmp_path / "seen.pcap"
    path.write_bytes(FILE_HEADER + b"".join(map(bytes.__add__, headers, seen)))
    assert len(read(path)[0]) == answers(200, 0.5) == 10 * (10 - 4)


def test_all_processes_of_a_program_are_found_with_their_memory():
    inner = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as outer:
        assert outer.stdout.readline() == b"1\n"
        found = soak.family(outer.pid)
        assert found[0] == outer.pid
        assert len(found) == 2
        assert all(1 << 20 < soak.resident(one) < 1 << 30 for one in found)
        outer.communicate(b"\n")

"""A real injector sends into a network in which two hosts talk."""

import contextlib
import json
import os
import pickle
import resource
import socket
from dataclasses import replace

import pytest
from injecting import SECRET, Injector, flow_of, reset_of, talking

from manager.action import Request
from sensor.frames import Frame
from sensor.framing import built
from sensor.marks import Mark


def test_a_reset_ends_a_connection(span):
    with talking(span) as talk, Injector(span.port) as injector:
        assert injector.ready is None
        report = injector.asked(reset_of(span, talk))
        assert (report.frames, report.refused) == (2, None)
        assert talk.client.stdout.readline() == "reset\n"


def test_a_reset_beside_the_window_does_not(span):
    with talking(span) as talk, Injector(span.port) as injector:
        assert injector.asked(reset_of(span, talk, offset=-1000)).frames == 2
        goes_on(talk)


def test_dry_run_leaves_it_alone_and_records_the_frame(span):
    with talking(span) as talk, Injector(span.port, mode="dry_run") as injector:
        request = reset_of(span, talk)
        report = injector.asked(request)
        assert (report.frames, report.refused) == (2, None)
        goes_on(talk)
        (record,) = map(json.loads, injector.audit.read_text().splitlines())
    assert record["mode"] == "dry_run"
    assert (record["action"], record["flow"], record["interface"]) == ("one", request.flow.id, span.port)
    assert record["orig"] == ["10.67.0.2", talk.port]
    assert record["frames"] == [built(frame, Mark(SECRET)).hex() for frame in request.frames]


def test_observe_leaves_it_alone_and_records_nothing(span):
    with talking(span) as talk, Injector(span.port, mode="observe") as injector:
        assert injector.asked(reset_of(span, talk)).refused == "the mode is observe"
        goes_on(talk)
        assert injector.audit.read_text() == ""


def test_the_record_is_there_before_the_frame(span):
    """Seen where the frame arrives."""
    with heard_by(span) as wire, Injector(span.port) as injector:
        injector.say(some(span))
        while (frame := wire.recv(2000))[12:14] != b"\x08\x00":
            pass
        assert frame.hex() in injector.audit.read_text()


def test_without_a_record_nothing_is_sent(span):
    with talking(span) as talk, full_disk(), Injector(span.port) as injector:
        report = injector.asked(reset_of(span, talk))
        assert (report.frames, report.refused) == (0, "the record can't be written: File too large")
        goes_on(talk)
        assert injector.audit.read_text() == ""


@pytest.mark.parametrize("said", [b"", b"\0", b"garbage", os.urandom(60000), pickle.dumps([1]), pickle.dumps(Request)])
def test_garbage_costs_nothing(span, said):
    with Injector(span.port) as injector:
        for _ in range(100):
            injector.say(said)
        assert injector.asked(some(span)).frames == 1


@contextlib.contextmanager
def full_disk():
    """Processes that begin now can't write a byte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def goes_on(talk):
    """The connection is alive: the server's answer arrives, and the client's end at the server."""
    talk.server.stdin.write("\n")
    talk.server.stdin.flush()
    assert talk.client.stdout.readline() == "b'rest'\n"
    assert talk.server.stdout.readline() == "end b''\n"


def some(span, action="one", name=None, **more):
    """A request about a connection that isn't there."""
    flow = replace(flow_of(span, 4000), **more)
    link = bytes.fromhex("0200000000010200000000020800")
    frame = Frame(link, flow.orig_ip, flow.orig_port, flow.resp_ip, flow.resp_port, 64, 0x14, 1, 2)
    return Request(action, flow, (frame,), name or span.port)


def heard_by(span):
    """What arrives at the other end of the port's cable."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.settimeout(20)
    wire.bind((span.port + "p", 0x0003))  # ETH_P_ALL: before the bridge takes it
    return wire

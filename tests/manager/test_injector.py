"""A real injector sends into a network in which two hosts talk."""

import contextlib
import json
import os
import pickle
import pwd
import resource
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from injecting import NOTICE, SECRET, Injector, flow_of, talking

from manager.action import Request
from manager.block_page import BlockPage
from manager.injector import renew
from manager.request_checks import PAYLOAD
from manager.settings import BlockPageSettings
from sensor.frames import Frame
from sensor.framing import built
from sensor.marks import Mark


def test_a_reset_ends_a_connection(span):
    with talking(span) as talk, Injector(span.port) as injector:
        assert injector.ready is None
        report = injector.asked(talk.reset(span.port))
        assert (report.frames, report.refused) == (2, None)
        assert talk.client.stdout.readline() == "reset\n"


def test_a_reset_ends_a_connection_of_ipv6(span):
    ends = span.also("eth0", ("fd00:67::1/64",), ("fd00:67::2/64",))
    with talking(span, *ends) as talk, Injector(span.port) as injector:
        assert injector.asked(talk.reset(span.port)).frames == 2
        assert talk.client.stdout.readline() == "reset\n"


def test_a_reset_with_a_tag_ends_a_connection(span):
    """VLAN 0, that has a priority alone: a host takes it though it knows no VLANs (IEEE 802.1Q, 9.6)."""
    with talking(span, tag=b"\x81\x00\xe0\0") as talk, Injector(span.port) as injector:
        assert injector.asked(talk.reset(span.port)).frames == 2
        assert talk.client.stdout.readline() == "reset\n"
        assert "8100e0000800" in injector.audit.read_text()


def test_a_reset_of_the_server_alone(span):
    """Its client still waits, and has told it nothing."""
    with talking(span) as talk, Injector(span.port) as injector:
        request = talk.reset(span.port)
        assert injector.asked(replace(request, frames=request.frames[:1])).frames == 1
        talk.server.stdin.write("\n")
        talk.server.stdin.flush()
        assert talk.server.wait(20) == 1


def test_a_reset_beside_the_window_does_not(span):
    with talking(span) as talk, Injector(span.port) as injector:
        assert injector.asked(talk.reset(span.port, offset=-1000)).frames == 2
        goes_on(talk)


def page_of(template=None):
    """What is said to who asked."""
    said = NOTICE.reason, NOTICE.incident, NOTICE.url
    return BlockPage(BlockPageSettings(template=template)).response(*said)


@pytest.mark.parametrize("stamped", [True, False])
def test_a_page_takes_the_place_of_the_answer(span, stamped):
    with talking(span) as talk, Injector(span.port) as injector:
        request = talk.page(span.port) if stamped else talk.page(span.port, stamp=None)
        report = injector.asked(request)
        assert (report.frames, report.refused) == (2, None)
        assert talk.client.stdout.readline() == f"{page_of()[:100]}\n"
        gone, said = request.frames
        (record,) = map(json.loads, injector.audit.read_text().splitlines())
        sent = gone, replace(said, payload=page_of())
        assert record["frames"] == [built(frame, Mark(SECRET)).hex() for frame in sent]
        talk.server.stdin.write("\n")
        talk.server.stdin.flush()
        assert talk.server.wait(20) == 1  # whose answer nobody awaits any more


def test_a_page_with_a_stamp_of_long_ago_is_not_believed(span):
    """RFC 7323, section 5: the client acknowledges again, to a server that knows of nothing any more."""
    with talking(span) as talk, Injector(span.port) as injector:
        old = (talk.stamp[0] - (1 << 30)) % (1 << 32), talk.stamp[1]
        assert injector.asked(talk.page(span.port, stamp=old)).frames == 2
        assert talk.client.stdout.readline() == "reset\n"


@pytest.mark.parametrize(
    ("text", "ours"),
    [("<p>$reason ($incident) $url", True), ("<p>$reason" + "x" * PAYLOAD, False), ("$url" * 60, False)],
    ids=["short", "long", "made long"],
)
def test_a_page_of_ones_own_and_one_that_is_too_long(span, tmp_path, text, ours):
    (tmp_path / "page.html").write_text(text)
    with heard_by(span) as wire, Injector(span.port, template=str(tmp_path / "page.html")) as injector:
        injector.say(paged(span))
        frame = arrived(wire)
        while not frame[47] & 8:  # PSH
            frame = arrived(wire)
        expected = page_of(str(tmp_path / "page.html")) if ours else page_of()
        assert frame.endswith(b"\r\n\r\n" + expected.partition(b"\r\n\r\n")[2])
        assert len(expected) <= PAYLOAD
        assert injector.hear().frames == 2


def test_what_a_worker_would_say_itself_is_not_sent(span):
    with Injector(span.port) as injector:
        gone, said = paged(span).frames
        forged = replace(paged(span), frames=(gone, replace(said, payload=b"HTTP/1.1 200 OK\r\n\r\n")))
        assert injector.asked(forged).refused == "not a frame"
        assert injector.asked(replace(paged(span), notice=None)).refused == "a frame that is no reset"
        assert injector.audit.read_text() == ""


def test_a_page_that_cannot_be_read_is_said_at_the_start(span, tmp_path):
    with Injector(span.port, template=f"{tmp_path}/none") as injector:
        assert injector.ready == f"block_page.template: {tmp_path}/none: No such file or directory"
    (tmp_path / "latin").write_bytes(b"<p>\xe4")
    with Injector(span.port, template=f"{tmp_path}/latin") as injector:
        assert injector.ready == f"block_page.template: {tmp_path}/latin: isn't UTF-8 at byte 3"


def test_dry_run_leaves_it_alone_and_records_the_frame(span):
    with talking(span) as talk, Injector(span.port, mode="dry_run") as injector:
        request = talk.reset(span.port)
        report = injector.asked(request)
        assert (report.frames, report.refused) == (2, None)
        goes_on(talk)
        (record,) = map(json.loads, injector.audit.read_text().splitlines())
        assert injector.audit.stat().st_mode & 0o777 == 0o600
        assert injector.audit.owner() == "nobody"
    assert record["mode"] == "dry_run"
    assert (record["action"], record["flow"], record["interface"]) == ("one", request.flow.id, span.port)
    assert record["orig"] == ["10.67.0.2", talk.flow.orig_port]
    assert record["frames"] == [built(frame, Mark(SECRET)).hex() for frame in request.frames]


def test_observe_leaves_it_alone_and_records_nothing(span):
    with talking(span) as talk, Injector(span.port, mode="observe") as injector:
        assert injector.asked(talk.reset(span.port)).refused == "the mode is observe"
        goes_on(talk)
        assert injector.audit.read_text() == ""


def test_the_record_is_there_before_the_frame(span):
    """Seen where the frame arrives."""
    with heard_by(span) as wire, Injector(span.port) as injector:
        injector.say(some(span))
        assert arrived(wire).hex() in injector.audit.read_text()


def test_without_a_record_nothing_is_sent(span):
    with talking(span) as talk, full_disk(), Injector(span.port) as injector:
        report = injector.asked(talk.reset(span.port))
        assert (report.frames, report.refused) == (0, "the record can't be written: File too large")
        goes_on(talk)
        assert injector.audit.read_text() == ""


@pytest.mark.parametrize("said", [b"", b"\0", b"garbage", os.urandom(60000), pickle.dumps([1]), pickle.dumps(Request)])
def test_garbage_costs_nothing(span, said):
    with Injector(span.port) as injector:
        for _ in range(100):
            injector.say(said)
        assert injector.asked(some(span)).frames == 1


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


# Opcodes (pickletools): a class's own attribute set; a memo of two thousand million entries; a million nested lists.
KIND = b"cmanager.action\nRequest\n"
SET_ON_CLASS = b"\x80\x02" + KIND + b"N}X\x06\x00\x00\x00framesNs\x86b."
MEMO = b"\x80\x02Nr\xff\xff\xff\x7f."
NESTED = b"\x80\x02" + b"]" * 30000 + b"a" * 29999 + b"."


@pytest.mark.parametrize(
    "said", [pickle.dumps(Evil()), SET_ON_CLASS, MEMO, NESTED], ids=["call", "class", "memo", "deep"]
)
def test_a_pickle_that_lies_costs_nothing(span, said):
    with Injector(span.port) as injector:
        for _ in range(20):
            injector.say(said)
        assert injector.asked(some(span)).frames == 1
        assert len(injector.audit.read_text().splitlines()) == 1
        words = Path(f"/proc/{injector.process.pid}/status").read_text().split()
        assert int(words[words.index("VmHWM:") + 1]) < 256 << 10  # KB


def test_a_request_with_odd_fields_costs_nothing(span):
    with Injector(span.port) as injector:
        for odd in (replace(some(span), action=[]), replace(some(span), flow=None), replace(some(span), frames=None)):
            injector.say(odd)
        assert injector.asked(replace(some(span), frames=(None,))).refused == "not a frame"
        assert injector.asked(some(span)).frames == 1


def test_it_has_no_rights(span):
    with Injector(span.port) as injector:
        said = Path(f"/proc/{injector.process.pid}/status").read_text().split("\n")
    status = {name: value.split() for name, _, value in (line.partition(":") for line in said)}
    assert status["Name"] == ["tapscan-inject"]
    assert set(status["Uid"]) == {str(pwd.getpwnam("nobody").pw_uid)}
    assert {int(status[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]


def test_a_manager_that_hears_nothing_holds_nothing_up(span):
    """Its channel is full after a few reports; frames go out all the same, and the last reports are lost."""
    count = 200
    with heard_by(span) as wire, Injector(span.port, small=1, per_second=1e6, per_host=1e6, hosts=1000) as injector:
        for number in range(count):
            injector.say(some(span, id=f"{number:x}"))
        while read_lines(injector.audit) < count:
            arrived(wire)
        injector.channel.setblocking(False)
        reports = 0
        with contextlib.suppress(BlockingIOError):
            while injector.hear():
                reports += 1
        assert 0 < reports < count
        injector.channel.settimeout(20)
        assert injector.asked(some(span, id="after")).frames == 1


def test_too_many_hosts_stop_everything_until_the_file_is_gone(span):
    with Injector(span.port, hosts=2) as injector:
        told = [injector.asked(some(span, id=str(last), orig_ip=bytes((10, 67, 1, last)))) for last in range(3)]
        why = "more than 2 hosts within five minutes"
        assert [one.refused for one in told] == [None, None, why]
        assert injector.stop.read_text() == why + "\n"
        assert injector.asked(some(span, id="later")).refused == f"{injector.stop} exists"
        injector.stop.unlink()
        assert injector.asked(some(span, id="later")).frames == 1


def test_an_interface_that_is_not_ours_or_down_or_gone(span):
    with Injector(span.port) as injector:
        assert injector.asked(some(span, id="a", name="eth99")).refused == "nothing is sent on eth99"
        span.down()
        assert injector.asked(some(span, id="b")).refused == "can't be sent: Network is down"
        span.up()
        assert injector.asked(some(span, id="c")).frames == 1
        span.unplug()
        assert injector.asked(some(span, id="d")).refused == "can't be sent: No such device or address"
        span.plug()
        renew(injector.channel, span.port)
        assert injector.asked(some(span, id="e")).frames == 1


def test_one_interface_for_all_and_a_gateway(span):
    with heard_by(span) as wire, Injector(span.port, interface=span.port, gateway_mac="02:0a:0b:0c:0d:0e") as injector:
        injector.say(some(span, name="eth99"))
        assert arrived(wire)[:12].hex(":") == "02:0a:0b:0c:0d:0e:02:00:00:00:00:02"


def test_several_workers_ask_and_one_that_goes_is_not_the_end(span):
    with Injector(span.port) as injector, injector.workers.dup() as other:
        assert injector.asked(some(span, id="a")).frames == 1
        injector.workers.close()
        other.send(pickle.dumps(some(span, id="b")))
        assert injector.hear().frames == 1
        other.close()
        renew(injector.channel, span.port)  # it still hears the manager


def test_the_manager_gets_no_scapy_from_it():
    code = "import sys, manager.injector; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_manager_is_gone(span):
    with Injector(span.port) as injector:
        for number in range(5):
            injector.say(some(span, id=str(number)))
        injector.channel.close()  # reports that nobody hears; it ends in order


def test_a_gateway_that_is_no_address_is_said(span):
    with Injector(span.port, gateway_mac="nonsense") as injector:
        assert "nonsense" in injector.ready or "hexadecimal" in injector.ready


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
    flow = replace(flow_of(span.CLIENT, 4000, span.SERVER), **more)
    link = bytes.fromhex("0200000000010200000000020800")
    frame = Frame(link, flow.orig_ip, flow.orig_port, flow.resp_ip, flow.resp_port, 64, 0x14, 1, 2)
    return Request(action, flow, (frame,), name or span.port)


def paged(span):
    """The same, with a page."""
    asked = some(span)
    (gone,) = asked.frames
    said = replace(
        gone, source=gone.target, source_port=gone.target_port, target=gone.source, target_port=gone.source_port
    )
    return replace(asked, frames=(gone, replace(said, flags=0x19)), notice=NOTICE)


def heard_by(span):
    """What arrives at the other end of the port's cable."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.settimeout(20)
    wire.bind((span.port + "p", 0x0003))  # ETH_P_ALL: before the bridge takes it
    return wire


def arrived(wire):
    """The next frame with IPv4."""
    while (frame := wire.recv(2000))[12:14] != b"\x08\x00":
        pass
    return frame


def read_lines(path):
    return path.read_bytes().count(b"\n")

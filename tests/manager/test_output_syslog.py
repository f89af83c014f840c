"""Documents as syslog: real sockets with and without TLS, rsyslogd, receivers that go away."""

import json
import re
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from certificates import certificates
from receivers import SECONDS, Datagrams, Receiver, Stream, document, lines, record

from manager.bulk import Later, Refused
from manager.chosen import Item
from manager.output_settings import SyslogSettings
from manager.output_syslog import SyslogTarget
from manager.syslog_message import bounded, framed, message, severity

RFC5424 = re.compile(rb"<(\d+)>1 (\S+) (\S+) (\S+) (\S+) (\S+) (-|\[(?:[^\]\\]|\\.)*\]) (.*)", re.S)


@pytest.fixture
def made():
    """Makes targets, and closes them."""
    all_of_them = []

    def make(address, **more):
        all_of_them.append(SyslogTarget(SyslogSettings("siem", address, timeout=more.pop("timeout", 10.0), **more)))
        return all_of_them[-1]

    yield make
    for one in all_of_them:
        one.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls") / "it")


def item(**more):
    one = document(1, **more)
    return Item(record(1), one, json.dumps(one).encode())


def said(texts):
    return [json.loads(RFC5424.fullmatch(text)[8]) for text in texts]


def test_the_header():
    priority, *rest, text = RFC5424.fullmatch(message(item(), "local3")).groups()
    assert int(priority) == 19 * 8 + 3
    assert rest[:5] == [b"2026-11-25T12:00:00.000001Z", b"tap.example.org", b"tapscan", b"-", b"alarm"]
    assert rest[5] == b'[tapscan@32473 id="id-1" dataset="tapscan.alarm" severity="73"]'
    assert json.loads(text) == document(1)


def test_a_header_of_whatever_there_is():
    empty = Item(record(1), {"event": {"id": 'a"]\\'}, "observer": {"hostname": "ä b\n" * 200}}, b"{}")
    _, when, host, _, _, kind, data, text = RFC5424.fullmatch(message(empty, "user")).groups()
    assert (when, kind, text, len(host)) == (b"-", b"-", b"{}", 255)
    assert data == rb'[tapscan@32473 id="a\"\]\\" dataset="-"]'
    assert host.startswith(b"?")
    RFC5424.fullmatch(message(Item(record(1), {}, b"{}"), "daemon"))


@pytest.mark.parametrize(("steps", "found"), [(99, 2), (73, 3), (47, 4), (21, 5), (1, 5), (0, 6)])
def test_severities(steps, found):
    assert severity(steps) == found


def test_frames_and_bounds():
    assert framed("ä".encode()) == b"2 \xc3\xa4"
    assert bounded(b"abcdef", 6) == b"abcdef"
    assert bounded(b"abcdefg", 6) == b"abc..."
    for most in range(12):
        cut = bounded("äöü€".encode() * 3, most)
        assert len(cut) <= max(most, 3)
        cut.decode()


def test_over_tcp(made):
    with Stream() as receiver:
        target = made(receiver.address)
        assert target.send([record(1), record(2), record(3, "object")]).stored == 2
        assert target.send([record(4)]).stored == 1
        assert said(receiver.take(3)) == [document(1), document(2), document(4)]
        target.close()


def test_over_udp_and_cut(made, caplog):
    with Datagrams() as receiver:
        target = made(receiver.address, transport="udp", max_datagram=500)
        assert target.send([record(1), record(2, note="ä" * 500), record(3, note="ä" * 500)]).stored == 3
        first, second, _ = receiver.take(3)
        assert said([first]) == [document(1)]
        assert len(second) in (499, 500)
        assert second.endswith("ä...".encode())
    assert caplog.text.count("are cut") == 1


def test_nobody_listens(made):
    with Stream() as receiver:
        address = receiver.address
    with pytest.raises(Later, match=f"{address}: Connection refused"):
        made(address).send([record(1)])


def test_a_connection_that_was_ended_is_made_anew(made):
    with Stream() as receiver:
        target = made(receiver.address)
        target.send([record(1)])
        receiver.take(1)
        receiver.hang_up()
        while target._socket.recv(1, 2):  # its end has come
            pass
        assert target.send([record(2)]).stored == 1
        assert said(receiver.take(1)) == [document(2)]


def test_a_receiver_that_comes_back(made):
    with Stream() as receiver:
        target = made(receiver.address)
        target.send([record(1)])
        receiver.take(1)
    with pytest.raises(Later):
        target.send([record(2)])
    with Stream(receiver.port) as again:
        assert target.send([record(2)]).stored == 1
        assert said(again.take(1)) == [document(2)]
        target.close()


class Silent(Receiver):
    """Takes a connection and never reads."""

    def __init__(self):
        super().__init__()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self):
        self._listener.close()


def test_what_the_other_host_has_not_acknowledged_has_not_been_sent(made):
    with Silent() as receiver:
        target = made(receiver.address, timeout=0.3)
        with pytest.raises(Later, match=r"takes no more|timed out"):
            target.send([record(number, note="x" * 10_000) for number in range(400)])
        with pytest.raises(Later, match=r"takes no more|timed out"):  # little enough for our own buffers
            target.send([record(number, note="x" * 10_000) for number in range(20)])


def test_a_link_that_is_slow_has_time(made):
    """Longer than the time-out altogether, but never so long for nothing."""
    with Stream(pause=0.02) as receiver:
        target = made(receiver.address, timeout=0.5)
        many = [record(number, note="x" * 100_000) for number in range(60)]
        assert target.send(many).stored == 60
        assert len(receiver.take(60)) == 60
        target.close()


def test_over_tls(made, tls):
    with Stream(folder=tls) as receiver:
        target = made(receiver.address, transport="tls", ca_file=f"{tls}/ca.pem")
        assert target.send([record(number) for number in range(300)]).stored == 300
        assert said(receiver.take(300)) == [document(number) for number in range(300)]
        target.close()


def test_a_certificate_that_is_not_believed(made, tls):
    with Stream(folder=tls) as receiver:
        with pytest.raises(Refused, match="its certificate: unable to get local issuer"):
            made(receiver.address, transport="tls").send([record(1)])
        named = receiver.address.replace("127.0.0.1", "0.0.0.0")
        with pytest.raises(Refused, match="IP address mismatch"):
            made(named, transport="tls", ca_file=f"{tls}/ca.pem").send([record(1)])
        target = made(receiver.address, transport="tls", verify=False)
        assert target.send([record(1)]).stored == 1
        receiver.take(1)
        target.close()


def test_who_asks_who_we_are(made, tls):
    with Stream(folder=tls, asks=True) as receiver:
        words = {"transport": "tls", "ca_file": f"{tls}/ca.pem"}
        with pytest.raises(Later, match=r"certificate required|closed|reset"):
            made(receiver.address, **words).send([record(1)])
        assert receiver.came.empty()
        target = made(receiver.address, **words, cert_file=f"{tls}/cert.pem", key_file=f"{tls}/key.pem")
        assert target.send([record(2)]).stored == 1
        assert said(receiver.take(1)) == [document(2)]
        target.close()


def test_plain_text_where_tls_is_expected(made, tls):
    with Stream() as receiver, pytest.raises(Later):
        made(receiver.address, transport="tls", verify=False, timeout=0.5).send([record(1)])
    assert receiver.came.empty()


RSYSLOGD = Path("/usr/sbin/rsyslogd")
RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k")
module(load="imtcp")
input(type="imtcp" port="0" address="127.0.0.1" listenPortFileName="{folder}/port")
template(name="seen" type="list" option.jsonf="on") {{
  property(outname="priority" name="pri" format="jsonf") property(outname="app" name="app-name" format="jsonf")
  property(outname="host" name="hostname" format="jsonf") property(outname="kind" name="msgid" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf") property(outname="text" name="msg" format="jsonf")
}}
action(type="omfile" file="{folder}/seen" template="seen")
"""


class Rsyslog:
    """The real one, in a folder."""

    def __init__(self, folder):
        if not RSYSLOGD.exists():
            pytest.skip("rsyslogd not installed (Debian: rsyslog)")
        folder.mkdir()
        self.seen = folder / "seen"
        self._port = folder / "port"
        (folder / "conf").write_text(RSYSLOG.format(folder=folder))
        words = [RSYSLOGD, "-n", "-f", folder / "conf", "-i", folder / "pid"]
        self._process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        self._until(lambda: self._port.exists() and self._port.read_text())
        self.address = f"127.0.0.1:{int(self._port.read_text())}"
        return self

    def take(self, count):
        self._until(lambda: self.seen.exists() and self.seen.read_bytes().count(b"\n") >= count)
        return list(map(json.loads, lines(self.seen)))

    def _until(self, holds):
        look = threading.Event()
        for _ in range(SECONDS * 100):
            if holds():
                return
            assert self._process.poll() is None, self._process.stderr.read()
            look.wait(0.01)
        raise AssertionError("rsyslogd has not done it")

    def __exit__(self, *_):
        self._process.terminate()
        self._process.communicate()


def test_rsyslog_reads_them(made, tmp_path):
    with Rsyslog(tmp_path / "rsyslog") as rsyslog:
        target = made(rsyslog.address)
        long = record(2, note="x" * 20_000)
        assert target.send([record(1), long, record(3, "health")]).stored == 3
        seen = rsyslog.take(3)
        target.close()
    assert [json.loads(one["text"])["event"]["id"] for one in seen] == ["id-1", "id-2", "id-3"]
    assert [one["kind"] for one in seen] == ["alarm", "alarm", "health"]
    assert {(one["priority"], one["app"], one["host"]) for one in seen} == {("131", "tapscan", "tap.example.org")}
    assert seen[0]["data"] == '[tapscan@32473 id="id-1" dataset="tapscan.alarm" severity="73"]'
    assert json.loads(seen[0]["text"]) == document(1)

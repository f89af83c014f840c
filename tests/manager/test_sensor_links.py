"""`tapscan sensor` on links of all kinds: what passes is whole, or says what is missing."""

import contextlib
import hashlib
import os
import random
import socket
from collections import Counter

import pytest
from nouns import web
from scapy.compat import raw
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from sensing import Sensor, documents, fetch, of, serving

NO_TAGS = "[reassembly]\ntrack_vlan = false\n"


def sha256(payload):
    return hashlib.sha256(payload).hexdigest()


def tried(span, ports, tmp_path, eicar, address=None):
    """Real servers and a real client; what the sensor found of them on the ports."""
    files = {"eicar.com": eicar, "noise.bin": os.urandom(2_000_000)}
    with serving(span, files, tmp_path / "www", address):
        sensor = Sensor(tmp_path, *(word for port in ports for word in ("-i", port)), "--json")
        fetch(span, *files, address=address)
        code, out, err = sensor.end()
    assert (code, err) == (0, "")
    found = documents(out)
    seen = Counter((one["network"]["protocol"], one["file"]["hash"]["sha256"]) for one in of(found, "object"))
    for name, payload in files.items():
        assert [seen[protocol, sha256(payload)] for protocol in ("http", "ftp-data", "smtp")] == [1, 1, 1], name
    assert sorted(one["network"]["protocol"] for one in of(found, "alarm")) == ["ftp-data", "http", "smtp"]
    return found


@pytest.mark.parametrize("size", [9000, 65535])
def test_large_frames(span, tmp_path, eicar, size):
    span.mtu(size)
    tried(span, [span.port], tmp_path, eicar)


def test_ipv6(span, tmp_path, eicar):
    server, _ = span.also("eth0", ("fd67::1/64",), ("fd67::2/64",))
    found = tried(span, [span.port], tmp_path, eicar, server)
    assert {one["network"]["type"] for one in of(found, "object")} == {"ipv6"}


def test_inside_of_a_vxlan(span, tmp_path, eicar):
    outer = "type", "vxlan", "id", "42", "dstport", "4789"
    ends = [
        (*outer, "local", here, "remote", there, "dev", "eth0", address)
        for here, there, address in (
            (span.SERVER, span.CLIENT, "10.68.0.1/24"),
            (span.CLIENT, span.SERVER, "10.68.0.2/24"),
        )
    ]
    server, client = span.also("vx0", *ends)
    found = tried(span, [span.port], tmp_path, eicar, server)
    assert {one["source"]["ip"] for one in of(found, "object")} <= {server, client}


def test_both_ports_of_a_tap(span, tmp_path, eicar):
    tried(span, span.tap(), tmp_path, eicar)


OTHERWISE = """[sensor]
workers = 2
block_timeout = 20
promiscuous = false
clock = "hardware"
fanout = "hash+defrag"
"""


@pytest.mark.parametrize(
    ("ring", "why"), [(8 << 20, "{port}: it has no clock"), (0, "without a ring there is no other")]
)
def test_captured_otherwise_with_a_word_on_what_does_not_fit(span, tmp_path, eicar, ring, why):
    (tmp_path / "tapscan.toml").write_text(f"{OTHERWISE}ring = {ring}\n")
    with serving(span, {"eicar.com": eicar}, tmp_path / "www"):
        sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "tapscan.toml", "--record", "kept")
        sensor.says("watching")
        fetch(span, "eicar.com")
        code, out, err = sensor.end()
    assert code == 0
    assert {one["network"]["protocol"] for one in of(documents(out), "alarm")} >= {"http", "smtp"}
    said = [line for line in (sensor.said + err).splitlines() if "warning" in line]
    assert said == [
        f'tapscan: warning: clock = "hardware": packets have the kernel\'s time ({why.format(port=span.port)})',
        'tapscan: warning: fanout = "hash+defrag": FTP data may go to another worker than its control connection; '
        'fanout = "flow" keeps them together',
    ]


def test_without_the_ring_of_the_kernel(span, tmp_path, eicar):
    (tmp_path / "tapscan.toml").write_text("[sensor]\nworkers = 2\nring = 0\n")
    payload = os.urandom(100_000)
    with serving(span, {"eicar.com": eicar, "a.bin": payload}, tmp_path / "www"):
        sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "tapscan.toml")
        fetch(span, "eicar.com", "a.bin")
        code, out, err = sensor.end()
    assert (code, err) == (0, "")
    found = documents(out)
    assert len(of(found, "alarm")) == 3
    assert sum(one["file"]["hash"]["sha256"] == sha256(payload) for one in of(found, "object")) == 3


def heard(span, frames, tmp_path, settings=""):
    """What the sensor found of frames that somebody sends to its port."""
    (tmp_path / "some.toml").write_text(settings)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "some.toml")
    with contextlib.closing(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)) as out:
        out.bind((span.port + "p", 0))
        for frame in frames:
            out.send(raw(frame))
    code, text, err = sensor.end()
    assert (code, err) == (0, "")
    return documents(text)


def ethernet(packets, *tags):
    """Frames; `tags` are those of the one direction and of the other, the outer first."""
    for packet in packets:
        head = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=packet[Ether].type)
        for tag in tags[packet.sport == 80] if tags else ():
            head.type = {Dot1AD: 0x88A8, Dot1Q: 0x8100}[type(tag)] if head.haslayer(Ether) else None
            head /= tag.copy()
        yield head / packet[Ether].payload


@pytest.mark.parametrize(
    ("tags", "outer", "inner"),
    [((Dot1Q(vlan=10),), "10", None), ((Dot1AD(vlan=20), Dot1Q(vlan=30)), "20", "30")],
    ids=["802.1Q", "QinQ"],
)
def test_tags(span, tmp_path, eicar, tags, outer, inner):
    frames = ethernet(web(("/bad.com", eicar)), tags, tags)
    (alarm,) = of(heard(span, frames, tmp_path), "alarm")
    assert alarm["network"]["vlan"]["id"] == outer
    assert alarm["network"].get("inner", {}).get("vlan", {}).get("id") == inner


def test_directions_with_tags_of_their_own(span, tmp_path, eicar):
    frames = [*ethernet(web(("/bad.com", eicar)), (Dot1Q(vlan=10),), (Dot1Q(vlan=20),))]
    apart = of(heard(span, frames, tmp_path), "alarm")
    assert not any("url" in one for one in apart)  # the question is in another flow
    (alarm,) = of(heard(span, frames, tmp_path, NO_TAGS), "alarm")
    assert alarm["url"]["path"] == "/bad.com"


def test_what_comes_twice_and_in_another_order_is_whole(span, tmp_path):
    payload, chance = random.Random(1).randbytes(200_000), random.Random(2)
    frames = [*ethernet(web(("/a.bin", payload)))]
    late = sorted(range(len(frames)), key=lambda at: at + chance.random() * 5 * (3 < at < len(frames) - 5))
    sent = [frames[at] for at in late for _ in range(1 + (chance.random() < 0.1))]
    assert sent != frames
    (found,) = of(heard(span, sent, tmp_path), "object")
    assert found["file"]["hash"]["sha256"] == sha256(payload)
    assert found["tapscan"]["object"]["complete"]


def test_what_is_missing_is_said(span, tmp_path):
    payload = random.Random(1).randbytes(200_000)
    frames = [*ethernet(web(("/a.bin", payload)))]
    lost = frames.pop(len(frames) // 2)
    (found,) = of(heard(span, frames, tmp_path), "object")
    assert not found["tapscan"]["object"]["complete"]
    assert found["tapscan"]["object"]["missing_bytes"] == len(lost.load)
    assert found["tapscan"]["object"]["cut"] == "capture_loss"  # the client has acknowledged it

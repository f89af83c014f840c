"""The columns against two other decoders: dpkt, packet by packet, and Wireshark's."""

import io
import random
import shutil
import signal
import subprocess

import dpkt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import PcapNgWriter, PcapWriter

from sensor.captures import open_capture


def some_packet(source):
    """Any of the common shapes, with random fields."""
    layers = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for _ in range(source.choice([0, 0, 0, 1, 2])):
        layers /= Dot1Q(vlan=source.randrange(4096))
    if source.random() < 0.6:
        src = ".".join(str(source.randrange(1, 224)) for _ in range(4))
        layers /= IP(src=src, dst="192.0.2.7", options=source.choice([[], [IPOption_NOP()] * 4]))
    else:
        layers /= IPv6(src=f"2001:db8::{source.randrange(1, 65535):x}", dst="2001:db8:ffff::1")
        for header in source.choice([[], [], [IPv6ExtHdrDestOpt()], [IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt()]]):
            layers /= header
    ports = {"sport": source.randrange(65536), "dport": source.randrange(1, 65536)}
    if source.random() < 0.7:
        options = source.choice([[], [("NOP", None)] * 4, [("Timestamp", (source.randrange(1 << 32), 5))]])
        fields = {name: source.randrange(1 << 32) for name in ("seq", "ack")}
        layers /= TCP(**ports, **fields, flags=source.randrange(256), window=source.randrange(65536), options=options)
    else:
        layers /= UDP(**ports)
    return layers / Raw(source.randbytes(source.choice([0, 1, 7, 100, 1400])))


def written(packets, path, kind):
    writer = PcapNgWriter(str(path)) if kind == "pcapng" else PcapWriter(str(path), linktype=1)
    with writer:
        for number, packet in enumerate(packets):
            packet.time = 1_700_000_000 + number
            writer.write(packet)


def by_dpkt(frame):
    """What dpkt makes of one frame: the columns' values, as a tuple."""
    ether = dpkt.ethernet.Ethernet(frame)
    network = ether.data
    transport = network.data
    tags = [tag.id for tag in getattr(ether, "vlan_tags", [])] + [0, 0]
    numbers = (0, 0, 0, 0)
    if isinstance(transport, dpkt.tcp.TCP):
        numbers = (transport.seq, transport.ack, transport.flags & 255, transport.win)
    ends = [
        bytes(end).rjust(16, b"\0") if len(end) == 16 else bytes(10) + b"\xff\xff" + end
        for end in (network.src, network.dst)
    ]
    protocol = 6 if isinstance(transport, dpkt.tcp.TCP) else 17
    return (*ends, transport.sport, transport.dport, protocol, tags[0] | tags[1] << 12, *numbers, bytes(transport.data))


def by_columns(batch, row):
    ends = [
        (int(getattr(batch, side + "_hi")[row]) << 64 | int(getattr(batch, side + "_lo")[row])).to_bytes(16, "big")
        for side in ("src", "dst")
    ]
    names = ("sport", "dport", "protocol", "vlan", "seq", "ack", "flags", "window")
    start = int(batch.payload[row])
    payload = bytes(batch.buffer[start : start + int(batch.length[row])])
    return (*ends, *(int(getattr(batch, name)[row]) for name in names), payload)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1 << 32), kind=st.sampled_from(["pcap", "pcapng"]))
def test_columns_equal_dpkt(tmp_path_factory, seed, kind):
    source = random.Random(seed)
    packets = [some_packet(source) for _ in range(20)]
    path = tmp_path_factory.getbasetemp() / "dpkt.cap"
    written(packets, path, kind)
    rows = [by_columns(batch, row) for batch in open_capture(str(path)) for row in range(len(batch))]
    assert rows == [by_dpkt(bytes(packet)) for packet in packets]


@pytest.mark.parametrize("kind", ["pcap", "pcapng"])
def test_columns_equal_wireshark(tmp_path, kind):
    if not (tshark := shutil.which("tshark")):
        pytest.skip("tshark is not installed")
    path = tmp_path / "a.cap"
    source = random.Random(5)
    written([some_packet(source) for _ in range(300)], path, kind)
    fields = ["frame.time_epoch", "tcp.seq_raw", "tcp.len", "tcp.srcport", "tcp.window_size_value"]
    command = [tshark, "-n", "-r", str(path), "-Y", "tcp", "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    theirs = subprocess.run(command, capture_output=True, check=True, text=True).stdout.splitlines()
    ours = []
    for batch in open_capture(str(path)):
        for row in np.flatnonzero(batch.protocol == 6).tolist():
            time = f"{int(batch.time[row]) / 1e9:.9f}"
            ours.append(
                "\t".join(map(str, [time, batch.seq[row], batch.length[row], batch.sport[row], batch.window[row]]))
            )
    assert len(theirs) > 150
    assert ours == theirs


@pytest.fixture
def _signals():
    """The event loop that pyshark leaves behind hears of every child that ends, in a pipe that nobody reads."""
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, handler)


@pytest.mark.usefixtures("_signals")
def test_pyshark_reads_the_same_reassembled_datagram(tmp_path):
    """A datagram in fragments, as Wireshark puts it together."""
    pyshark = pytest.importorskip("pyshark")
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    path = tmp_path / "fragments.pcap"
    whole = IP(src="10.1.1.1", dst="10.1.1.2", id=9) / TCP(sport=5, dport=6, seq=77) / Raw(b"0123456789abcdef" * 200)
    pieces = [Ether() / IP(bytes(piece)) for piece in whole.fragment(600)]
    written([pieces[1], pieces[0], *pieces[2:]], path, "pcap")
    with pyshark.FileCapture(str(path), display_filter="tcp") as found:
        (packet,) = list(found)
    (batch,) = list(open_capture(str(path)))
    assert len(batch) == 1
    assert (int(packet.tcp.seq_raw), int(packet.tcp.len)) == (int(batch.seq[0]), int(batch.length[0])) == (77, 3200)


def test_dpkt_reads_our_captures():
    """The writer that these tests use is right."""
    from capturefile import pcap, segment

    ((time, frame),) = dpkt.pcap.Reader(io.BytesIO(pcap([segment(b"x")])))
    assert (time, frame) == (1_700_000_000, segment(b"x"))

"""Makes captures: TCP conversations, and single packets, as scapy packets with their times.

    python tests/cases/capture.py CASE FILE     writes the capture of tests/cases/CASE

A case's `make.py` has `packets()`, which gives packets in the order of the wire; the same call gives the same bytes.
`COMMAND`, if it is there, is the command that the case is for ("scan"), else it is "extract".
"""

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.utils import EDecimal, PcapWriter

BEGAN = 1_700_000_000_000_000  # microseconds since 1970
MSS = 1460


def eicar() -> bytes:
    """The test file of EICAR, put together here so that no file of the project is one."""
    return b"-".join((b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR", b"STANDARD", b"ANTIVIRUS", b"TEST", b"FILE!$H+H*"))


class Conversation:
    """One TCP connection. Each call gives the packets of one thing that its ends do; time moves 1 ms a packet."""

    def __init__(self, orig: str, resp: str, *, at: float = 0.0, tags: Iterable[Packet] = (), isn: int = 1000) -> None:
        """Ends are `address:port` (IPv6 in brackets); `at` is in seconds from the begin of the capture."""
        self._ends = tuple(self.end(end) for end in (orig, resp))
        self._next = [isn, isn + 1_000_000]
        self._time = BEGAN + int(at * 1e6)
        self._tags = tuple(tags)

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self._time += int(seconds * 1e6)

    def open(self) -> Iterator[Packet]:
        """The handshake."""
        yield self._packet(0, "S")
        self._next[0] += 1
        yield self._packet(1, "SA")
        self._next[1] += 1
        yield self._packet(0, "A")

    def orig(self, payload: bytes) -> Iterator[Packet]:
        """What the originator sends."""
        return self._send(0, payload)

    def resp(self, payload: bytes) -> Iterator[Packet]:
        """What the responder sends."""
        return self._send(1, payload)

    def close(self) -> Iterator[Packet]:
        """FIN of both, the responder first."""
        for direction in (1, 0):
            yield self._packet(direction, "FA")
            self._next[direction] += 1
        yield self._packet(1, "A")

    def talk(self, *lines: bytes) -> Iterator[Packet]:
        """A dialogue that the responder begins, as in SMTP and FTP: each in turn sends a line, an empty one nothing."""
        for number, line in enumerate(lines):
            yield from self._send(1 - number % 2, line)

    def _send(self, direction: int, payload: bytes) -> Iterator[Packet]:
        for start in range(0, len(payload), MSS):
            piece = payload[start : start + MSS]
            last = start + MSS >= len(payload)
            yield self._packet(direction, "PA" if last else "A", piece)
            self._next[direction] += len(piece)
        if payload:
            yield self._packet(1 - direction, "A")

    def _packet(self, direction: int, flags: str, payload: bytes = b"") -> Packet:
        (source, sport), (destination, dport) = self._ends[direction], self._ends[1 - direction]
        packet: Packet = Ether(src=f"02:00:00:00:00:0{1 + direction}", dst=f"02:00:00:00:00:0{2 - direction}")
        for tag in self._tags:
            packet /= tag.copy()
        network = IPv6(src=source, dst=destination) if ":" in source else IP(src=source, dst=destination, id=1)
        ack = self._next[1 - direction] if "A" in flags else 0
        packet /= network / TCP(sport=sport, dport=dport, seq=self._next[direction], ack=ack, flags=flags, window=65535)
        packet.time = EDecimal(self._time) / 1_000_000
        self._time += 1000
        return packet / Raw(payload) if payload else packet

    @staticmethod
    def end(text: str) -> tuple[str, int]:
        """Address and port."""
        address, port = text.rsplit(":", 1)
        return address.strip("[]"), int(port)


def datagram(orig: str, resp: str, payload: bytes, *, at: float) -> Packet:
    """One UDP packet over IPv4."""
    (source, sport), (destination, dport) = Conversation.end(orig), Conversation.end(resp)
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src=source, dst=destination, id=1)
    packet = packet / UDP(sport=sport, dport=dport) / Raw(payload)
    packet.time = EDecimal(BEGAN + int(at * 1e6)) / 1_000_000
    return packet


def write(packets: Iterable[Packet], path: Path) -> None:
    """A pcap file of Ethernet frames in microseconds."""
    with PcapWriter(str(path), linktype=1, nano=False) as writer:
        for packet in packets:
            writer.write(packet)


def maker(case: Path) -> ModuleType:
    """The `make.py` of a case's folder."""
    spec = importlib.util.spec_from_file_location(f"case_{case.name}", case / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make(case: Path, path: Path) -> None:
    """Writes the capture of a case's folder."""
    write(maker(case).packets(), path)


if __name__ == "__main__":
    make(Path(__file__).parent / sys.argv[1], Path(sys.argv[2]))

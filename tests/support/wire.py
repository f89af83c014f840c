"""Packets written as tuples, for tests of reassembly: no capture file, no link layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sensor.packets import ACK, FIN, SYN, TCP, PacketBatch, mapped

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 80)
MILLISECOND = 1_000_000


def ipv4(text):
    return mapped(int.from_bytes(bytes(map(int, text.split("."))), "big"))


@dataclass
class Packet:
    """One packet; addresses are (ip, port) pairs, `time` is nanoseconds."""

    time: int
    src: tuple
    dst: tuple
    seq: int = 0
    ack: int = 0
    flags: int = ACK
    payload: bytes = b""
    window: int = 65535
    urgent: int = 0
    wire_length: int | None = None
    protocol: int = TCP
    vlan: int = 0
    options: bytes = b""


def batch_of(packets, capture="test.pcap"):
    """A PacketBatch of these packets: a frame is 20 bytes of transport header, options, payload."""
    buffer, transports, payloads = bytearray(), [], []
    for packet in packets:
        transports.append(len(buffer))
        buffer += bytes(20) + packet.options
        payloads.append(len(buffer))
        buffer += packet.payload
    size = len(packets)
    lengths = [len(packet.payload) for packet in packets]

    def column(values, kind):
        return np.array(list(values), dtype=kind)

    return PacketBatch(
        buffer=bytes(buffer),
        capture=capture,
        arrived=0,
        time=column((p.time for p in packets), np.int64),
        src_hi=np.zeros(size, np.uint64),
        src_lo=column((ipv4(p.src[0]) for p in packets), np.uint64),
        dst_hi=np.zeros(size, np.uint64),
        dst_lo=column((ipv4(p.dst[0]) for p in packets), np.uint64),
        sport=column((p.src[1] for p in packets), np.uint16),
        dport=column((p.dst[1] for p in packets), np.uint16),
        protocol=column((p.protocol for p in packets), np.uint8),
        vlan=column((p.vlan for p in packets), np.uint32),
        seq=column((p.seq % (1 << 32) for p in packets), np.uint32),
        ack=column((p.ack % (1 << 32) for p in packets), np.uint32),
        flags=column((p.flags for p in packets), np.uint8),
        window=column((p.window for p in packets), np.uint16),
        urgent=column((p.urgent for p in packets), np.uint16),
        frame=column(transports, np.int64),
        network=column(transports, np.int64),
        transport=column(transports, np.int64),
        payload=column(payloads, np.int64),
        length=column(lengths, np.int32),
        wire_length=column((p.wire_length if p.wire_length is not None else len(p.payload) for p in packets), np.int32),
        link=101,
    )


class Talk:
    """Writes the packets of one TCP connection between CLIENT and SERVER, as two real hosts would send them."""

    def __init__(self, client=CLIENT, server=SERVER, isns=(1000, 5000), time=1_000_000_000_000_000_000):
        self.ends = (client, server)
        self.seq = list(isns)
        self.time = time
        self.packets = []

    def add(self, side, payload=b"", flags=ACK, seq=None, **more):
        self.time += MILLISECOND
        packet = Packet(
            self.time, self.ends[side], self.ends[1 - side], self.seq[side] if seq is None else seq,
            self.seq[1 - side] if flags & ACK else 0, flags, payload, **more,
        )  # fmt: skip
        self.packets.append(packet)
        if seq is None:
            self.seq[side] = (self.seq[side] + len(payload) + bool(flags & SYN) + bool(flags & FIN)) % (1 << 32)
        return packet

    def handshake(self):
        self.add(0, flags=SYN)
        self.add(1, flags=SYN | ACK)
        self.add(0)
        return self

    def say(self, side, data, size=1460):
        for start in range(0, len(data), size):
            self.add(side, data[start : start + size])
        self.add(1 - side)
        return self

    def end(self):
        self.add(0, flags=FIN | ACK)
        self.add(1, flags=FIN | ACK)
        self.add(0)
        return self

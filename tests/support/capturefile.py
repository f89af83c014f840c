"""Writes capture files and headers with struct alone, so that a test says each byte it means."""

import struct

LITTLE, BIG = "<", ">"
MAC_A, MAC_B = bytes.fromhex("02000000000a"), bytes.fromhex("02000000000b")
SECOND = 1_000_000_000
BEGAN = 1_700_000_000 * SECOND
MAGIC = {("us", 16): 0xA1B2C3D4, ("ns", 16): 0xA1B23C4D, ("us", 24): 0xA1B2CD34}


def pcap(frames, order=LITTLE, unit="us", link=1, snap=262144, record=16):
    """A pcap file of frames: bytes, or (time in ns, bytes) or (time, bytes, length on the wire)."""
    out = [struct.pack(order + "IHHiIII", MAGIC[unit, record], 2, 4, 0, 0, snap, link)]
    for time, frame, wire in described(frames):
        fraction = time % SECOND // (1000 if unit == "us" else 1)
        out.append(struct.pack(order + "IIII", time // SECOND, fraction, len(frame), wire) + bytes(record - 16) + frame)
    return b"".join(out)


def described(frames):
    for number, entry in enumerate(frames):
        time, frame, *wire = (BEGAN + number * 1_000_000, entry) if isinstance(entry, bytes) else entry
        yield time, frame, wire[0] if wire else len(frame)


def block(kind, body, order=LITTLE):
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order=LITTLE):
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(link=1, snap=0, order=LITTLE, resolution=None, offset=None):
    options = b""
    if resolution is not None:
        options += struct.pack(order + "HHB3x", 9, 1, resolution)
    if offset is not None:
        options += struct.pack(order + "HHq", 14, 8, offset)
    return block(1, struct.pack(order + "HHI", link, 0, snap) + options + bytes(4 if options else 0), order)


def enhanced(ticks, frame, number=0, wire=None, order=LITTLE, options=b""):
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), wire or len(frame))
    return block(6, head + frame + bytes(-len(frame) % 4) + options, order)


def old_packet(ticks, frame, number=0, order=LITTLE):
    head = struct.pack(order + "HHIIII", number, 7, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(2, head + frame, order)


def simple(frame, wire=None, order=LITTLE):
    return block(3, struct.pack(order + "I", wire or len(frame)) + frame, order)


def pcapng(frames, order=LITTLE, link=1):
    """A pcapng file of one section and one interface; frames as in `pcap`, in microseconds."""
    blocks = [section(order), interface(link, order=order)]
    blocks += [enhanced(time // 1000, frame, wire=wire, order=order) for time, frame, wire in described(frames)]
    return b"".join(blocks)


def internet_sum(data):
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ipv4(payload, src="10.0.0.1", dst="10.0.0.2", protocol=6, number=1, fragment=0, options=b"", total=None, sum_=None):
    size = 20 + len(options)
    fields = [0x40 | size // 4, 0, len(payload) + size if total is None else total, number, fragment, 64, protocol]
    head = struct.pack(">BBHHHBB", *fields)
    ends = bytes(map(int, src.split("."))) + bytes(map(int, dst.split("."))) + options
    right = internet_sum(head + b"\0\0" + ends)
    return head + struct.pack(">H", right if sum_ is None else sum_) + ends + payload


def ipv6(payload, src=1, dst=2, following=6, length=None):
    length = len(payload) if length is None else length
    return (
        struct.pack(">IHBB", 6 << 28, length, following, 64)
        + src.to_bytes(16, "big")
        + dst.to_bytes(16, "big")
        + payload
    )


def tcp(payload=b"", sport=40000, dport=80, seq=1, ack=0, flags=0x10, options=b"", offset=None, sum_=0):
    offset = 5 + len(options) // 4 if offset is None else offset
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, offset << 4, flags, 1024, sum_, 0) + options + payload


def udp(payload=b"", sport=5000, dport=53, length=None):
    return struct.pack(">HHHH", sport, dport, 8 + len(payload) if length is None else length, 0) + payload


def ether(payload, kind=0x0800, tags=()):
    head = MAC_B + MAC_A
    for tag, number in tags:
        head += struct.pack(">HH", tag, number)
    return head + struct.pack(">H", kind) + payload


def segment(payload=b"hello", **more):
    """A whole Ethernet frame with one TCP segment."""
    return ether(ipv4(tcp(payload, **more)))

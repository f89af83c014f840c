"""What a driver is asked about its interface: a struct behind the pointer of a struct ifreq (netdevice(7))."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

ETHTOOL = 0x8946  # SIOCETHTOOL


def asked(interface: str, request: int, given: bytes) -> bytes:
    """What the driver makes of it. Raises OSError."""
    value = ctypes.create_string_buffer(given, len(given))
    pointer = struct.pack("@16sP", interface.encode(), ctypes.addressof(value)).ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, request, pointer)
    return value.raw

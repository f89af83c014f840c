"""What an interface, or its driver, does to packets before anybody sees them: glued together they are not the wire's.

ethtool's ioctl (linux/ethtool.h). On a port that only listens, GRO and LRO are what counts; TSO and GSO do the same to
what a host on this machine sends.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from sensor.driver import ETHTOOL, asked

_VALUE = struct.Struct("=II")  # command, value
_LRO = 1 << 15  # of the flags
_COMMANDS = {"gro": (0x2B, 0x2C), "lro": (0x25, 0x26), "tso": (0x1E, 0x1F), "gso": (0x23, 0x24)}  # get, set


def switched_on(interface: str) -> tuple[str, ...]:
    """Names, as ethtool has them, of those that are on. None where the driver doesn't say. Raises OSError."""
    return tuple(name for name in _COMMANDS if _asked(interface, name))


def switch_off(interface: str, names: Collection[str]) -> tuple[str, ...]:
    """Switches them off; gives those that are still on: the driver doesn't let us. Raises OSError without the right."""
    for name in names:
        flags = _value(interface, _COMMANDS[name][0]) & ~_LRO if name == "lro" else 0
        _value(interface, _COMMANDS[name][1], flags)
    return tuple(name for name in names if _asked(interface, name))


def _asked(interface: str, name: str) -> bool:
    try:
        value = _value(interface, _COMMANDS[name][0])
    except OSError as error:
        if isinstance(error, PermissionError):
            raise
        return False  # not every driver knows every command
    return bool(value & _LRO if name == "lro" else value)


def _value(interface: str, command: int, given: int = 0) -> int:
    """struct ethtool_value."""
    return int(_VALUE.unpack(asked(interface, ETHTOOL, _VALUE.pack(command, given)))[1])

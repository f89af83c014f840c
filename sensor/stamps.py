"""Time from the card itself: when a frame was on the cable, not when the kernel came to it.

The kernel's Documentation/networking/timestamping.rst: SIOCSHWTSTAMP, ETHTOOL_GET_TS_INFO; packet(7), PACKET_TIMESTAMP.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

from sensor.driver import ETHTOOL, asked
from sensor.fanout import SOL_PACKET

_SET, _GET = 0x89B0, 0x89B1  # SIOCSHWTSTAMP, SIOCGHWTSTAMP
_CONFIG = struct.Struct("=iii")  # struct hwtstamp_config: flags, of what is sent, of what is received
_TS_INFO = struct.Struct("=IIi32x")  # struct ethtool_ts_info: command, what there is, number of the clock
_GET_TS_INFO = 0x41
_EVERY_FRAME = 1  # HWTSTAMP_FILTER_ALL
_TIMESTAMP = 17  # PACKET_TIMESTAMP
_RAW_HARDWARE, _SOFTWARE = 1 << 6, 1 << 4  # SOF_TIMESTAMPING_
IN_STEP = 0.001  # seconds by which a card's clock may differ from the system's, by which flows end


def switch_on(interface: str) -> None:
    """The card gives each frame its time. Raises OSError: it can't, or there is no right to ask for it."""
    _in_step(interface)
    sent = 0
    try:
        _, sent, received = _CONFIG.unpack(asked(interface, _GET, _CONFIG.pack(0, 0, 0)))
    except OSError:  # not every driver tells
        received = 0
    if received != _EVERY_FRAME:  # what is sent is left as it is: PTP may use it
        _, _, received = _CONFIG.unpack(asked(interface, _SET, _CONFIG.pack(0, sent, _EVERY_FRAME)))
    if received != _EVERY_FRAME:
        raise OSError(errno.EOPNOTSUPP, "it gives a time to some frames only")


def use(given: socket.socket) -> None:
    """This socket's packets have the card's time, where it gave one."""
    given.setsockopt(SOL_PACKET, _TIMESTAMP, _RAW_HARDWARE | _SOFTWARE)


def _in_step(interface: str) -> None:
    """Raises OSError unless the card's clock shows what the system's does."""
    _, _, number = _TS_INFO.unpack(asked(interface, ETHTOOL, _TS_INFO.pack(_GET_TS_INFO, 0, -1)))
    if number < 0:
        raise OSError(errno.EOPNOTSUPP, "it has no clock")
    opened = os.open(f"/dev/ptp{number}", os.O_RDONLY)
    try:
        off = time.clock_gettime(~opened << 3 | 3) - time.time()  # FD_TO_CLOCKID, clock_gettime(2)
    finally:
        os.close(opened)
    if abs(off) > IN_STEP:
        raise OSError(errno.EINVAL, f"its clock is {off:.3f} s off the system's; phc2sys keeps them together")

"""What is looked at before a sensor begins: whether the rings fit into memory, whether flows stay whole,
and whether the clock can be believed.

adjtimex(2), proc(5). Each finding is a line for the user that says what to do.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from manager.options import Stop
from manager.settings import Fanout

_TIMEX = 512  # bytes, more than struct timex has on any architecture; "modes" is 0: only read
_NOT_SYNCHRONISED = 5  # TIME_ERROR
_BEGAN = datetime(2024, 1, 1, tzinfo=UTC).timestamp()  # before the program was there: a battery is empty
_MEGABYTE = 1 << 20

_SCATTERED: dict[Fanout, str] = {
    "hash": "FTP data and fragments may go to another worker than what they belong to",
    "hash+defrag": "FTP data may go to another worker than its control connection",
    "hash+rollover": "FTP data, fragments and, while a ring is full, any packet may go to another worker than its flow",
    "cpu": "a flow is whole only where the card sends both of its directions to the same CPU",
}


def fanout(way: Fanout, workers: int) -> Iterator[str]:
    """What a way to deal packets out to several workers tears apart."""
    if workers > 1 and way in _SCATTERED:
        yield f'warning: fanout = "{way}": {_SCATTERED[way]}; fanout = "flow" keeps them together'


def memory(ring: int, workers: int, interfaces: int, available: int) -> Iterator[str]:
    """What to set where the kernel's rings leave too little of the `available` bytes. Raises Stop where they can't be.

    Their memory is never swapped out, and it is taken whole when the sensor begins.
    """
    count = workers * interfaces
    if ring * count <= available // 2:
        return
    fits = max(available // 2 // count // _MEGABYTE, 1) * _MEGABYTE
    text = (
        f"{count} rings of {ring // _MEGABYTE} MiB (workers x interfaces) of {available // _MEGABYTE} MiB that are "
        f"free: ring = {fits} under [sensor] takes half of it"
    )
    if ring * count > available:
        raise Stop(text)
    yield f"warning: {text}"


def free_memory() -> int:
    """Bytes that may be had without swapping (MemAvailable)."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) << 10


def clock(now: float, synchronised: bool) -> Iterator[str]:
    """What is wrong with the system's clock, which gives packets and alarms their time. `now`: seconds since 1970."""
    if now < _BEGAN:
        shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d")
        yield f"warning: the clock says {shown}: alarms will have that time (timedatectl set-time, or set-ntp true)"
    elif not synchronised:
        yield "hint: the clock is not synchronised: alarms may not match other logs (timedatectl set-ntp true)"


def synchronised() -> bool:
    """Whether somebody, such as NTP, keeps the system's clock right, as far as the kernel knows."""
    libc = ctypes.CDLL(None, use_errno=True)
    state: int = libc.adjtimex(ctypes.create_string_buffer(struct.pack("=I", 0), _TIMEX))
    return state != _NOT_SYNCHRONISED

"""Records of the frames that countermeasures send, on disk before the first of them goes out."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from manager.action import Request
from sensor.files import write_all

NAME = "frames.jsonl"


class Audit:
    """A line of JSON for each request. Raises OSError where the file can't be opened.

    `folder` is there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = opened(folder, NAME)

    def write(self, request: Request, mode: str, interface: str, frames: list[bytes]) -> None:
        """On disk when it returns. Raises OSError."""
        line = _line(request, mode, interface, frames)
        size = os.fstat(self._file).st_size
        try:
            write_all(self._file, line)
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, size)  # half a line would spoil the next
            raise


def opened(folder: Path, name: str) -> int:
    """A file to append to, made where it is missing; it belongs to whom the folder belongs, if we may give it away."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(folder / name, flags, 0o600)
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(file, owner.st_uid, owner.st_gid)
    return file


def _line(request: Request, mode: str, interface: str, frames: list[bytes]) -> bytes:
    flow = request.flow
    said = {
        "time": time.time_ns(),
        "action": request.action,
        "flow": flow.id,
        "orig": [flow.ip(0), flow.orig_port],
        "resp": [flow.ip(1), flow.resp_port],
        "mode": mode,
        "interface": interface,
        "frames": [frame.hex() for frame in frames],
    }
    return json.dumps(said).encode() + b"\n"

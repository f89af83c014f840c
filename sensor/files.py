"""Files by their descriptors."""

from __future__ import annotations

import os
from pathlib import Path


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """However little of it is taken at once. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def keep_names(folder: Path) -> None:
    """The names in a folder are on the disk when it returns. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

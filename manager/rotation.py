"""The old ones of a file that grows: named by the time of their end, compressed, no more of them than shall be kept.

Whatever is interrupted, a document is in an old file or in its compressed copy, or in both for a while: the copy has
its name when it is whole.
"""

from __future__ import annotations

import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isal import igzip

from sensor.files import keep_names

log = logging.getLogger(__name__)

_opened: Any = igzip.open  # it carries no types
PACKED, PART = ".gz", ".gz.part"


class Rotation:
    """Of `path`, which becomes `NAME-20261125-134500-123456.SUFFIX`, and `.gz` behind it."""

    def __init__(self, path: Path, compress: bool, keep: int) -> None:
        self._path = path
        self._compress = compress
        self._keep = keep

    def turn(self) -> None:
        """The file is an old one from now on. Raises OSError when it can't be renamed."""
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        self._path.rename(self._path.with_name(f"{self._path.stem}-{moment}{self._path.suffix}"))
        keep_names(self._path.parent)
        self.tidy()

    def tidy(self) -> None:
        """Packs what isn't, also what was interrupted, and deletes what is too old. A full disk is no reason to end."""
        try:
            for path in self._old() if self._compress else ():
                if not path.name.endswith(PACKED):
                    _pack(path)
            for path in self._surplus():
                path.unlink()
        except OSError as error:
            log.error("%s: old files stay as they are: %s", error.filename or self._path, error.strerror)

    def _old(self) -> list[Path]:
        """Oldest first."""
        stamp = "-" + "-".join("[0-9]" * count for count in (8, 6, 6))
        there = self._path.parent.glob(f"{_literal(self._path.stem)}{stamp}{_literal(self._path.suffix)}*")
        return sorted(path for path in there if not path.name.endswith(PART))

    def _surplus(self) -> list[Path]:
        old = self._old()
        return old[: max(0, len(old) - self._keep)]


def _literal(text: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in text)


def _pack(path: Path) -> None:
    """Slow for large files with zlib; isal takes a tenth of the time."""
    packed, part = path.with_name(path.name + PACKED), path.with_name(path.name + PART)
    if not packed.exists():
        try:
            with path.open("rb") as plain, _opened(part, "wb") as file:
                shutil.copyfileobj(plain, file, 1 << 20)
            with part.open("rb") as file:
                os.fsync(file.fileno())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        part.chmod(path.stat().st_mode & 0o777)
        part.rename(packed)
        keep_names(path.parent)
    path.unlink()

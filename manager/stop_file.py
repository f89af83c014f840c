"""The file that stops all countermeasures while it exists."""

from __future__ import annotations

import os
from pathlib import Path


class StopFile:
    """Looked at each time. `holder`: descriptor of its folder, whose parents needn't be open to who we become."""

    def __init__(self, path: Path, holder: int) -> None:
        self._path = path
        self._holder = holder
        self._stopped: str | None = None  # what couldn't be written

    def why(self) -> str | None:
        """Why nothing may be done; None: it may. A file that can't be looked for may be there."""
        try:
            os.stat(self._path.name, dir_fd=self._holder)
        except FileNotFoundError:
            return self._stopped
        except OSError as error:
            return f"can't look for {self._path}: {error.strerror}"
        self._stopped = None
        return f"{self._path} exists"

    def stop(self, why: str) -> None:
        """Until the file is removed; where it can't be written, until we end."""
        try:
            flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._path.name, flags, 0o600, dir_fd=self._holder)
            with os.fdopen(file, "w") as out:
                out.write(why + "\n")
        except OSError as error:
            self._stopped = f"{why} ({self._path} can't be written: {error.strerror})"

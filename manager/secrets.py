"""What must not stand in the settings: it comes from a file, or from the environment."""

from __future__ import annotations

import os
from pathlib import Path

from manager.options import Stop


def read(where: str, path: str) -> str:
    """The text of a file without its last line end. `where`: who names it. Raises Stop."""
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{where}: {path}: {getattr(error, 'strerror', None) or 'no text'}") from None


def secret(where: str, path: str | None, variable: str) -> str | None:
    """The text of a file, else of a variable, else None. Raises Stop."""
    if path is None:
        return os.environ.get(variable) or None
    if not (text := read(where, path)):
        raise Stop(f"{where}: {path} is empty")
    return text

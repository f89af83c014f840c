"""The stop file: while it exists nothing is sent, whatever the policy says. `tapscan actions stop` and `resume`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from manager.action_log import actions_folder
from manager.effective import effective
from manager.options import Stop
from manager.settings import Settings
from manager.visible import visible


def stop_file(settings: Settings) -> Path:
    """Where it is."""
    return Path(settings.countermeasures.stop_file or actions_folder() / "stop")


def stopped(path: Path) -> bool:
    """Whether it is there. Whoever can't know must not send: anything but its absence is a stop."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def stop(config: str | None) -> int:
    """Makes the file. Raises Stop when it can't be made."""
    path = stop_file(effective(config)[0])
    already = os.path.lexists(path)
    try:
        if not already:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.touch()
    except OSError as error:
        raise Stop(f"not stopped: {path} can't be made: {error.strerror}") from None
    words = "stopped already: {} is there" if already else "stopped: {} is there now"
    _say(f"{words.format(path)}; nothing is sent until `tapscan actions resume`")
    return 0


def resume(config: str | None) -> int:
    """Removes the file. Raises Stop when it can't be removed."""
    settings, _ = effective(config)
    path = stop_file(settings)
    try:
        path.unlink()
    except FileNotFoundError:
        _say(f"not stopped: there is no {path}")
        return 0
    except OSError as error:
        raise Stop(f"still stopped: {path} can't be removed: {error.strerror}") from None
    _say(f"resumed: {path} is gone; mode is {settings.countermeasures.mode}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(visible(text) + "\n")

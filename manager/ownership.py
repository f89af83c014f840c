"""Who the manager becomes once all runs, and what that user has to be able to write to."""

from __future__ import annotations

import contextlib
import os
import pwd
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

from manager import nursery
from manager.action_log import NAME as ACTIONS
from manager.audit import NAME as FRAMES
from manager.blocklist import NAME as BLOCKED
from manager.ledger import NAME
from manager.options import Stop
from manager.output_settings import FileSettings, OutputSettings
from manager.privileges import NET_RAW, UNPRIVILEGED, settle
from manager.run import say
from manager.settings import Settings
from sensor.noun import noun


@noun
class Owner:
    """A user that isn't root."""

    name: str
    user: int
    group: int


def owner_of(settings: Settings) -> Owner | None:
    """Who the manager becomes; None: it stays who it is. Raises Stop where the settings name nobody."""
    if os.geteuid() != 0:
        return None
    name = settings.sensor.user or UNPRIVILEGED
    try:
        known = pwd.getpwnam(name)
    except KeyError:
        raise Stop(f"[sensor] user: there is no user {name!r} on this host") from None
    why = "[sensor] user is root" if known.pw_uid == 0 else None
    if settings.pool.kind == "ray":
        why = "a cluster's processes are started as root"
    if not nursery.POSSIBLE:
        why = "capture workers can only be started again as root on this architecture"
    if why is not None:
        say(f"warning: the manager stays root: {why}")
        return None
    return Owner(name, known.pw_uid, known.pw_gid)


def become(owner: Owner | None, spool: Path, kept: int = NET_RAW) -> None:
    """Once all runs. What the kernel refuses is said. `spool`: where it is, files may have been made meanwhile.

    `kept`: capabilities that are still needed.
    """
    if owner is not None and spool.is_dir():
        with contextlib.suppress(OSError):  # said by who writes to it
            os.close(_open(spool, owner, is_spool))
    for step in settle(None if owner is None else owner.name, kept):
        if step.refused:
            say(f"warning: the manager has more rights than it needs: {step.name}: {step.refused}")


def check_temporary(owner: Owner | None, folder: str | None) -> None:
    """Raises Stop where the owner can't write temporary files."""
    with _acting(owner):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            who = "this user" if owner is None else f"{owner.name}, who the sensor becomes,"
            where = folder or tempfile.gettempdir()
            raise Stop(f"{where}: {who} can't write there: {error.strerror} ([sensor] temporary)") from None


def is_ledger(names: Iterable[str]) -> bool:
    """Whether a folder with these files holds a coverage ledger, or nothing."""
    return all(fnmatch(name, NAME.format("*")) for name in names)


def is_action_log(names: Iterable[str]) -> bool:
    """Whether a folder with these files holds the log of actions, or nothing; perhaps the stop file, and frames."""
    return all(name in ("stop", FRAMES, BLOCKED) or fnmatch(name, ACTIONS.format("*")) for name in names)


def is_spool(names: Iterable[str]) -> bool:
    """Whether a folder with these files holds a spool, or nothing."""
    known = {*names}
    return not known or "lock" in known


def is_output(paths: Iterable[Path]) -> Callable[[Iterable[str]], bool]:
    """Whether a folder holds these files of outputs and their old ones, or nothing."""
    stems = tuple(path.stem for path in paths)
    return lambda names: all(name.startswith(stems) for name in names)


def with_outputs_over(settings: Settings, owner: Owner | None) -> Settings:
    """The settings with outputs whose folders, where they are files, the owner can use."""
    paths = [Path(one.path) for one in settings.output if isinstance(one, FileSettings)]
    ours = is_output(paths)
    there = {folder: handed_over(folder, owner, ours) for folder in {path.parent for path in paths}}
    return replace(settings, output=tuple(_in(there, one) for one in settings.output))


def _in(there: dict[Path, Path], output: OutputSettings) -> OutputSettings:
    if not isinstance(output, FileSettings):
        return output
    path = Path(output.path)
    return replace(output, path=str(there[path.parent] / path.name))


def handed_over(folder: Path, owner: Owner | None, ours: Callable[[Iterable[str]], bool]) -> Path:
    """The folder, made where it is missing, as the owner can use it; a line on standard error where it can't.

    `ours`: whether it is one of those that tapscan makes, by the files in it: no other is given away. With an owner it
    is a path to the open folder, since parents may be closed.
    """
    if owner is None:
        return folder
    try:
        number = _open(folder, owner, ours)
    except OSError:  # said by who writes to it
        return folder
    there = Path(f"/proc/self/fd/{number}")
    with _acting(owner):
        if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
            say(f"warning: {folder}: {owner.name}, who the sensor becomes, can't write there (chown {owner.name})")
    return there


def _open(folder: Path, owner: Owner, ours: Callable[[Iterable[str]], bool]) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    files = list(folder.iterdir())
    if os.fstat(number).st_uid in (0, owner.user) and ours(file.name for file in files):
        for file in files:
            os.chown(file, owner.user, owner.group, follow_symlinks=False)
        os.chown(number, owner.user, owner.group)
    return number


@contextlib.contextmanager
def _acting(owner: Owner | None) -> Iterator[None]:
    """What is done meanwhile is done with the owner's rights."""
    if owner is None:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(owner.group)
    os.seteuid(owner.user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)

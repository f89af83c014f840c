"""Engines that do as they are told, on any host: what they do is named, so that it can travel."""

from __future__ import annotations

import ctypes
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from uuid import uuid4

from engines.verdicts import Verdict


class Fake:
    """An engine whose `act` gets the object; what it returns is the status."""

    version, database_version = "1.0", "7"

    def __init__(self, name, act, timeout=5.0, slots=2):
        self.name, self.timeout, self.slots = name, timeout, slots
        self._act = act

    def scan(self, target):
        said = self._act(target)
        return said if isinstance(said, Verdict) else Verdict(self.name, said)

    def check(self):
        return None

    def close(self):
        pass


def clean(target):
    return "clean"


def _words(target):
    return bytes(target.content.view()[:200]).decode("latin-1").split()


def by_content(target):
    """Does what the object says."""
    words = _words(target)
    if "crash" in words:
        os.abort()
    if "freeze" in words:
        ctypes.PyDLL(None).sleep(3600)  # and keeps the interpreter's lock: nothing else runs there
    if "hang" in words:
        time.sleep(3600)
    if "raise" in words:
        raise ValueError("told to")
    if "slow" in words:
        time.sleep(0.4)
    return "malicious" if "bad" in words else "clean"


def together(target):
    """`gate FOLDER`, `meet FOLDER COUNT`, `crowd FOLDER`: what engines see of each other, by files."""
    command, *given = _words(target) or ["nothing"]
    if command == "gate":
        return "clean" if _until(lambda: Path(given[0], "open").exists()) else "error"
    if command == "crowd":
        with NamedTemporaryFile(dir=given[0]):
            time.sleep(0.01)
            return Verdict("fake", "clean", signature=str(_count(given[0])))
    return meet(target)


def meet(target):
    """`meet FOLDER COUNT`: waits until so many are there."""
    command, *given = _words(target) or ["nothing"]
    if command != "meet":
        return "clean"
    Path(given[0], uuid4().hex).touch()
    return "clean" if _until(lambda: _count(given[0]) >= int(given[1])) else "error"


def _count(folder):
    return len(list(Path(folder).iterdir()))


def _until(holds):
    end = time.monotonic() + 8
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def wait_20_ms(target):
    time.sleep(0.02)
    return "clean"


def wait_400_ms(target):
    time.sleep(0.4)
    return "clean"


def digest(target):
    import hashlib

    with target.content.view() as view:
        same = hashlib.sha256(view).hexdigest() == target.sha256
    return "clean" if same else "suspicious"


@dataclass
class Kitchen:
    """A recipe: `names -> (what they do, timeout, slots)`; on all hosts, or where `hosts` says."""

    engines: dict = field(default_factory=dict)
    hosts: dict | None = None  # name -> names of its engines; others have none

    def names(self):
        return list(self.engines) if self.hosts is None else self.hosts.get(os.environ.get("TAPSCAN_HOST"), [])

    def make(self, name):
        act, timeout, slots = self.engines[name]
        return Fake(name, globals()[act], timeout, slots)

"""The action "command": a program of the operator's is started, with the action as JSON on its standard input.

Without a shell, with a bare environment (no secrets of ours), in a process group of its own that ends with its time.
What it prints is discarded but for the last line of its standard error, which says why it failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

from manager.ecs import Document, line
from manager.settings import PolicySettings

SECONDS = 10.0  # that it may take
SAID = 4096  # bytes of its standard error, at the end, in which the last line is looked for
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


class CommandAction:
    """`seconds`: that it may take."""

    def __init__(self, settings: PolicySettings, seconds: float = SECONDS) -> None:
        self._argv = settings.argv
        self._seconds = seconds

    def do(self, document: Document) -> str | None:
        """Why it failed, in a line; None when it went well."""
        try:
            with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
                given.write(line(document))
                given.seek(0)
                return self._run(given, said)
        except OSError as error:
            return f"{self._argv[0]}: {error.strerror}"
        except ValueError as error:  # a null byte in an argument
            return f"{self._argv[0]}: {error}"

    def _run(self, given: IO[bytes], said: IO[bytes]) -> str | None:
        process = subprocess.Popen(
            self._argv,
            stdin=given,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            code = process.wait(self._seconds)
        except subprocess.TimeoutExpired:
            return f"{self._argv[0]}: ended after {self._seconds:g} s"
        finally:
            _end(process)
        return None if code == 0 else f"{self._argv[0]}: exit code {code}{_last(said)}"

    def close(self) -> None:
        """There is nothing to let go of: a run ends with its time."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Of it and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - SAID))
    lines = said.read().decode("utf-8", "replace").split("\n")
    words = [" ".join(text.split()) for text in lines if text.strip()]
    return f": {words[-1][:200]}" if words else ""

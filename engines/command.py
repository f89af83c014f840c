"""Any command-line scanner, and so every licensed vendor's: started for each object, judged by its exit code.

The command runs without a shell, with a bare environment, in a process group of its own that ends with its time, under
resource limits, and without a network where the kernel lets users make namespaces (unshare(1)). What the wrappers
themselves complain of is no word of the scanner, whatever their exit code stands for in its table.
"""

from __future__ import annotations

import os
import re
import resource
import selectors
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from shutil import which
from time import monotonic, sleep

from engines.verdicts import Verdict
from reassembly.objects import Object

FILE = "{file}"
OUTPUT_BYTES = 1 << 20  # of a scanner's report that are kept
PIPE_BYTES = 64 << 10  # a pipe's usual size: as much as may be left in it at the end
GLANCE = 0.01  # seconds between two looks whether all have ended
FAREWELL = 2.0  # seconds for a killed process to be gone
VERSION_SECONDS = 3600.0  # between two questions for the version: signatures change while we run
WRITTEN_BYTES = 4 << 30  # largest file that a scanner may write (it may unpack)
OPEN_FILES = 1024
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


class Command:
    """`argv` is the argument vector, `{file}` in it stands for the object; `clean`, `malicious`, `suspicious`: exit
    codes; `signature`: a pattern whose first group is the name, found in the output; `version`: a command that prints
    the version in its first line; `memory`: bytes of address space at most.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        clean: Sequence[int] = (0,),
        malicious: Sequence[int] = (1,),
        suspicious: Sequence[int] = (),
        signature: str | None = None,
        version: Sequence[str] = (),
        timeout: float = 60.0,
        slots: int | None = None,
        network: bool = False,
        memory: int | None = None,
    ) -> None:
        if not any(FILE in argument for argument in argv):
            raise ValueError(f"engine {name}: argv has no {FILE}, so the scanner would not get the object")
        self.name = name
        self.version: str | None = None
        self.database_version: str | None = None
        self.timeout = timeout
        self.slots = slots or os.cpu_count() or 1
        self._argv = tuple(argv)
        self._status = dict.fromkeys(suspicious, "suspicious") | dict.fromkeys(clean, "clean")
        self._status |= dict.fromkeys(malicious, "malicious")
        self._signature = re.compile(signature, re.MULTILINE) if signature else None
        self._version = tuple(version)
        self._isolation = () if network else isolation()
        self._memory = memory
        self._asked: float | None = None
        self._running: set[subprocess.Popen[bytes]] = set()
        self._scans: set[object] = set()  # that are under way
        self._closed = False

    def scan(self, target: Object) -> Verdict:
        """Runs the command on the object, under a name that says nothing of the object's own."""
        if self._closed:
            return Verdict(self.name, "error", reason="it is closed")
        if self._version and (self._asked is None or monotonic() - self._asked > VERSION_SECONDS):
            self._ask_version()
        self._scans.add(token := object())
        try:
            return self._scanned(target)
        finally:
            self._scans.discard(token)

    def _scanned(self, target: Object) -> Verdict:
        with target.content.named() as path:
            argv = [argument.replace(FILE, path) for argument in self._argv]
            try:
                code, output = self._run(argv, self.timeout)
            except OSError as error:
                return Verdict(self.name, "error", reason=f"{argv[0]}: {error.strerror}")
        if code is None:
            return Verdict(self.name, "timeout", reason=f"ended after {self.timeout:g} s")
        return self._verdict(code, output)

    def check(self) -> str | None:
        """None when the command is there; asks it for its version if it is known how."""
        if which(self._argv[0], path=ENVIRONMENT["PATH"]) is None:
            return f"{self._argv[0]}: no such command, or not executable"
        return self._ask_version() if self._version else None

    def _ask_version(self) -> str | None:
        self._asked = monotonic()
        try:
            code, output = self._run(self._version, min(self.timeout, 10.0))
        except OSError as error:
            return f"{self._version[0]}: {error.strerror}"
        if code == 0 and output.strip():
            self.version = output.strip().splitlines()[0][:100]
        return None

    def close(self) -> None:
        """Ends what still runs, and lets its files go."""
        self._closed = True
        for process in tuple(self._running):
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
        until = monotonic() + FAREWELL
        while self._scans and monotonic() < until:
            sleep(GLANCE)

    def _verdict(self, code: int, output: str) -> Verdict:
        status = self._status.get(code)
        if status is None or (code and output.startswith(("unshare: ", "prlimit: "))):
            last = output.strip().splitlines()[-1:] or [""]
            return Verdict(self.name, "error", reason=f"exit code {code}: {last[0][:200]}".rstrip(": "))
        if status == "clean":
            return Verdict(self.name, "clean")
        names = tuple(dict.fromkeys(self._signature.findall(output))) if self._signature else ()
        names = tuple(name if isinstance(name, str) else name[0] for name in names)
        first = names[0] if names else None
        return Verdict(self.name, status, first, names, rule={"name": first} if first else None)  # type: ignore[arg-type]

    def _run(self, argv: Sequence[str], seconds: float) -> tuple[int | None, str]:
        """Exit code (None: out of time) and output."""
        process = subprocess.Popen(
            [*self._isolation, *_limited(seconds, self._memory), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        self._running.add(process)
        try:
            code, output = _watched(process, monotonic() + seconds)
        finally:
            self._running.discard(process)
        return code, output.decode("utf-8", "replace")


def _watched(process: subprocess.Popen[bytes], deadline: float) -> tuple[int | None, bytes]:
    """Reads until the process has ended, whoever else still holds its output, then ends all of its group."""
    assert process.stdout is not None
    output = bytearray()
    ended = os.pidfd_open(process.pid)
    try:
        with process.stdout as pipe, selectors.DefaultSelector() as ready:
            os.set_blocking(pipe.fileno(), False)
            ready.register(pipe, selectors.EVENT_READ)
            ready.register(ended, selectors.EVENT_READ)
            done = False
            while not done and (left := deadline - monotonic()) > 0:
                happened = {key.fd for key, _ in ready.select(left)}
                done = ended in happened
                if pipe.fileno() in happened and not _read(pipe.fileno(), output):
                    ready.unregister(pipe)
            return _ended(process) if done else None, bytes(output)
    finally:
        os.close(ended)
        _ended(process)


def _read(pipe: int, output: bytearray) -> bool:
    """Takes what there is, and keeps the first OUTPUT_BYTES; False at the end."""
    piece = os.read(pipe, PIPE_BYTES)
    output += piece[: max(OUTPUT_BYTES - len(output), 0)]
    return bool(piece)


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Kills the group, and only then reaps its leader: until that moment the number can't be another's."""
    if process.returncode is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(FAREWELL)
    return process.returncode


@cache
def isolation() -> tuple[str, ...]:
    """The prefix that takes the network away, or nothing where the kernel does not allow it."""
    unshare = which("unshare")
    if unshare is None:
        return ()
    prefix = (unshare, "--map-current-user", "--net", "--")
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else ()


def _limited(seconds: float, memory: int | None) -> tuple[str, ...]:
    """prlimit(1) in front: processor time, size of written files, open files, no core dump."""
    prlimit = which("prlimit")
    if prlimit is None:
        return ()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    processors = os.cpu_count() or 1
    return (
        prlimit,
        f"--cpu={int(seconds * processors) + 1}",
        f"--fsize={WRITTEN_BYTES}",
        f"--nofile={files}",
        *([f"--as={memory}"] if memory else []),
        "--core=0",
        "--",
    )

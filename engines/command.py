"""Any command-line scanner, and so every licensed vendor's: started for each object, judged by its exit code.

The command runs without a shell, with a bare environment, in a process group of its own that ends with its time, under
resource limits, and without a network where the kernel lets users make namespaces (unshare(1)).
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
from collections.abc import Sequence
from functools import cache
from shutil import which

from engines.verdicts import Verdict
from reassembly.objects import Object

FILE = "{file}"
OUTPUT_BYTES = 1 << 20  # of a scanner's report that are looked at
WRITTEN_BYTES = 4 << 30  # largest file that a scanner may write (it may unpack)
OPEN_FILES = 1024
ENVIRONMENT = {"PATH": os.defpath + ":/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"}


class Command:
    """`argv` is the argument vector, `{file}` in it stands for the object; `clean`, `malicious`, `suspicious`: exit
    codes; `signature`: a pattern whose first group is the name, found in the output.
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

    def scan(self, target: Object) -> Verdict:
        """Runs the command on the object, under a name that says nothing of the object's own."""
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
        if self._version and self.version is None:
            try:
                code, output = self._run(self._version, min(self.timeout, 10.0))
            except OSError as error:
                return f"{self._version[0]}: {error.strerror}"
            if code == 0 and output.strip():
                self.version = output.strip().splitlines()[0][:100]
        return None

    def close(self) -> None:
        """Nothing to let go of."""

    def _verdict(self, code: int, output: str) -> Verdict:
        status = self._status.get(code)
        if status is None:
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
            [*self._isolation, *_limited(seconds), *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, ""
        return process.returncode, output[:OUTPUT_BYTES].decode("utf-8", "replace")


@cache
def isolation() -> tuple[str, ...]:
    """The prefix that takes the network away, or nothing where the kernel does not allow it."""
    unshare = which("unshare")
    if unshare is None:
        return ()
    prefix = (unshare, "--map-current-user", "--net", "--")
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    return prefix if tried.returncode == 0 else ()


def _limited(seconds: float) -> tuple[str, ...]:
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
        "--core=0",
        "--",
    )

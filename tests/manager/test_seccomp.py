"""System calls that are refused, tried in a process of its own; and what goes on working."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manager import seccomp

TRY = """
import ctypes, errno, os, socket, sys, tempfile, threading
from manager.privileges import _prctl
from manager.seccomp import _EVERYWHERE, _KNOWN, refuse_calls
import platform
a, b = socket.socketpair()
_prctl(38, 1)
refuse_calls()
libc = ctypes.CDLL(None, use_errno=True)
for number in _KNOWN[platform.machine()][1] + _EVERYWHERE:
    assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() == errno.EPERM, number
assert libc.syscall(0x40000000 + 39) == -1
a.send(b"x"); assert b.recv(1) == b"x"
with tempfile.TemporaryFile() as file:
    file.write(b"x")
thread = threading.Thread(target=os.getpid); thread.start(); thread.join()
os.close(os.memfd_create("x"))
print("done")
"""


@pytest.mark.skipif(platform.machine() not in seccomp._KNOWN, reason="no list for this architecture")
def test_they_are_refused_and_the_rest_works():
    done = subprocess.run([sys.executable, "-c", TRY], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_another_architecture_is_said(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(OSError, match="no list of system calls for riscv64"):
        seccomp.refuse_calls()


@pytest.mark.parametrize("machine", seccomp._KNOWN)
def test_each_has_a_number_for_each_call(machine):
    architecture, numbers = seccomp._KNOWN[machine]
    assert len(numbers) == len(set(numbers)) == 26
    assert len(seccomp._program(architecture, numbers)) == 8 * (26 + 6)


HEADERS = {"aarch64": "/usr/include/asm-generic/unistd.h", "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"}


@pytest.mark.parametrize("machine", sorted({"aarch64", platform.machine()} & seccomp._KNOWN.keys()))
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"no {header} (Debian: linux-libc-dev)")
    defined = re.findall(r"^#define __NR_(\w+)\s+(\d+)", header.read_text(), re.MULTILINE)
    known = {name: int(number) for name, number in defined}
    calls = seccomp._CALLS + seccomp._CALLS_EVERYWHERE
    assert [known[name] for name in calls] == [*seccomp._KNOWN[machine][1], *seccomp._EVERYWHERE]


def test_the_architecture_is_that_of_the_kernels_headers():
    """AUDIT_ARCH_: the machine of ELF, 64 bits, little end first (linux/audit.h, linux/elf-em.h)."""
    for machine, elf in (("x86_64", 62), ("aarch64", 183)):
        assert seccomp._KNOWN[machine][0] == elf | 0x80000000 | 0x40000000

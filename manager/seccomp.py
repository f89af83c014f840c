"""System calls that a process which reads hostile bytes never needs, refused by the kernel. seccomp(2).

A deny list, short and the same on every kernel: starting programs, new sockets, looking into other processes and
signals to them, mounts, programs and modules for the kernel. What is asked for by another architecture's numbers is
refused as a whole.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from sensor.bpf import handed_over

_SET_SECCOMP, _FILTER = 22, 2  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM  # SECCOMP_RET_
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JGE|K, BPF_RET|K
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32 = 0x40000000  # from here on, numbers of x86_64's other half

_CALLS = (
    "execve", "execveat", "socket", "socketpair", "ptrace", "process_vm_readv", "process_vm_writev", "bpf", "mount",
    "umount2", "pivot_root", "chroot", "unshare", "setns", "init_module", "finit_module", "kexec_load", "keyctl",
    "reboot", "perf_event_open", "userfaultfd", "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
)  # fmt: skip

# AUDIT_ARCH_, and the numbers of these calls: asm/unistd_64.h, asm-generic/unistd.h
_KNOWN = {
    "x86_64": (
        0xC000003E,
        (
            59, 322, 41, 53, 101, 310, 311, 321, 165, 166, 155, 161, 272, 308, 175, 313, 246, 250, 169, 298, 323,
            62, 200, 234, 129, 297,
        ),
    ),
    "aarch64": (
        0xC00000B7,
        (
            221, 281, 198, 199, 117, 270, 271, 280, 40, 39, 41, 51, 97, 268, 105, 273, 104, 219, 142, 241, 282,
            129, 130, 131, 138, 240,
        ),
    ),
}  # fmt: skip


# The same everywhere: io_uring_setup makes sockets, too
_CALLS_EVERYWHERE = (
    "io_uring_setup", "open_tree", "move_mount", "fsopen", "fsmount", "pidfd_getfd", "pidfd_send_signal",
)  # fmt: skip
_EVERYWHERE = (425, 428, 429, 430, 432, 438, 424)


def refuse_calls() -> None:
    """For this process and for good; needs no_new_privs. Raises OSError where the kernel or architecture can't."""
    machine = platform.machine()
    if machine not in _KNOWN:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    architecture, numbers = _KNOWN[machine]
    program = _program(architecture, numbers + _EVERYWHERE)
    given, _kept = handed_over(program)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(given, len(given)), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _program(architecture: int, numbers: tuple[int, ...]) -> bytes:
    """Classic BPF: code, where to when true and when false, value."""
    count = len(numbers)
    rows = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, count + 3, architecture),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, count + 1, 0, _X32),
        *((_EQUAL, count - at, 0, number) for at, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
    return b"".join(struct.pack("=HBBI", *row) for row in rows)

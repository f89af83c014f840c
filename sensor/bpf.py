"""Filters for the kernel: a pcap expression (pcap-filter(7)) as a classic BPF program, compiled by libpcap."""

from __future__ import annotations

import ctypes
import ctypes.util
import struct

LONGEST_FRAME = 262144  # what a frame that passes is cut to: libpcap's own maximum


class FilterError(ValueError):
    """The expression can't be compiled; the text says why."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


def handed_over(program: bytes) -> tuple[bytes, object]:
    """struct sock_fprog of a program, eight bytes an instruction, and the memory that it points to: to be kept."""
    kept = ctypes.create_string_buffer(program, len(program))
    return struct.pack("@HP", len(program) // 8, ctypes.addressof(kept)), kept


def compiled(expression: str, link: int) -> bytes:
    """The program, eight bytes an instruction. `link`: LINKTYPE_ of the frames. Raises FilterError."""
    if not expression.strip():
        return b""
    try:
        library = ctypes.CDLL(ctypes.util.find_library("pcap") or "libpcap.so.0.8")
    except OSError:
        raise FilterError("filters need libpcap (Debian: libpcap0.8)") from None
    library.pcap_open_dead.restype = ctypes.c_void_p
    library.pcap_geterr.restype = ctypes.c_char_p
    dead = ctypes.c_void_p(library.pcap_open_dead(link, LONGEST_FRAME))
    program = _Program()
    try:
        if library.pcap_compile(dead, ctypes.byref(program), expression.encode(), 1, ctypes.c_uint(0xFFFFFFFF)):
            raise FilterError(f"{expression!r}: {library.pcap_geterr(dead).decode('utf-8', 'replace')}")
        made = ctypes.string_at(program.instructions, program.length * 8)
        library.pcap_freecode(ctypes.byref(program))
        return made
    finally:
        library.pcap_close(dead)

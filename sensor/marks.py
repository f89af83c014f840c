"""Marks on the frames that we send, by which they are known when the mirror shows them to us again.

A keyed hash in fields whose value makes no difference to a receiver: the identification (RFC 6864, section 4: of an
atomic datagram) or the flow label (RFC 6437), and the window of a reset (RFC 9293, section 3.10.7). Who lacks the
secret can neither tell such a frame from others nor make one that we would take for ours.
"""

from __future__ import annotations

import hashlib
import struct

_KEY = 64  # bytes; blake2b takes no more


class Mark:
    """`secret`: of this run, known to who sends and who captures."""

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(digest_size=5, key=secret[:_KEY])

    def of(self, seq: int, ack: int, sport: int, dport: int) -> tuple[int, int]:
        """The flow label, of which IPv4's identification is the lower 16 bits; and the window."""
        hashed = self._keyed.copy()
        hashed.update(struct.pack("!IIHH", seq, ack, sport, dport))
        number = int.from_bytes(hashed.digest(), "big")
        return number >> 20, number & 0xFFFF

    def is_ours(self, identification: int, window: int, seq: int, ack: int, sport: int, dport: int) -> bool:
        """Whether a segment has our mark. `identification`: of IPv4, or IPv6's flow label."""
        label, ours = self.of(seq, ack, sport, dport)
        return window == ours and identification in (label, label & 0xFFFF)

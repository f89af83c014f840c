"""stub"""
from __future__ import annotations
import hashlib
class Mark:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret
    def of(self, seq: int, ack: int, sport: int, dport: int) -> tuple[int, int]:
        d = hashlib.blake2b(b"%d %d %d %d" % (seq, ack, sport, dport), key=self._secret, digest_size=5).digest()
        return int.from_bytes(d[:3], "big") & 0xFFFFF, int.from_bytes(d[3:], "big")
    def is_ours(self, identification: int, window: int, seq: int, ack: int, sport: int, dport: int) -> bool:
        label, own = self.of(seq, ack, sport, dport)
        return window == own and identification in (label, label & 0xFFFF)

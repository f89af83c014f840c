"""Frames that a countermeasure sends: TCP segments in the name of one end of a flow, with the link header it uses.

RFC 9293, section 3.1 (TCP), RFC 791 and RFC 8200 (IP).
"""

from __future__ import annotations

from sensor.noun import noun


@noun
class Frame:
    """One segment as `source` would send it to `target`. Addresses are 4 or 16 bytes, all else as in the headers."""

    link: bytes  # all before the IP header: Ethernet, VLAN tags, PPPoE, MPLS
    source: bytes
    source_port: int
    target: bytes
    target_port: int
    hops: int  # TTL or hop limit that frames of the source have where we see them
    flags: int
    seq: int
    ack: int
    payload: bytes = b""
    stamp: tuple[int, int] | None = None  # TSval and TSecr (RFC 7323); None: without


@noun
class Notice:
    """What a page says that takes the place of another."""

    incident: str  # the number under which it can be found
    reason: str
    url: str


@noun
class Link:
    """What a link header leads to: the IP versions that may follow, and where a length is to be filled in."""

    versions: tuple[int, ...]
    length: int | None = None  # offset of PPPoE's


def link_of(header: bytes) -> Link | None:
    """Of Ethernet with VLAN tags, then PPPoE or MPLS labels or neither; None for all that is more, less or else.

    IEEE 802.1Q, RFC 2516, RFC 3032.
    """
    at = _ADDRESSES
    while header[at : at + 2] in _TAGS:
        at += 4
    kind, at, length = header[at : at + 2], at + 2, None
    if kind == _PPPOE and header[at : at + 2] == b"\x11\0":
        kind, at, length = b"ppp" + header[at + 6 : at + 8], at + 8, at + 4
    versions = _VERSIONS.get(kind, ())
    if kind in _MPLS:
        at = _last_label(header, at)
    return Link(versions, length) if versions and at == len(header) else None


def _last_label(header: bytes, at: int) -> int:
    """The offset after the label that is marked as the last."""
    while at + 4 <= len(header):
        at += 4
        if header[at - 2] & 1:
            return at
    return -1


_ADDRESSES = 12
_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_PPPOE = b"\x88\x64"
_MPLS = (b"\x88\x47", b"ppp\x02\x81")
_EITHER = (4, 6)
_VERSIONS: dict[bytes, tuple[int, ...]] = {
    b"\x08\x00": (4,), b"\x86\xdd": (6,), b"ppp\x00\x21": (4,), b"ppp\x00\x57": (6,),
    _MPLS[0]: _EITHER, _MPLS[1]: _EITHER,
}  # fmt: skip

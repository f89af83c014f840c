"""Whether what a worker asks the injector for is a request at all, and about its flow and nothing else."""

from __future__ import annotations

from manager.action import Request
from reassembly.events import Flow
from sensor.frames import Frame, Notice, link_of
from sensor.packets import ACK, FIN, PSH, RST

FRAMES = 16  # of one request
TEXT = 200  # letters of an id or a name
LONG = 8192  # of an address
PAYLOAD = 1428  # bytes of a page, which is one segment, with timestamps, also over IPv6
NOT_A_REQUEST = "not a request"  # of all others the ids and the flow are what they are to be


def flaw(request: object) -> str | None:
    """Why it can't be one; None: every field has its type and its range. Never raises, whatever is in there."""
    try:
        return _flaw(request)
    except (AttributeError, TypeError):  # slots that nobody filled
        return NOT_A_REQUEST


def key_of(request: Request) -> object:
    """The same for the requests of one flow."""
    flow = request.flow
    return flow.id, flow.orig_ip, flow.orig_port, flow.resp_ip, flow.resp_port


def macs_of(request: Request) -> set[bytes]:
    """The hardware addresses of the flow and of the frames."""
    links = (frame.link for frame in request.frames)
    return {request.flow.orig_mac, request.flow.resp_mac, *(one for link in links for one in (link[:6], link[6:12]))}


def _flaw(request: object) -> str | None:
    if not isinstance(request, Request) or type(request.frames) is not tuple:
        return NOT_A_REQUEST
    if not (_text(request.action) and _text(request.interface) and _sound(request.flow)):
        return NOT_A_REQUEST
    flow = request.flow
    if flow.transport != "tcp":
        return "not TCP"
    if flow.midstream:
        return "the flow was picked up midstream"
    if not 0 < len(request.frames) <= FRAMES:
        return f"{len(request.frames)} frames: 1 to {FRAMES} are sent"
    paged = request.notice is not None
    if paged and not (_notice(request.notice) and len(request.frames) > 1):  # who would answer has to be gone
        return NOT_A_REQUEST
    resets = len(request.frames) - paged
    flags = (RST | ACK if number < resets else PSH | ACK | FIN for number in range(len(request.frames)))
    pairs = zip(request.frames, flags, strict=True)
    return next((why for frame, wanted in pairs if (why := _odd(frame, wanted, flow)) is not None), None)


def _notice(notice: object) -> bool:
    if not isinstance(notice, Notice) or not (_text(notice.incident) and _text(notice.reason)):
        return False
    return type(notice.url) is str and len(notice.url) <= LONG


def _sound(flow: object) -> bool:
    """Whether these fields are what they are to be; the others are of no use here."""
    if not isinstance(flow, Flow) or not (_text(flow.id) and type(flow.midstream) is bool):
        return False
    addresses = _address(flow.orig_ip) and _address(flow.resp_ip) and len(flow.orig_ip) == len(flow.resp_ip)
    hardware = type(flow.orig_mac) is bytes and type(flow.resp_mac) is bytes
    ports = _number(flow.orig_port, 16) and _number(flow.resp_port, 16)
    return addresses and hardware and ports and type(flow.transport) is str


def _odd(frame: object, flags: int, flow: Flow) -> str | None:
    """Why a frame isn't sent. `flags`: those that it is to have."""
    if not isinstance(frame, Frame) or not _well_formed(frame):
        return "not a frame"
    source, target = (frame.source, frame.source_port), (frame.target, frame.target_port)
    ends = (flow.orig_ip, flow.orig_port), (flow.resp_ip, flow.resp_port)
    if (source, target) not in (ends, ends[::-1]):
        return "a frame between others than the ends of the flow"
    if not frame.link:
        return "the flow is inside of a tunnel"
    link = link_of(frame.link)
    if link is None or (4 if len(frame.source) == 4 else 6) not in link.versions:
        return "a link header that isn't known"
    return None if frame.flags == flags else "a frame that is no reset"


def _well_formed(frame: Frame) -> bool:
    numbers = ((frame.source_port, 16), (frame.target_port, 16), (frame.hops, 8), (frame.flags, 8))
    return (
        all(_number(value, bits) for value, bits in (*numbers, (frame.seq, 32), (frame.ack, 32)))
        and type(frame.link) is bytes
        and frame.payload == b""  # a page is made by who sends it
        and _stamp(frame.stamp)
        and _address(frame.source)
        and _address(frame.target)
    )


def _stamp(value: object) -> bool:
    return value is None or (type(value) is tuple and len(value) == 2 and all(_number(one, 32) for one in value))


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= TEXT


def _address(value: object) -> bool:
    return type(value) is bytes and len(value) in (4, 16)


def _number(value: object, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits

"""Whether what a worker asks the injector for is a request at all, and about its flow and nothing else."""

from __future__ import annotations

from manager.action import Request
from reassembly.events import Flow
from sensor.frames import Frame, link_of

FRAMES = 16  # of one request
TEXT = 200  # letters of an id or a name
PAYLOAD = 1460  # bytes: a page is one segment
NOT_A_REQUEST = "not a request"  # of all others the ids and the flow are what they are to be
_SYN = 2


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
    return next((why for one in request.frames if (why := _odd(one, flow)) is not None), None)


def _sound(flow: object) -> bool:
    """Whether these fields are what they are to be; the others are of no use here."""
    if not isinstance(flow, Flow) or not (_text(flow.id) and type(flow.midstream) is bool):
        return False
    addresses = _address(flow.orig_ip) and _address(flow.resp_ip) and len(flow.orig_ip) == len(flow.resp_ip)
    hardware = type(flow.orig_mac) is bytes and type(flow.resp_mac) is bytes
    ports = _number(flow.orig_port, 16) and _number(flow.resp_port, 16)
    return addresses and hardware and ports and type(flow.transport) is str


def _odd(frame: object, flow: Flow) -> str | None:
    """Why a frame isn't sent."""
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
    return "a frame that opens a connection" if frame.flags & _SYN else None


def _well_formed(frame: Frame) -> bool:
    numbers = ((frame.source_port, 16), (frame.target_port, 16), (frame.hops, 8), (frame.flags, 8))
    return (
        all(_number(value, bits) for value, bits in (*numbers, (frame.seq, 32), (frame.ack, 32)))
        and type(frame.link) is bytes
        and type(frame.payload) is bytes
        and len(frame.payload) <= PAYLOAD
        and _address(frame.source)
        and _address(frame.target)
    )


def _text(value: object) -> bool:
    return type(value) is str and len(value) <= TEXT


def _address(value: object) -> bool:
    return type(value) is bytes and len(value) in (4, 16)


def _number(value: object, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits

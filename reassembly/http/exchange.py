"""What the two directions of an HTTP/1 flow share: which request a response answers, and what came out.

RFC 9112, section 9.3.2: responses come in the order of their requests.
"""

from __future__ import annotations

from reassembly.builder import Origin
from reassembly.events import Expect, Note, Switch
from reassembly.http.facts import text
from reassembly.http.head import Request, Response, has_room
from reassembly.objects import Object

NOTHING: list[Object | Expect | Switch | Note] = []  # between two events nothing comes out: an object would stay here


class Exchange:
    """Requests that wait for their response, and the objects that are ready."""

    __slots__ = ("_early", "origin", "out", "ranged", "switched", "waiting")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.out = NOTHING  # a list of its own while an event is read
        self.waiting: tuple[Request, ...] = ()  # mostly one or none
        self.switched = False  # the flow goes on in another protocol
        self.ranged = False  # a response was part of something (RFC 9110, section 15.3.7)
        self._early = 0  # responses that came before their request

    def ask(self, request: Request) -> None:
        """A request was seen."""
        if known := self.origin.memory.known:
            host, target = text(request.fields.get(b"host", b"").strip()), text(request.target)
            known.requested(self.origin.flow, host, target, self.origin.memory.now, not self.waiting)
        if self._early:
            self._early -= 1
        elif len(self.waiting) >= self.origin.limits.pending_requests:
            self.origin.memory.counters["pending_requests"] += 1
        elif not self.waiting or has_room(request, self.origin):  # a client that heeds the answers needs none
            self.waiting += (request,)

    def pair(self, response: Response) -> None:
        """Gives a response its request, if that was seen."""
        self.ranged = self.ranged or response.status == 206
        interim = 100 <= response.status < 200 and response.status != 101
        if self.waiting:
            response.request = self.waiting[0]
            if not interim:
                self.waiting = self.waiting[1:]
        elif not interim and not self.origin.flow.midstream:
            self._early += 1

    def refused(self) -> bool:
        """Whether all requests were answered, and none with a switch to another protocol."""
        return not self.waiting and not self._early


def switches(response: Response) -> bool:
    """Whether another protocol follows this head (RFC 9110, sections 7.8 and 9.3.6)."""
    request = response.request
    if response.status == 101:
        return b"upgrade" in response.fields or (request is not None and request.switches)
    return request is not None and request.method == b"CONNECT" and 200 <= response.status < 300

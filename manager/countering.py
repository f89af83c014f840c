"""A capture worker's part in countermeasures: orders in, requests to the injector out."""

from __future__ import annotations

import contextlib
import pickle
import socket

from manager.action import Request
from reassembly.acting import Acting, Order
from reassembly.known import Known, Met
from sensor.marks import Mark
from sensor.noun import noun


@noun
class Countering:
    """What a worker needs to have flows ended."""

    requests: int  # descriptor of the socket that the injector reads
    secret: bytes  # by which our own frames are known
    interface: str  # where frames go out


class Hand:
    """Carries out orders on the flows of a table."""

    def __init__(self, countering: Countering, known: Known) -> None:
        self.acting = Acting(Mark(countering.secret), known)
        self._interface = countering.interface
        self._requests = socket.socket(fileno=countering.requests)

    def order(self, order: Order, now: int) -> None:
        """`now`: ns since 1970 by the clock of packets."""
        self.acting.order(order, now)

    def met(self) -> list[tuple[str, Met]]:
        """What was met since the last call, with the action on it."""
        met, self.acting.met = self.acting.met, []
        return met

    def flush(self) -> None:
        """Sends what there is. Where the injector doesn't keep up, a request is lost: it would come too late."""
        sendings, self.acting.sendings = self.acting.sendings, []
        for one in sendings:
            request = Request(one.action, one.flow, one.frames, self._interface, one.notice)
            with contextlib.suppress(OSError):
                self._requests.send(pickle.dumps(request, pickle.HIGHEST_PROTOCOL), socket.MSG_DONTWAIT)

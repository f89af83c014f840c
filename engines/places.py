"""Where the engines of a cluster run, as `engines.cluster` keeps it."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Any

from engines.dispatch import Seat
from engines.scanner import Facts
from sensor.noun import state

SETTINGS = 4  # a frame of HTTP/2
FIRST_PAUSE = 0.1  # seconds before an engine that died is started again, the first time


@state
class Host:
    """A host as the cluster sees it."""

    node: str
    address: str
    facts: Facts | None = None
    refused: str | None = None  # why nothing is sent to it
    heard: float = 0.0  # when it last answered
    meet_at: float | None = None  # when it is asked once more who it is
    silent: bool = False
    drained: bool = False  # an operator wants nothing new to go there


@state
class Place:
    """An engine on a host: its actor, and what goes wrong there."""

    host: Host
    engine: str
    actor: Any = None
    seat: Seat | None = None
    version: str | None = None
    database: str | None = None
    trouble: str | None = None
    pause: float = FIRST_PAUSE
    retry_at: float | None = None
    asked: bool = False  # an answer is due
    leaving: bool = False  # replaced as soon as nothing is open there


class NoHead(Exception):
    """Nothing that is one answers; the text says what does."""


def reach(address: str, seconds: float) -> None:
    """Raises NoHead where no head answers as Ray will speak to it: Ray itself would wait, and for how long.

    It is greeted as gRPC does, with a connection preface (RFC 9113, section 3.4); SETTINGS come back (6.5).
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds) as line:
            secured = (
                _tls().wrap_socket(line, server_hostname=host.strip("[]")) if "RAY_USE_TLS" in os.environ else line
            )
            secured.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, SETTINGS, 0, 0, 0, 0, 0)))
            said = secured.recv(9)
    except ssl.SSLError as error:
        raise NoHead(f"TLS fails: {error.reason or error}") from None
    except (OSError, ValueError) as error:
        raise NoHead(f"nothing answers: {error}") from None
    if said[3:4] != bytes((SETTINGS,)):
        raise NoHead("what answers is no head of a cluster, or has TLS and we have not")


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.environ["RAY_TLS_CA_CERT"])
    context.load_cert_chain(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
    context.set_alpn_protocols(["h2"])
    return context

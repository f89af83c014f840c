"""`tapscan cluster head` and `join`: hosts that scan, thin over `ray start`.

Ray runs code for whoever reaches its ports. So a host is bound to the one address that is given, and a token that all
hosts share is asked of every peer (Ray's token authentication, from 2.52 on); on demand all of it goes by TLS.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event

from manager.access import access, token_file
from manager.effective import effective
from manager.options import Stop
from manager.visible import visible
from sensor.noun import noun

RAY = (sys.executable, "-m", "ray.scripts.scripts")
WORKER_PORTS = (20000, 20999)  # of actors: those of the firewall table in deploy/CLUSTER.md
NEXT_PORTS = ("node-manager", "object-manager", "runtime-env-agent", "metrics-export", "dashboard-agent-listen")
TOKEN_BYTES = 32
CONNECT = 5.0  # seconds for the head to take a connection


@noun
class Member:
    """What `head` and `join` were asked for."""

    bind: str  # the address of this host that the others reach
    config: str | None
    token: str | None = None  # path
    name: str | None = None
    memory: int | None = None  # bytes of the object store
    tls: str | None = None  # folder with certificates


def start_head(member: Member, port: int) -> int:
    """Runs the head until it is ended. Raises Stop."""
    token = _ready(member, make=True)
    tls = " --tls DIR" if member.tls is not None else ""
    sys.stderr.write(
        f"tapscan: head of the cluster at {member.bind}:{port}\n"
        f"tapscan: on other hosts, with a copy of {token}: "
        f"tapscan cluster join {member.bind}:{port} --bind ADDRESS{tls}\n"
    )
    return _run(member, token, ["--head", f"--port={port}", "--include-dashboard=false", *flags(member, port)])


def join(member: Member, address: str) -> int:
    """Runs this host as one of the cluster until it is ended. Raises Stop."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Stop(f"{address!r} is no HOST:PORT of a cluster's head")
    token = _ready(member, make=False)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()
    except OSError as error:
        raise Stop(f"no head of a cluster answers at {address}: {error}") from None
    return _run(member, token, [f"--address={address}", *flags(member, int(port))])


def environment(member: Member, token: Path) -> dict[str, str]:
    """What Ray and the engines of this host read."""
    more = access(str(token), member.tls) | {
        "RAY_USAGE_STATS_ENABLED": "0",
        "TAPSCAN_HOST": member.name or os.uname().nodename,
    }
    if member.config is not None:
        more["TAPSCAN_CONFIG"] = str(Path(member.config).absolute())
    return more


def flags(member: Member, port: int) -> Iterator[str]:
    """Of `ray start`, for every host. `port`: of the head; a host's own follow it, so a host can be in two clusters."""
    yield f"--node-ip-address={member.bind}"
    yield from (f"--{name}-port={number}" for number, name in enumerate(NEXT_PORTS, port + 1))
    yield f"--min-worker-port={WORKER_PORTS[0]}"
    yield f"--max-worker-port={WORKER_PORTS[1]}"
    if member.memory is not None:
        yield f"--object-store-memory={member.memory}"
    yield "--disable-usage-stats"
    yield "--block"


def _run(member: Member, token: Path, words: Sequence[str]) -> int:
    told = os.environ | environment(member, token)
    with (
        TemporaryFile("w+", errors="replace") as trouble,
        subprocess.Popen([*RAY, "start", *words], env=told, stdout=subprocess.DEVNULL, stderr=trouble) as ray,
    ):
        asked = Event()

        def end(*_: object) -> None:
            asked.set()
            ray.terminate()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        if ray.wait() == 0 or asked.is_set():
            return 0
        trouble.seek(0)
        last = [line.strip() for line in trouble if line.strip()][-1:]
    raise Stop(f"ray start ended: {visible(last[0]) if last else 'it does not say why'}")


def _ready(member: Member, make: bool) -> Path:
    """Says now what is wrong, not when the first sensor comes; gives the file of the token."""
    _check_address(member.bind)
    effective(member.config)
    access(None, member.tls)
    return _token(member.token, make)


def _check_address(bind: str) -> None:
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        raise Stop(f"--bind {bind!r} is no IP address of this host") from None
    if address.is_unspecified:
        raise Stop(f"--bind {bind}: name the one address that the other hosts reach, not all of them")
    if address.is_global:
        sys.stderr.write(
            f"tapscan: warning: {bind} is a public address: whoever reaches Ray's ports and has the token runs code "
            "here; let only the cluster's hosts through (deploy/CLUSTER.md has the ports)\n"
        )


def _token(path: str | None, make: bool) -> Path:
    """The file with the token that all hosts share; the head makes it when there is none."""
    file = token_file(path)
    if file.is_file():
        return file
    if not make:
        raise Stop(f"{file}: no such file; copy the token of the cluster's head there, or name it with --token FILE")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(secrets.token_hex(TOKEN_BYTES))
    except OSError as error:
        raise Stop(f"{file}: {error.strerror}") from None
    return file

"""`tapscan cluster head`, `join` and `status`: hosts that scan, thin over `ray start`.

Ray runs code for whoever reaches its ports. So a host is bound to the one address that is given, and a token that all
hosts share is asked of every peer (Ray's token authentication, from 2.52 on).
"""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

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


def start_head(member: Member, port: int) -> int:
    """Runs the head until it is ended. Raises Stop."""
    token = _token(member.token, make=True)
    sys.stderr.write(
        f"tapscan: head of the cluster at {member.bind}:{port}\n"
        f"tapscan: on other hosts, with a copy of {token}: tapscan cluster join {member.bind}:{port} --bind ADDRESS\n"
    )
    return _run(member, token, ["--head", f"--port={port}", "--include-dashboard=false", *flags(member, port)])


def join(member: Member, address: str) -> int:
    """Runs this host as one of the cluster until it is ended. Raises Stop."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise Stop(f"{address!r} is no HOST:PORT of a cluster's head")
    token = _token(member.token, make=False)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT).close()
    except OSError as error:
        raise Stop(f"no head of a cluster answers at {address}: {error}") from None
    return _run(member, token, [f"--address={address}", *flags(member, int(port))])


def environment(member: Member, token: Path) -> dict[str, str]:
    """What Ray and the engines of this host read."""
    more = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
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
    _check_address(member.bind)
    effective(member.config)  # a settings file with a mistake is said now, not when the first sensor comes
    command = [*RAY, "start", *words]
    with (
        TemporaryFile("w+", errors="replace") as trouble,
        subprocess.Popen(
            command, env=os.environ | environment(member, token), stdout=subprocess.DEVNULL, stderr=trouble
        ) as ray,
    ):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ray.terminate())
        if ray.wait() in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            return 0
        trouble.seek(0)
        last = [line.strip() for line in trouble if line.strip()][-1:]
    raise Stop(f"ray start ended: {visible(last[0]) if last else 'it does not say why'}")


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
    file = Path(path or os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
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


def show_status(address: str, as_json: bool) -> int:
    """Prints hosts, engines and what runs on them. Raises Stop when there is no cluster."""
    from engines.cluster import ClusterError
    from engines.status import report
    from manager.hosts import HostEngines

    try:
        hosts = report(HostEngines(), address)
    except ClusterError as error:
        raise Stop(f"{address}: {error}") from None
    if as_json:
        for host in hosts:
            sys.stdout.write(json.dumps(host) + "\n")
    else:
        _print_status(hosts)
    return 2 if any(host["refused"] for host in hosts) else 0


def _print_status(hosts: Sequence[Mapping[str, Any]]) -> None:
    from manager.report import console, plain_table

    out = console()
    for host in hosts:
        title = f"{visible(host['name'] or '')} {host['address']}"
        columns = ("engine", "version", ">scanned", ">/s", ">MB/s", ">errors", ">waiting", ">median", ">99 %")
        table = plain_table(title, *columns)
        for engine in host["engines"]:
            known = "\n".join(visible(engine[key] or "") for key in ("version", "database"))
            table.add_row(engine["name"], known, *_figures(engine))
        out.print(table if host["engines"] else f"{title}: {visible(host['refused'] or 'ready, no sensor uses it')}")
        out.print()
    for engine, databases in sorted(differing(hosts).items()):
        told = ", ".join(f"{visible(version)} on {visible(', '.join(where))}" for version, where in databases.items())
        out.print(f"{visible(engine)} does not know the same everywhere: {told}")


def differing(hosts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Engines whose databases are not the same on all hosts: engine -> database -> hosts."""
    found: dict[str, dict[str, list[str]]] = {}
    for host in hosts:
        for engine in host["engines"]:
            where = found.setdefault(engine["name"], {}).setdefault(engine["database"] or "none", [])
            if (host["name"] or host["address"]) not in where:
                where.append(host["name"] or host["address"])
    return {engine: databases for engine, databases in found.items() if len(databases) > 1}


def _figures(engine: Mapping[str, Any]) -> Iterator[str]:
    forms = {"scanned": ",", "objects_s": ",.1f", "mb_s": ",.2f", "errors": ",", "waiting": ","}
    yield from (format(engine[key], form) for key, form in forms.items())
    yield from ("" if engine[key] is None else f"{engine[key]:,.2f} ms" for key in ("median_ms", "p99_ms"))

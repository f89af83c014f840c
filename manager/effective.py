"""The settings that hold: defaults, then the file, then the command line; and where each value came from."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from manager.options import Stop
from manager.settings import ClamdSettings, EngineSettings, Settings, YaraSettings

# Where packages put clamd's socket: Debian and Ubuntu, Fedora and Red Hat, FreeBSD and upstream's example
USUAL_SOCKETS = (
    "/run/clamav/clamd.ctl",
    "/var/run/clamav/clamd.ctl",
    "/run/clamd.scan/clamd.sock",
    "/var/run/clamd.scan/clamd.sock",
    "/run/clamav/clamd.sock",
    "/var/run/clamav/clamd.sock",
    "/tmp/clamd.socket",  # upstream's example
)
CONNECT = 0.5  # seconds that a local socket may take to answer


def effective(config: str | None, rules: tuple[str, ...] = ()) -> tuple[Settings, dict[str, str]]:
    """The settings, and for each dotted key that isn't a default, where it came from. Raises Stop."""
    settings, origins = Settings(), {}
    if config is not None:
        from manager.settings_file import SettingsError, load

        try:
            settings, tables = load(config)
        except SettingsError as error:
            raise Stop(str(error)) from None
        origins = dict.fromkeys(_keys(tables), config)
    if not settings.engine:
        settings = replace(settings, engine=tuple(_usual_engines()))
        origins["engine"] = "what is found on this host"
    for path in rules:
        if not Path(path).exists():
            raise Stop(f"--rules {path}: no such file or folder")
    if rules:
        settings = replace(settings, engine=tuple(_with_rules(settings.engine, rules)))
        origins["rules"] = "--rules"
    return settings, origins


def flat(settings: Any, under: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key."""
    for field in fields(settings):
        yield from _flat(getattr(settings, field.name), f"{under}{field.name}")


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if is_dataclass(value):
        yield from flat(value, key + ".")
    elif isinstance(value, tuple) and value and all(is_dataclass(item) for item in value):
        for number, item in enumerate(value):
            yield from _flat(item, f"{key}[{number}]")
    else:
        yield key, value


def _keys(tables: Any, under: str = "") -> Iterator[str]:
    if isinstance(tables, dict):
        for key, value in tables.items():
            yield from _keys(value, f"{under}.{key}" if under else key)
    elif isinstance(tables, list) and tables and all(isinstance(item, dict) for item in tables):
        for number, item in enumerate(tables):
            yield from _keys(item, f"{under}[{number}]")
    else:
        yield under


def _usual_engines() -> Iterator[EngineSettings]:
    yield YaraSettings()
    if address := usual_clamd():
        yield ClamdSettings(address=address)


def usual_clamd() -> str | None:
    """The usual socket behind which a clamd answers PING, or None."""
    return next((address for address in USUAL_SOCKETS if Path(address).is_socket() and _answers(address)), None)


def _answers(address: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT)
        try:
            connection.connect(address)
            connection.sendall(b"zPING\0")
            return connection.recv(16).startswith(b"PONG")
        except OSError:
            return False


def _with_rules(engines: tuple[EngineSettings, ...], rules: tuple[str, ...]) -> Iterator[EngineSettings]:
    """Adds rules to the first YARA engine; there is one afterwards."""
    missing = True
    for engine in engines:
        if missing and isinstance(engine, YaraSettings):
            missing = False
            engine = replace(engine, rules=engine.rules + rules)
        yield engine
    if missing:
        yield YaraSettings(rules=rules)

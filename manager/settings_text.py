"""`tapscan config`: the default settings with a comment on each, the mistakes of a file, the values that hold."""

from __future__ import annotations

import inspect
import pwd
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from manager.block_page import BlockPage
from manager.effective import effective, flat
from manager.options import Stop
from manager.output_settings import OUTPUT_KINDS
from manager.reload import engine_mistakes
from manager.settings import ENGINE_KINDS, PolicySettings, PolicyWhen, Settings
from manager.settings_file import SettingsError, load
from manager.visible import visible

HEAD = """\
# Settings of tapscan. What is commented out shows the default.
# `tapscan config check` says every mistake, `tapscan config show` what holds and where it comes from.
"""
POLICIES = """
# What is done with what is found; the first of which all of [policy.when] holds wins. Without any, what is malicious is
# observed. `tapscan policy test CAPTURE` shows which one fires, and why.
# [[policy]]
{}
# [policy.when]
{}
"""
ENGINES = """
# Engines, as many as there are; each object goes to all of them at once. Without any: YARA with the starter rules, and
# clamd if its usual socket answers. Names tell their verdicts apart.
"""
OUTPUTS = """
# Where documents go beside Elasticsearch, as many as there are; each goes on from where it was, whatever the others do.
# A new name begins with the oldest document that the spool has. datasets: "all" or some of "object", "alarm", "action",
# "signature", "audit", "health", "coverage", "sensor".
"""
EXAMPLES = {
    "argv": '["/opt/acme/scan", "--quiet", "{file}"]',
    "path": '"/var/log/tapscan/outputs/alarms.jsonl"',
    "address": '"siem.example.org:6514"',
    "url": '"https://hooks.example.org/tapscan"',
    "servers": '["kafka.example.org:9092"]',
}
SECRET = re.compile(r"password|secret|token|api_key")
_FIELD = re.compile(r"    (\w+): .*?(?:  # (.*))?$")


def write_default(path: Path, force: bool) -> int:
    """`config init`. Raises Stop when there is a file already."""
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(default_text())
    except FileExistsError:
        raise Stop(f"{path} is there already; --force overwrites it") from None
    except OSError as error:
        raise Stop(f"{path}: can't be written: {error.strerror}") from None
    sys.stderr.write(f"{path} written\n")
    return 0


def check_file(path: str | None) -> int:
    """`config check`: the file, and what it names. Raises Stop without a file."""
    if path is None:
        raise Stop("no settings to check: name a FILE, or give --config or $TAPSCAN_CONFIG")
    try:
        settings, _ = load(path)
        mistakes = [*_missing(path, settings), *engine_mistakes(settings), *_unusable(path, settings)]
    except SettingsError as error:
        mistakes = [str(mistake) for mistake in error.mistakes]
    for text in mistakes:
        sys.stderr.write(f"tapscan: {visible(text)}\n")
    if mistakes:
        return 2
    sys.stdout.write(f"{path}: no mistakes\n")
    return 0


def _missing(path: str, settings: Settings) -> Iterator[str]:
    """What a sensor needs and isn't there: the user it becomes, folders it writes to."""
    own = settings.sensor
    if own.user is not None:
        try:
            pwd.getpwnam(own.user)
        except KeyError:
            yield f"{path}: sensor.user: there is no user {own.user!r} on this host"
    if settings.block_page.template is not None:
        try:
            BlockPage(settings.block_page)
        except Stop as stop:
            yield f"{path}: {stop}"
    if own.temporary is not None and not Path(own.temporary).is_dir():
        yield f"{path}: sensor.temporary: {own.temporary} is no folder"


def _unusable(path: str, settings: Settings) -> Iterator[str]:
    """Secrets, certificates and packages that an output needs and that can't be had."""
    for output in settings.output:
        from manager.outputs import receiver

        try:
            receiver(output)
        except Stop as stop:
            yield f"{path}: {stop}"


def show_settings(path: str | None, json: bool) -> int:
    """`config show`."""
    settings, origins = effective(path)
    rows = [(key, _hidden(key, value), origin_of(key, origins)) for key, value in flat(settings)]
    if json:
        import orjson

        for key, value, origin in rows:
            row = {"key": key, "value": value, "origin": origin}
            sys.stdout.write(
                orjson.dumps({name: item for name, item in row.items() if item is not None}).decode() + "\n"
            )
        return 0
    shown = [(f"{key} = {toml(value)}", origin) for key, value, origin in rows]
    width = min(60, max(len(text) for text, _ in shown))
    for text, origin in shown:
        sys.stdout.write(f"{visible(text):<{width}}  # {visible(origin)}\n")
    return 0


def origin_of(key: str, origins: dict[str, str]) -> str:
    """Where the value of a key came from: the nearest table above it that is known."""
    while key:
        if key in origins:
            return origins[key]
        key = re.sub(r"(\.\w+|\[\d+\]|^\w+)$", "", key)
    return "default"


def _hidden(key: str, value: Any) -> Any:
    return "(hidden)" if value and SECRET.search(key) else value


def toml(value: Any) -> str:
    """A value as it stands in the file."""
    match value:
        case None:
            return "(unset)"
        case bool():
            return "true" if value else "false"
        case str():
            import json

            return json.dumps(value, ensure_ascii=False)
        case tuple() | list():
            return "[" + ", ".join(toml(item) for item in value) + "]"
        case dict():
            return (
                "{ " + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + " }" if value else "{}"
            )
    return str(value)


def default_text() -> str:
    """The whole default file. Its comments are those of the dataclasses."""
    parts = [HEAD]
    for field in fields(Settings):
        if field.name == "engine":
            parts.append(ENGINES + "\n".join(_one_of("engine", kind, ENGINE_KINDS[kind]) for kind in ENGINE_KINDS))
        elif field.name == "output":
            parts.append(OUTPUTS + "\n".join(_one_of("output", kind, OUTPUT_KINDS[kind]) for kind in OUTPUT_KINDS))
        elif field.name == "policy":
            own = (line for line in _table(PolicySettings) if not line.startswith("# when = "))
            parts.append(POLICIES.format("\n".join(own), "\n".join(_table(PolicyWhen))))
        else:
            assert field.default_factory is not MISSING
            parts.append(f"\n[{field.name}]\n" + "\n".join(_table(type(field.default_factory()))) + "\n")
    return "".join(parts)


def _one_of(name: str, kind: str, made: type[Any]) -> str:
    lines = [f'# kind = "{kind}"' if line.startswith("# kind") else line for line in _table(made)]
    return f"# [[{name}]]\n" + "\n".join(lines) + "\n"


def _table(kind: type[Any]) -> Iterator[str]:
    """A line for each field, commented out, with the comment that stands beside it in the source."""
    defaults = {field.name: field for field in fields(kind)}
    for line in inspect.getsource(kind).splitlines():
        if line.startswith("    # "):
            yield f"# -- {line.strip(' #')}"
        elif (found := _FIELD.fullmatch(line)) and found[1] in defaults:
            field = defaults[found[1]]
            value = field.default_factory() if field.default_factory is not MISSING else field.default
            shown = _example(found[1]) if value is MISSING else f"{found[1]} = {toml(value)}"
            yield f"# {shown}" + (f"  # {found[2]}" if found[2] else "")


def _example(name: str) -> str:
    return f"{name} = {EXAMPLES.get(name, toml('acme'))}"

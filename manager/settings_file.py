"""Reads tapscan.toml and says every mistake in it: which file, which key, what is allowed."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from manager.block_page import block_page_mistakes
from manager.output_checks import OUTPUT_CHECKS, same_files, with_paths
from manager.output_settings import OUTPUT_KINDS
from manager.policy_checks import countermeasure_mistakes, policy_mistakes
from manager.settings import ENGINE_KINDS, LATER, EngineSettings, HashesSettings, Settings, YaraSettings
from sensor.noun import noun

# Where nothing, or less, makes no sense; every other number may be 0 but not negative.
_AMOUNTS = frozenset({"max_bytes", "object_bytes", "probe_bytes", "record_bytes", "max_datagram", "batch"})
_TIMES = frozenset({"timeout", "time_limit", "flush_timeout", "loss_minutes", "block_timeout"})
POSITIVE = _AMOUNTS | _TIMES | {"slots", "workers", "flows", "max_connections"}
MOST = {  # longer, and flows that wait for what is in a block would end; more knows no kernel, datagram, request, proxy
    "block_timeout": 100,
    "precedence": 20,
    "max_datagram": 65507,
    "preview": 64 << 10,
    "max_connections": 10_000,
    "batch": 1000,
}
NAMESPACE = re.compile(r"[a-z0-9_.]{1,100}")  # a data stream's name takes no capitals, and "-" parts it

KINDS: dict[str, dict[str, type[Any]]] = {"engine": dict(ENGINE_KINDS), "output": dict(OUTPUT_KINDS)}
TELL = {"engine": "verdicts", "output": "places in the spool"}

Loc = tuple[str | int, ...]


@noun
class Mistake:
    """One thing wrong with a settings file."""

    file: str
    key: str  # dotted; empty for the file as a whole
    text: str  # what is wrong and what is allowed

    def __str__(self) -> str:
        return f"{self.file}: {self.key + ': ' if self.key else ''}{self.text}"


class SettingsError(Exception):
    """A settings file can't be used. `mistakes`: all of them."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


def load(path: str) -> tuple[Settings, dict[str, Any]]:
    """The settings of a file, and its tables as they stand there. Raises SettingsError."""
    tables = _read(path)
    mistakes: list[Mistake] = []
    rest = {key: table for key, table in tables.items() if key not in KINDS}
    settings = _validated(path, Settings, rest, (), mistakes)
    folder = Path(path).parent
    engines = tuple(_beside(one, folder) for one in _several(path, "engine", tables, mistakes))
    outputs = tuple(with_paths(one, folder) for one in _several(path, "output", tables, mistakes))
    mistakes += (Mistake(path, key, text) for key, text in same_files(outputs))
    mistakes += (Mistake(path, key, text) for key, text in _check(rest))
    if isinstance(settings, Settings):
        mistakes += (Mistake(path, key, text) for key, text in countermeasure_mistakes(settings.countermeasures))
        mistakes += (Mistake(path, key, text) for key, text in policy_mistakes(settings.policy))
        mistakes += (Mistake(path, key, text) for key, text in block_page_mistakes(settings.block_page))
    pool = tables.get("pool")
    if isinstance(pool, dict) and pool.get("kind") == "ray" and not pool.get("address"):
        mistakes.append(Mistake(path, "pool.address", 'is missing; with kind = "ray" it is HOST:PORT, "auto" or "new"'))
    if mistakes:
        raise SettingsError(mistakes)
    page = settings.block_page
    if page.template is not None:
        page = replace(page, template=str(folder / Path(page.template).expanduser()))
    return replace(settings, engine=engines, output=outputs, block_page=page), tables


def _read(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError([Mistake(path, "", f"can't be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise SettingsError([Mistake(path, "", f"isn't UTF-8 at byte {error.start}")]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([Mistake(path, "", f"isn't TOML: {error}")]) from None


def _several(path: str, name: str, given: dict[str, Any], mistakes: list[Mistake]) -> Iterator[Any]:
    """The tables of a list, each of which has its kind and a name of its own."""
    tables = given.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        mistakes.append(Mistake(path, name, f"is a list of tables: write [[{name}]]"))
        return
    names: dict[str, int] = {}
    for number, table in enumerate(tables):
        key = f"{name}[{number}]"
        if (kind := _kind(path, key, KINDS[name], table, mistakes)) is None:
            continue
        mistakes += (Mistake(path, wrong, text) for wrong, text in _check(table, key))
        one = _validated(path, KINDS[name][kind], table, (name, number), mistakes)
        if one is None:
            continue
        if (first := names.setdefault(one.name, number)) != number:
            text = f"{one.name!r} is already the name of {name}[{first}]; names tell {TELL[name]} apart"
            mistakes.append(Mistake(path, f"{key}.name", text))
        yield one


def _kind(
    path: str, key: str, kinds: dict[str, type[Any]], table: dict[str, Any], mistakes: list[Mistake]
) -> str | None:
    kind = table.get("kind")
    if isinstance(kind, str) and kind in kinds:
        return kind
    if kind is None:
        text = f"is missing; it is one of {', '.join(kinds)}"
    elif key.startswith("engine") and kind in LATER:
        text = f"{_shown(kind)} isn't in this version yet; there are {', '.join(kinds)}"
    else:
        text = f"{_shown(kind)} won't do: it is one of {', '.join(kinds)}{_guess(kind, kinds)}"
    mistakes.append(Mistake(path, f"{key}.kind", text))
    return None


def _beside(engine: EngineSettings, folder: Path) -> EngineSettings:
    """Relative paths in the file start where the file is."""

    def beside(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(folder / Path(name).expanduser()) for name in names)

    if isinstance(engine, YaraSettings):
        return replace(engine, rules=beside(engine.rules))
    if isinstance(engine, HashesSettings):
        return replace(engine, bad=beside(engine.bad), good=beside(engine.good))
    return engine


def _validated(path: str, kind: type[Any], table: Any, where: Loc, mistakes: list[Mistake]) -> Any:
    from pydantic import TypeAdapter, ValidationError  # 45 ms, paid only where there is a file

    try:
        # as JSON, so that lists may fill tuples although everything else is strict
        return TypeAdapter(kind).validate_json(json.dumps(table, default=str))
    except ValidationError as error:
        mistakes += (_mistake(path, kind, where, dict(one)) for one in error.errors(include_url=False))
        return None


def _mistake(path: str, kind: type[Any], where: Loc, error: dict[str, Any]) -> Mistake:
    loc: Loc = error["loc"]
    key = dotted((*where, *loc))
    match error["type"]:
        case "unexpected_keyword_argument":
            known = _keys_beside(kind, loc)
            guess = _guess(str(loc[-1]), known)
            text = f"is no key here{guess}" + ("" if guess else f"; there are {', '.join(known)}")
        case "missing" | "missing_argument":
            text = "is missing"
        case "literal_error":
            text = f"{_shown(error['input'])} won't do: it is one of {error['ctx']['expected'].replace(' or ', ', ')}"
        case _:
            text = f"{_shown(error['input'])} won't do: {error['msg'].replace('Input should be', 'it has to be')}"
    return Mistake(path, key, text)


def dotted(loc: Loc) -> str:
    """`("engine", 0, "name")` as `engine[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")


def _keys_beside(kind: type[Any], loc: Loc) -> list[str]:
    """The keys that the table of an unknown key takes."""
    from typing import get_args, get_type_hints

    for part in loc[:-1]:
        if isinstance(part, str):
            kind = get_type_hints(kind)[part]
        kind = next((part for part in get_args(kind) if isinstance(part, type) and is_dataclass(part)), kind)
    return [field.name for field in fields(kind)] if is_dataclass(kind) else []


def _guess(word: str, known: Any) -> str:
    close = get_close_matches(str(word), [str(name) for name in known], 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def _check(tables: Any, under: str = "") -> Iterator[tuple[str, str]]:
    """What types alone can't say: bounds of numbers, networks, names. Values of a wrong type are passed over here."""
    for name, value in tables.items() if isinstance(tables, dict) else ():
        key = f"{under}.{name}" if under else name
        if isinstance(value, dict) and name != "overlap_networks":
            yield from _check(value, key)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _check_number(key, name, value)
        elif check := CHECKS.get(key) or LISTED.get(key.partition("[")[0], {}).get(name):
            yield from ((key, text) for text in check(value))


def _check_number(key: str, name: str, value: float) -> Iterator[tuple[str, str]]:
    if not math.isfinite(value):
        yield key, "has to be a finite number"
    elif value < 0 or (value == 0 and name in POSITIVE):
        yield key, f"{value} won't do: it has to be {'more than 0' if name in POSITIVE else '0 or more'}"
    elif value > MOST.get(name, value):
        yield key, f"{value} won't do: it has to be {MOST[name]} or less"


def _networks(texts: Any) -> Iterator[str]:
    for text in texts if isinstance(texts, list | dict) else ():
        try:
            ip_network(text, strict=False)
        except ValueError:
            yield f"{_shown(text)} is no network; write 10.0.0.0/8 or 2001:db8::/32"


def _namespace(text: Any) -> Iterator[str]:
    if isinstance(text, str) and not NAMESPACE.fullmatch(text):
        yield f"{_shown(text)} won't do: it takes a-z, 0-9, _ and . only"


def _urls(texts: Any) -> Iterator[str]:
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, str) and not text.startswith(("http://", "https://")):
            yield f"{_shown(text)} has to begin with http:// or https://"
        elif isinstance(text, str) and "@" in text:
            yield "names a user: write username and password_file, or api_key_file"


def _argv(words: Any) -> Iterator[str]:
    if isinstance(words, list) and not any("{file}" in str(word) for word in words):
        yield "has no {file}, which stands for the path of the object"


def _pattern(text: Any) -> Iterator[str]:
    try:
        re.compile(text if isinstance(text, str) else "")
    except re.error as error:
        yield f"{_shown(text)} is no pattern: {error}"


LISTED: dict[str, dict[str, Callable[[Any], Iterator[str]]]] = {
    "engine": {"argv": _argv, "signature": _pattern},
    "output": OUTPUT_CHECKS,
}
CHECKS: dict[str, Callable[[Any], Iterator[str]]] = {
    "sensor.home": _networks,
    "reassembly.overlap_networks": _networks,
    "elasticsearch.namespace": _namespace,
    "elasticsearch.urls": _urls,
    "icap.listen": OUTPUT_CHECKS["address"],
}

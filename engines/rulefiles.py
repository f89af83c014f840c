"""YARA rule files to compiled rules, kept in a cache under the hash of all they were made of.

Each file is a namespace of its own, so that equal names don't clash and a broken file costs only itself. libyara
trusts what it loads, and a damaged file ends the process; so what is kept carries a digest and is made anew if that
differs.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import time
from typing import Any, TypeAlias

import yara

from engines.gates import begins_as_program, only_programs
from sensor.noun import noun

ENDINGS = frozenset({".yar", ".yara", ".rule"})
EXTERNALS = {"filename": "", "filepath": "", "extension": "", "filetype": "", "protocol": ""}
KEPT = 8  # compiled sets in the cache: some configurations, and yesterday's rules
_MAGIC = b"tapscan rules 1\n"
_DIGEST = 32
_BEGINS = rb"^[ \t]*(?:(?:private|global)[ \t]+)*rule[ \t]+"
_RULE = re.compile(_BEGINS + rb"(\w+)(.*?)(?=" + _BEGINS + rb"|\Z)", re.MULTILINE | re.DOTALL)
_WHOLE = re.compile(rb"\b(?:filesize|not|none|hash|math|pe|elf|dotnet|macho|dex|magic)\b|#\w*[ \t]*[<=]")
_PLACED = re.compile(rb"\bu?int(?:8|16|32)(?:be)?\b|\b(?:at|in|entrypoint)\b|@|!")
_INCLUDE = re.compile(rb'\binclude\s+"([^"\n]+)"')
_LOCATION = re.compile(r"^(.+)\((\d+)\): (.*)$", re.DOTALL)

_Made: TypeAlias = tuple[list[str], bytes, bytes]  # problems; all and general rules as libyara saves them, or empty


@noun
class RuleSet:
    """Compiled rules: all of them, and those that not only programs can match. None where there is no rule."""

    version: str
    age: float | None  # seconds since the newest file changed
    every: Any = None
    general: Any = None
    whole: frozenset[str] = frozenset()  # names of rules that may be wrong about a part of a file
    placed: frozenset[str] = frozenset()  # of those that may be wrong about one that isn't its beginning

    def rules_for(self, head: bytes) -> Any:
        """The rules for an object with these first bytes (four are enough)."""
        return self.every if begins_as_program(head) else self.general


def load(paths: Iterable[str], problems: list[str], cache: Path | None = None) -> RuleSet:
    """Reads files and folders. `problems` gets a line for each that is of no use, with file and line of the mistake.

    `cache` is a folder; without one it is `tapscan` in XDG_CACHE_HOME.
    """
    sources = _read(paths, problems)
    key = _key(sources)
    place = _place(cache, key)
    made = _kept(place)
    if made is None:
        made = _made(sources)
        _keep(made, place)
    broken, every, general = made
    problems += broken
    return RuleSet(_version(sources), _age(sources), _loaded(every), _loaded(general), *_bound(sources))


def _bound(sources: Mapping[str, bytes]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of rules that speak of the whole file or of what isn't in it, and of those that speak of places in it.

    Any text up to the next rule counts: a rule too many here only finds what it finds a little later.
    """
    rules = [rule for text in sources.values() for rule in _RULE.findall(text)]
    whole = frozenset(name.decode(errors="replace") for name, body in rules if _WHOLE.search(body))
    placed = frozenset(name.decode(errors="replace") for name, body in rules if _PLACED.search(body))
    return whole, placed


def _read(paths: Iterable[str], problems: list[str]) -> dict[str, bytes]:
    """The text of each rule file, by its path."""
    sources: dict[str, bytes] = {}
    for path in _files(paths, problems):
        try:
            str(path).encode()
            sources[str(path)] = path.read_bytes()
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except UnicodeEncodeError:
            problems.append(f"{os.fsencode(path)!r}: yara takes only names in UTF-8")
    return sources


def _files(paths: Iterable[str], problems: list[str]) -> Iterator[Path]:
    for text in paths:
        path = Path(text)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and _is_readable(file))
            if not found:
                problems.append(f"{path}: no rule file ({', '.join(sorted(ENDINGS))}) in this folder")
            yield from found
        elif path.exists():
            yield path
        else:
            problems.append(f"{path}: no such file or folder")


def _is_readable(path: Path) -> bool:
    """No folder and no pipe. A link to nothing is left in, for its reader to complain of."""
    return path.is_file() or not path.exists()


def _version(sources: Mapping[str, bytes]) -> str:
    """Tells sets of rules apart by what they say, wherever the files are: two hosts with the same rules agree."""
    digest = hashlib.sha256()
    for text in sorted(b"\0".join((text, *_included(Path(path), text, set()))) for path, text in sources.items()):
        digest.update(hashlib.sha256(text).digest())
    return digest.hexdigest()[:12]


def _key(sources: Mapping[str, bytes]) -> str:
    """A hash of all that the compiled rules depend on."""
    digest = hashlib.sha256(f"{_MAGIC!r}{yara.__version__}{os.uname().machine}{sorted(EXTERNALS)}".encode())
    for path, text in sources.items():
        for part in (path.encode(), text, *_included(Path(path), text, set())):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.hexdigest()


def _included(path: Path, text: bytes, seen: set[Path]) -> Iterator[bytes]:
    """What a file includes, and what that includes. What can't be read is left to the compiler to complain of."""
    for name in _INCLUDE.findall(text):
        file = path.parent / os.fsdecode(name)
        if file in seen:
            continue
        seen.add(file)
        try:
            more = file.read_bytes()
        except (OSError, ValueError):
            continue
        yield more
        yield from _included(file, more, seen)


def _age(sources: Iterable[str]) -> float | None:
    changed = [Path(path).stat().st_mtime for path in sources]
    return max(time() - max(changed), 0.0) if changed else None


def _made(sources: Mapping[str, bytes]) -> _Made:
    """Compiles all at once; when that fails, one by one to find the broken ones, and the others again."""
    problems: list[str] = []
    usable = list(sources)
    every = _compiled(usable, [])
    if every is None:
        usable = [path for path in usable if _compiled([path], problems) is not None]
        every = _compiled(usable, problems)
    general = [path for path in usable if not only_programs(sources[path].decode("utf-8", "replace"))]
    saved = _saved(every)
    return problems, saved, saved if general == usable else _saved(_compiled(general, problems))


def _compiled(paths: list[str], problems: list[str]) -> Any:
    if not paths:
        return None
    try:
        return yara.compile(filepaths={path: path for path in paths}, externals=EXTERNALS)
    except yara.Error as error:
        problems.append(_located(str(error)))
        return None


def _located(error: str) -> str:
    """`file:line: what`, as compilers say it."""
    found = _LOCATION.match(error)
    return f"{found[1]}:{found[2]}: {found[3]}" if found else error


def _saved(rules: Any) -> bytes:
    if rules is None:
        return b""
    file = BytesIO()
    rules.save(file=file)
    return file.getvalue()


def _loaded(saved: bytes) -> Any:
    return yara.load(file=BytesIO(saved)) if saved else None


def _place(directory: Path | None, key: str) -> Path | None:
    if directory is None:
        try:
            directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapscan"
        except RuntimeError:  # a user without a home
            return None
    return directory / f"rules-{key[:32]}.yarc"


def _kept(place: Path | None) -> _Made | None:
    """What the cache holds; None when it isn't there, or not as it was written."""
    if place is None:
        return None
    try:
        whole = place.read_bytes()
    except OSError:
        return None
    digest, body = whole[len(_MAGIC) : len(_MAGIC) + _DIGEST], memoryview(whole)[len(_MAGIC) + _DIGEST :]
    if not whole.startswith(_MAGIC) or hashlib.sha256(body).digest() != digest:
        return None
    with suppress(OSError):
        os.utime(place)  # when there are too many, the one that was not used for longest goes
    problems, every, general = _unpacked(body)
    return problems.decode().split("\0") if problems else [], every, general


def _unpacked(body: memoryview) -> Iterator[bytes]:
    while body:
        end = 8 + int.from_bytes(body[:8], "little")
        yield bytes(body[8:end])
        body = body[end:]


def _keep(made: _Made, place: Path | None) -> None:
    """Writes the cache in one step; a place that can't be written costs only time at the next start."""
    if place is None:
        return
    problems, every, general = made
    parts = ("\0".join(problems).encode("utf-8", "replace"), every, general)
    body = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(place, _MAGIC + hashlib.sha256(body).digest() + body)
        _forget(place.parent)


def _write(place: Path, whole: bytes) -> None:
    with NamedTemporaryFile(dir=place.parent, delete=False) as file:
        try:
            file.write(whole)
            file.flush()
            Path(file.name).replace(place)
        except OSError:
            Path(file.name).unlink()
            raise


def _forget(directory: Path) -> None:
    kept = sorted(directory.glob("rules-*.yarc"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[KEPT:]:
        path.unlink(missing_ok=True)

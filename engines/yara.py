"""The native engine, also the one that a remote site runs: YARA rules by yara-python, in this process.

Each rule file is a namespace of its own, so that equal names don't clash and a broken file costs only itself. Compiled
rules are kept in a cache under the hash of all they were made of. yara-python releases the interpreter lock while it
matches, so `slots` objects are scanned at once.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import NamedTemporaryFile
from typing import Any

import yara

from engines.verdicts import Verdict
from reassembly.objects import Object

ENDINGS = frozenset({".yar", ".yara", ".rule"})
STARTER = Path(__file__).parent / "rules"
EXTERNALS = {"filename": "", "filepath": "", "extension": "", "filetype": "", "protocol": ""}
SUSPICIOUS_BELOW = 60  # of `score`, 0 to 100 as in the Signature Base and others
_LINE = re.compile(r"\((\d+)\)|line (\d+)")
_INCLUDE = re.compile(rb'^\s*include\s+"([^"\n]+)"', re.MULTILINE)
_RULE_FIELDS = ("description", "author", "reference", "license", "version")  # of ECS rule.*
_IDENTITIES = ("uuid", "id")


class Yara:
    """YARA rules of files and folders. `problems` names what could not be used, file and line first."""

    def __init__(
        self,
        name: str = "yara",
        rules: Sequence[str] = (),
        *,
        starter: bool = True,
        timeout: float = 10.0,
        slots: int | None = None,
        cache: Path | None = None,
    ) -> None:
        self.name = name
        self.version: str | None = yara.__version__
        self.timeout = timeout
        self.slots = slots or os.cpu_count() or 1
        self.problems: list[str] = []
        sources = _read([*([str(STARTER)] if starter else []), *rules], self.problems)
        key = _key(sources)
        self.database_version: str | None = key[:12]
        self._rules = _load(_cache_file(cache, key), sources, self.problems)

    def scan(self, target: Object) -> Verdict:
        """Matches the bytes; the best rule names the verdict, all are listed."""
        if self._rules is None:
            return Verdict(self.name, "error", reason="no usable rules")
        try:
            matches = self._match(target)
        except yara.TimeoutError:
            return Verdict(self.name, "timeout", reason=f"over {self.timeout:g} s in the rules")
        except yara.Error as error:
            return Verdict(self.name, "error", reason=str(error))
        if not matches:
            return Verdict(self.name, "clean")
        ranked = sorted(matches, key=_rank, reverse=True)
        best = ranked[0]
        status = "suspicious" if all(_is_suspicious(match.meta, match.tags) for match in matches) else "malicious"
        return Verdict(
            self.name,
            status,  # type: ignore[arg-type]
            best.rule,
            tuple(dict.fromkeys(match.rule for match in ranked)),
            rule=_rule(best),
        )

    def check(self) -> str | None:
        """None when there are rules."""
        return None if self._rules is not None else "; ".join(self.problems) or "no rules"

    def close(self) -> None:
        """Nothing to let go of."""

    def _match(self, target: Object) -> list[Any]:
        assert self._rules is not None
        name = (target.name or "").replace("\0", "").encode("utf-8", "replace").decode()
        externals = {
            "filename": name,
            "filepath": name,
            "extension": PurePosixPath(name).suffix.lower(),
            "filetype": target.mime_type,
            "protocol": target.protocol,
        }
        seconds = max(int(self.timeout), 1)
        memory = target.content.memory
        if memory is not None:
            return self._rules.match(data=memory, externals=externals, timeout=seconds)  # type: ignore[no-any-return]
        with target.content.named() as path:
            return self._rules.match(path, externals=externals, timeout=seconds)  # type: ignore[no-any-return]


def _read(paths: Iterable[str], problems: list[str]) -> dict[str, bytes]:
    """The text of each rule file, by its path; what it includes follows under the including file's own key."""
    sources: dict[str, bytes] = {}
    for path in _files(paths, problems):
        try:
            sources[str(path)] = path.read_bytes()
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
    return sources


def _files(paths: Iterable[str], problems: list[str]) -> Iterator[Path]:
    for text in paths:
        path = Path(text)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in ENDINGS and file.is_file())
            if not found:
                problems.append(f"{path}: no rule file ({', '.join(sorted(ENDINGS))}) in this folder")
            yield from found
        elif path.exists():
            yield path
        else:
            problems.append(f"{path}: no such file or folder")


def _key(sources: Mapping[str, bytes]) -> str:
    """A hash of all that the compiled rules depend on."""
    digest = hashlib.sha256(f"{yara.__version__}{sorted(EXTERNALS)}".encode())
    for path, text in sources.items():
        for part in (path.encode("utf-8", "surrogateescape"), text, *_included(Path(path), text, set())):
            digest.update(b"%d:" % len(part))
            digest.update(part)
    return digest.hexdigest()


def _included(path: Path, text: bytes, seen: set[Path]) -> Iterator[bytes]:
    for name in _INCLUDE.findall(text):
        file = path.parent / os.fsdecode(name)
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        more = file.read_bytes()
        yield more
        yield from _included(file, more, seen)


def _cache_file(directory: Path | None, key: str) -> Path:
    if directory is None:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tapscan"
    return directory / f"rules-{key[:32]}.yarc"


def _load(cache: Path, sources: Mapping[str, bytes], problems: list[str]) -> Any:
    """The compiled rules, from the cache if all of them compiled before; None when there is none."""
    try:
        return yara.load(str(cache))
    except yara.Error:
        pass  # not there, of another version, or damaged: made anew
    broken = len(problems)
    files = {path: path for path in sources}
    rules = _compile(files, problems)
    if rules is not None and len(problems) == broken:
        _keep(rules, cache)
    return rules


def _compile(files: dict[str, str], problems: list[str]) -> Any:
    if not files:
        return None
    try:
        return yara.compile(filepaths=files, externals=EXTERNALS)
    except yara.Error:
        usable = {path: path for path in files if _compiles(path, problems)}
    return yara.compile(filepaths=usable, externals=EXTERNALS) if usable else None


def _compiles(path: str, problems: list[str]) -> bool:
    try:
        yara.compile(filepath=path, externals=EXTERNALS)
    except yara.Error as error:
        problems.append(_located(path, str(error)))
        return False
    return True


def _located(path: str, error: str) -> str:
    found = _LINE.search(error)
    line = next((number for number in found.groups() if number), None) if found else None
    said = error.rsplit(": ", 1)[-1]
    return f"{path}:{line}: {said}" if line else f"{path}: {error}"


def _keep(rules: Any, cache: Path) -> None:
    """Writes the cache in one step; a place that can't be written costs only time at the next start."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=cache.parent, delete=False) as file:
            rules.save(file=file)
        Path(file.name).replace(cache)
    except OSError:
        return


def _score(meta: Mapping[str, Any]) -> int | None:
    try:
        return int(meta["score"])
    except (KeyError, TypeError, ValueError):
        return None


def _is_suspicious(meta: Mapping[str, Any], tags: Sequence[str]) -> bool:
    """A rule calls itself a heuristic by a tag, `severity` or a low `score` in its metadata."""
    score = _score(meta)
    marks = {str(tag).lower() for tag in tags} | {str(meta.get("severity", "")).lower()}
    return bool(marks & {"suspicious", "heuristic", "low", "informational"}) or (
        score is not None and score < SUSPICIOUS_BELOW
    )


def _rank(match: Any) -> tuple[bool, int]:
    return not _is_suspicious(match.meta, match.tags), _score(match.meta) or 75


def _rule(match: Any) -> dict[str, str]:
    """ECS rule.* of a match."""
    meta = {str(key).lower(): value for key, value in match.meta.items()}
    fields = {"name": match.rule, "ruleset": PurePosixPath(match.namespace).name}
    fields |= {name: str(meta[name]) for name in _RULE_FIELDS if meta.get(name) not in (None, "")}
    if identity := next((meta[name] for name in _IDENTITIES if meta.get(name)), None):
        fields["uuid"] = str(identity)
    if category := meta.get("category") or meta.get("malware_type") or meta.get("tc_detection_type"):
        fields["category"] = str(category)
    return fields


__all__ = ["ENDINGS", "STARTER", "Yara"]

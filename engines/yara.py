"""The native engine, also the one that a remote site runs: YARA rules by yara-python, in this process.

yara-python releases the interpreter lock while it matches, so `slots` objects are scanned at once. Rules of which only
programs can be the match are asked only about programs (`engines.gates`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yara

from engines.rulefiles import load
from engines.verdicts import Verdict
from reassembly.objects import Object

STARTER = Path(__file__).parent / "rules"
SUSPICIOUS_BELOW = 60  # of `score`, 0 to 100 as in the Signature Base and others
USUAL_SCORE = 75  # of rules that give none
HEAD = 4  # bytes that tell a program
_RULE_FIELDS = ("description", "author", "reference", "license", "version")  # of ECS rule.*
_IDENTITIES = ("uuid", "id")

yara.set_config(max_match_data=1)  # a hostile object can match a million times, and each would keep a copy of its bytes


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
        self._rules = load([*([str(STARTER)] if starter else []), *rules], self.problems, cache)
        self.database_version: str | None = self._rules.version
        self.database_age = self._rules.age

    def scan(self, target: Object) -> Verdict:
        """Matches the bytes; the best rule names the verdict, all are listed."""
        return self._judged(target, lambda match: True)

    def scan_part(self, target: Object) -> Verdict:
        """The same of a part of an object, without rules that would be wrong about one."""
        unfit = self._rules.whole | self._rules.placed if target.missing else self._rules.whole
        return self._judged(target, lambda match: match.rule not in unfit)

    def _judged(self, target: Object, counts: Callable[[Any], bool]) -> Verdict:
        if self._rules.every is None:
            return Verdict(self.name, "error", reason="no usable rules")
        try:
            matches = [match for match in self._match(target) if counts(match)]
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
        return None if self._rules.every is not None else "; ".join(self.problems) or "no rules"

    def close(self) -> None:
        """Nothing to let go of."""

    def _match(self, target: Object) -> list[Any]:
        kept = target.content.kept
        rules = self._rules.rules_for(bytes(target.content.view()[:HEAD]))
        if rules is None:
            return []
        how = {
            "externals": _externals(target),
            "timeout": max(int(self.timeout), 1),
            "fast": True,  # one match of a string is enough where the condition asks for no more
            "warnings_callback": _go_on,
        }
        if kept is not None:
            return rules.match(data=kept, **how)  # type: ignore[no-any-return]
        with target.content.named() as path:
            return rules.match(path, **how)  # type: ignore[no-any-return]


def _go_on(kind: int, what: Any) -> int:
    """A string matched more than a million times: libyara leaves the rest of its matches out."""
    return yara.CALLBACK_CONTINUE  # type: ignore[no-any-return]


def _externals(target: Object) -> dict[str, str]:
    name = (target.name or "").replace("\0", "").encode("utf-8", "replace").decode()
    return {
        "filename": name,
        "filepath": name,
        "extension": PurePosixPath(name).suffix.lower(),
        "filetype": target.mime_type,
        "protocol": target.protocol,
    }


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
    return not _is_suspicious(match.meta, match.tags), _score(match.meta) or USUAL_SCORE


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

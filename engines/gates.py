"""Which YARA rule files only programs can match: told from the conditions, so that all else goes by them.

A rule that imports `pe` costs 0.3 ms an object, however small the object is, for libyara makes the module's structures
anew for each scan. Almost every such rule begins with `uint16(0) == 0x5A4D and ...`, and is false for all that begins
otherwise. Only what this file can prove counts (YARA's grammar: yara.readthedocs.io, "Writing YARA rules"): a
condition that it can't read is taken as one that may match anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

HEADS = (b"MZ", b"\x7fELF")

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<hex> = \s* \{ (?: [^{}/] | //[^\n]* | /\*.*?\*/ )* \} )
    | (?P<text> "(?: \\. | [^"\\\n] )*" )
    | (?P<regex> /(?![/*]) (?: \\. | [^/\\\n] )+ / [is]* )
    | (?P<number> 0x[0-9a-fA-F]+ | 0o[0-7]+ | \d+(?:KB|MB)? )
    | (?P<word> [$\#@!]?[A-Za-z_]\w* )
    | (?P<mark> [=!<>]= | \.\. | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_WIDTHS = {"uint16": (2, "little"), "uint32": (4, "little"), "uint16be": (2, "big"), "uint32be": (4, "big")}


def begins_as_program(head: bytes) -> bool:
    """Whether an object with these first bytes needs the rules for programs."""
    return head.startswith(HEADS)


def only_programs(text: str) -> bool:
    """Whether no rule of this file can be true of an object that begins with none of HEADS."""
    tokens = [found[0] for found in _TOKEN.finditer(text) if found.lastgroup != "space"]
    if "include" in tokens:
        return False  # the rules of another file are not seen here
    conditions = list(_conditions(tokens))
    return bool(conditions) and all(condition is not None and _is_gated(condition) for condition in conditions)


def _conditions(tokens: Sequence[str]) -> Iterator[Sequence[str] | None]:
    """The condition of each rule; None for one that can't be made out. No condition holds a brace."""
    at = 0
    while (at := _index(tokens, "rule", at)) >= 0:
        begin = _index(tokens, "condition", at)
        end = _index(tokens, "}", begin)
        if begin < 0 or end < 0 or tokens[begin + 1] != ":" or "rule" in tokens[at + 1 : end]:
            yield None
            return
        inside = tokens[begin + 2 : end]
        yield None if "{" in inside else inside
        at = end


def _index(tokens: Sequence[str], wanted: str, start: int) -> int:
    try:
        return tokens.index(wanted, start)
    except ValueError:
        return -1


def _is_gated(tokens: Sequence[str]) -> bool:
    """`or` binds weaker than `and`: each side of an `or`, and one of an `and`, has to be false of all else."""
    while tokens and tokens[0] == "(" and _closing(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    for operator, every in (("or", all), ("and", any)):
        parts = _split(tokens, operator)
        if len(parts) > 1:
            return every(_is_gated(part) for part in parts)
    return _is_head(tokens)


def _split(tokens: Sequence[str], operator: str) -> list[Sequence[str]]:
    parts, depth, begin = [], 0, 0
    for at, token in enumerate(tokens):
        depth += (token in "([") - (token in ")]")
        if token == operator and depth == 0:
            parts.append(tokens[begin:at])
            begin = at + 1
    return [*parts, tokens[begin:]]


def _closing(tokens: Sequence[str]) -> int:
    """Where the parenthesis that opens at the first token closes; -1 when it doesn't."""
    depth = 0
    for at, token in enumerate(tokens):
        depth += (token == "(") - (token == ")")
        if depth == 0:
            return at
    return -1


def _is_head(tokens: Sequence[str]) -> bool:
    """`uint16(0) == 0x5A4D` and its like, either way round."""
    if len(tokens) == 6 and tokens[1] == "==":
        tokens = [*tokens[2:], tokens[1], tokens[0]]
    if len(tokens) != 6 or tokens[0] not in _WIDTHS or [*tokens[1:5]] != ["(", "0", ")", "=="]:
        return False
    width, order = _WIDTHS[tokens[0]]
    try:
        return int(tokens[5], 0).to_bytes(width, order).startswith(HEADS)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return False

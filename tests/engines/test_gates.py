"""What is proved of a rule file is true: an object that does not begin as a program never matches."""

from __future__ import annotations

import pytest
import yara
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.gates import begins_as_program, only_programs

PE = "uint16(0) == 0x5A4D"
ELF = "uint32(0) == 0x464C457F"


def rule(condition, body=""):
    return f'rule R : tag {{ meta: a = 1 strings: $a = "evil" $or = "odd" {body} condition: {condition} }}'


@pytest.mark.parametrize(
    "condition",
    [
        f"{PE} and $a and $or",
        f"$a and $or and ({PE})",
        f"(({PE}) and any of them)",
        f"{PE} and ($a or $or)",
        f"({PE} or {ELF}) and $a and $or",
        f"({PE} and $a) or ({ELF} and $or)",
        "0x5a4d == uint16(0) and any of them",
        "uint16(0) == 23117 and any of them",
        "uint16be(0) == 0x4d5a and any of them",
        "uint32be(0) == 0x7F454C46 and any of them",
        "uint32(0) == 0x00905A4D and any of them",
        f"{PE} /* or true */ and any of them // or true\n",
        f"{PE} and for any i in (1..#a) : ( @a[i] < 100 or $or )",
    ],
)
def test_rules_for_programs(condition):
    text = rule(condition)
    yara.compile(source=text)
    assert only_programs(text)
    assert only_programs(text + "\n" + text.replace("rule R", "private rule S"))


@pytest.mark.parametrize(
    "condition",
    [
        "$a and $or",
        f"{PE} or $a and $or",
        f"$a or ({PE}) and $or",
        f"not {PE} and any of them",
        f"not ({PE} and any of them)",
        f"({PE} and any of them) == false",
        "uint16(0) != 0x5A4D and any of them",
        "uint16(2) == 0x5A4D and any of them",
        "uint16(0) == 0x457F and any of them",
        "uint8(0) == 0x4D and any of them",
        "uint16(0) == 0x15A4D and any of them",
        "uint16(0) == 23117KB and any of them",
        "uint16(0) == filesize and any of them",
        f"for any of them : ( $ and {PE} )",
        f"any of them /* and {PE} */",
        f"any of them // and {PE}\n",
        'any of them and "uint16(0) == 0x5A4D and" contains "x"',
        f"{PE} | 1 and any of them",
        "( any of them and (",
        "uint16 and any of them",
    ],
)
def test_rules_that_may_match_anything(condition):
    assert not only_programs(rule(condition))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rule",
        "rule R { condition",
        "rule R { condition: " + PE,
        "rule R { condition " + PE + " }",
        "rule R { condition: { " + PE + " }",
        "rule Q rule R { condition: " + PE + " }",
        'include "x.yar"\n' + rule(PE),
        rule(PE) + "\nrule S { condition: true }",
        "rule S { condition: true }\n" + rule(PE),
        'rule Q { strings: $a = "x" } ' + rule(PE),
    ],
)
def test_files_that_are_not_understood_are_not_trusted(text):
    assert not only_programs(text)


@pytest.mark.parametrize(
    "body",
    [
        "$h = { 4D 5A // } condition: true }\n [2-4] (00 | ??) }",
        "$h = { 4D /* } */ 5A }",
        '$h = "} condition: true }"',
        "$h = /} condition: [^\\/] true }/i",
    ],
)
def test_braces_and_words_inside_of_strings_are_no_syntax(body):
    text = rule(f"any of them and {PE}", body)
    yara.compile(source=text)
    assert only_programs(text)
    assert not only_programs(rule(f"any of them or {PE}", body))


def test_heads():
    assert begins_as_program(b"MZ\x90\0")
    assert begins_as_program(b"\x7fELF")
    assert not begins_as_program(b"PK\3\4")
    assert not begins_as_program(b"M")
    assert not begins_as_program(b"")


LOOPS = [f"for any of them : ( {PE} )", f"for all i in (0..#a) : ( {PE} or i > 0 )"]  # they can't be nested
leaves = st.sampled_from(
    [PE, ELF, "uint16be(0) == 0x4D5A", "uint16(0) == 0x4B50", "$a", "$or", "filesize > 3", "true", *LOOPS]
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map("({})".format),
        inner.map("not {}".format),
        inner.map("not ({})".format),
    ),
    max_leaves=8,
)
others = st.sampled_from([b"", b"M", b"PK evil odd", b"evil", b"odd", b"\x7fEvil", b"ZM odd", b"\0\0\0\0evil"])


@settings(max_examples=300, deadline=None)
@given(conditions, others)
def test_what_is_gated_never_matches_anything_else(condition, payload):
    text = f'rule R {{ strings: $a = "evil" $or = "odd" condition: ({condition}) or ($a and $or and {PE}) }}'
    if only_programs(text):
        assert not yara.compile(source=text).match(data=payload)


@given(st.text(alphabet='rule condition:{}()"/*uint16 0x5A4D==andor\n$#\\', max_size=200))
def test_any_text_is_survived(text):
    assert only_programs(text) in (True, False)

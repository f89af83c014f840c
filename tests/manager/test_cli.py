"""The commands as a user calls them: exit codes, what stands on which stream, broken inputs."""

import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from capture import make, write
from nouns import documents, web

ROOT = Path(__file__).parents[2]
ONLY_YARA = "[[engine]]\nkind = 'yara'\n"


@pytest.fixture
def folder(tmp_path, eicar):
    write(web(("/a.txt", b"nothing to see"), ("/b.bin", bytes(range(256)) * 20)), tmp_path / "clean.pcap")
    write(web(("/a.txt", b"nothing to see"), ("/bad.com", eicar), orig="192.0.2.10:40002"), tmp_path / "bad.pcap")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("this is no capture, by far\n" * 10)
    (tmp_path / "tapscan.toml").write_text(ONLY_YARA)
    return tmp_path


def err(done):
    return done.stderr.decode().splitlines()


def test_scan_finds_nothing(folder, tapscan):
    done = tapscan("scan", "--config", "tapscan.toml", "--json", "clean.pcap")
    assert (done.returncode, err(done)) == (0, [])
    assert {one["tapscan"]["verdict"] for one in documents(done, "tapscan.object")} == {"clean"}
    assert documents(done, "tapscan.alarm") == []


def test_scan_finds_something(folder, tapscan):
    done = tapscan("scan", "--config", "tapscan.toml", "--json", "bad.pcap")
    assert (done.returncode, err(done)) == (1, [])
    (alarm,) = documents(done, "tapscan.alarm")
    assert alarm["file"]["name"] == "bad.com"
    assert alarm["log"]["file"]["path"] == "bad.pcap"
    order = [one["event"]["dataset"] for one in documents(done)]
    assert order.index("tapscan.alarm") > max(at for at, name in enumerate(order) if name == "tapscan.object")
    assert order[-1] == "tapscan.coverage"


def test_scan_for_a_person(folder, tapscan):
    done = tapscan("scan", "--config", "tapscan.toml", "bad.pcap")
    assert done.returncode == 1
    out = done.stdout.decode()
    assert out.index("bad.com") < out.index("2 objects") < out.index("Engines")
    assert "198.51.100.80 → 192.0.2.10" in out
    assert "\x1b" not in out


def test_quiet_scan_is_its_alarms(folder, tapscan):
    assert tapscan("scan", "--config", "tapscan.toml", "-q", "clean.pcap").stdout == b""
    (line,) = tapscan("scan", "--config", "tapscan.toml", "--quiet", "bad.pcap").stdout.decode().splitlines()
    assert line.startswith("HIGH 198.51.100.80 sent the file bad.com to 192.0.2.10")


def test_extract_as_json(folder, tapscan):
    done = tapscan("extract", "--json", "bad.pcap")
    assert (done.returncode, err(done)) == (0, [])
    found = documents(done, "tapscan.object")
    assert [one["file"]["name"] for one in found] == ["a.txt", "bad.com"]
    (coverage,) = documents(done, "tapscan.coverage")
    assert coverage["tapscan"]["coverage"]["objects"] == 2


def test_extract_for_a_person(folder, tapscan):
    out = tapscan("extract", "bad.pcap").stdout.decode().splitlines()
    assert out[0].split()[:2] == ["time", "from"]
    assert "bad.com" in out[2]
    assert tapscan("extract", "-q", "bad.pcap").stdout == b""


def test_extract_to_a_folder(folder, tapscan):
    done = tapscan("extract", "-q", "--to", "out/here", "bad.pcap")
    assert done.returncode == 0
    hashes = {
        one["file"]["hash"]["sha256"] for one in documents(tapscan("extract", "--json", "bad.pcap"), "tapscan.object")
    }
    assert {path.name for path in (folder / "out/here").iterdir()} == hashes


def test_limits_of_fragments_reach_the_capture(folder, tapscan):
    make(ROOT / "tests/cases/fragments", folder / "fragments.pcap")
    (folder / "narrow.toml").write_text("[limits]\nfragment_bytes = 1\n")
    whole = documents(tapscan("extract", "--json", "fragments.pcap"), "tapscan.object")
    parts = documents(tapscan("extract", "--json", "--config", "narrow.toml", "fragments.pcap"), "tapscan.object")
    assert all(one["tapscan"]["object"]["complete"] for one in whole)
    assert not any(one["tapscan"]["object"]["complete"] for one in parts)


def test_the_same_capture_gives_the_same_identities(folder, tapscan):
    first, second = (documents(tapscan("extract", "--json", "bad.pcap", "clean.pcap")) for _ in range(2))
    ids = [one["event"]["id"] for one in first]
    assert ids == [one["event"]["id"] for one in second]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("absent.pcap", "no such file"),
        ("empty", "is empty"),
        ("text", "is not a capture"),
        (".", "is a directory"),
    ],
)
@pytest.mark.parametrize("command", ["extract", "scan"])
def test_an_input_that_is_none_costs_only_itself(folder, tapscan, command, name, says):
    done = tapscan(command, "--json", "--config", "tapscan.toml", name, "bad.pcap")
    assert done.returncode == 2
    (line,) = err(done)
    assert line.startswith(f"tapscan: {name}: ")
    assert says in line
    assert len(documents(done, "tapscan.object")) == 2


def test_no_permission(folder, tapscan):
    (folder / "clean.pcap").chmod(0)
    done = tapscan("extract", "clean.pcap", user=65534 if os.geteuid() == 0 else None)  # root may read everything
    assert done.returncode == 2
    assert err(done) == ["tapscan: clean.pcap: no permission to read it"]


def test_a_cut_off_capture_is_used_as_far_as_it_goes(folder, tapscan):
    whole = (folder / "clean.pcap").read_bytes()
    (folder / "cut.pcap").write_bytes(whole[:-700])
    done = tapscan("extract", "--json", "cut.pcap")
    assert done.returncode == 0
    assert documents(done, "tapscan.object")
    assert len(err(done)) == 1
    assert err(done)[0].startswith("tapscan: warning: cut.pcap: ")


def test_compressed_and_standard_input(folder, tapscan):
    whole = (folder / "bad.pcap").read_bytes()
    (folder / "bad.pcap.gz").write_bytes(gzip.compress(whole))
    plain = documents(tapscan("extract", "--json", "bad.pcap"), "tapscan.object")
    for done in (tapscan("extract", "--json", "bad.pcap.gz"), tapscan("extract", "--json", "-", stdin=whole)):
        assert done.returncode == 0
        assert [one["file"] for one in documents(done, "tapscan.object")] == [one["file"] for one in plain]


@pytest.mark.parametrize("command", ["extract", "scan"])
def test_workers_find_what_one_process_finds(folder, tapscan, command):
    def found(*more):
        done = tapscan(command, "--config", "tapscan.toml", "--json", *more, "bad.pcap", "clean.pcap", "absent")
        alike = [one for one in documents(done) if one["event"].pop("created") and one["tapscan"].pop("latency", True)]
        for one in alike:
            for verdict in one["tapscan"].get("verdicts", []) + one["tapscan"].get("alarm", {}).get("verdicts", []):
                del verdict["seconds"], verdict["queued"]
        return done.returncode, err(done), sorted(map(json.dumps, alike))

    assert found() == found("--workers", "3")


def test_workers_and_standard_input_do_not_go_together(tapscan):
    done = tapscan("extract", "--workers", "2", "-", stdin=b"")
    assert done.returncode == 2
    assert err(done) == ["tapscan: standard input can be read only once: use --workers 1 with -"]


def test_an_engine_that_is_away_is_said_and_the_others_work(folder, tapscan):
    (folder / "tapscan.toml").write_text(ONLY_YARA + "[[engine]]\nkind = 'clamd'\naddress = '/nowhere/clamd.ctl'\n")
    done = tapscan("scan", "--config", "tapscan.toml", "--json", "bad.pcap")
    assert done.returncode == 2
    assert err(done) == ["tapscan: engine clamav could not be used: /nowhere/clamd.ctl: No such file or directory"]
    (alarm,) = documents(done, "tapscan.alarm")
    assert alarm["tapscan"]["engines"]["error"] == ["clamav"]
    assert alarm["event"]["outcome"] == "failure"


def test_own_rules(folder, tapscan):
    (folder / "mine.yar").write_text('rule nothing_to_see { strings: $a = "nothing to see" condition: $a }')
    (folder / "broken.yar").write_text("rule {\n")
    done = tapscan(
        "scan", "--json", "--config", "tapscan.toml", "--rules", "mine.yar", "--rules", "broken.yar", "clean.pcap"
    )
    assert done.returncode == 1
    assert documents(done, "tapscan.alarm")[0]["rule"]["name"] == "nothing_to_see"
    assert len(err(done)) == 1
    assert "broken.yar:1: " in err(done)[0]
    done = tapscan("scan", "--rules", "absent.yar", "clean.pcap")
    assert (done.returncode, err(done)) == (2, ["tapscan: --rules absent.yar: no such file or folder"])


@pytest.mark.parametrize(
    "words",
    [
        ("scan",),
        ("nothing",),
        ("scan", "--nonsense", "x"),
        ("extract", "--workers", "0", "x"),
        ("extract", "--workers", "many", "x"),
        ("config",),
        ("config", "check"),
        ("scan", "--config", "absent.toml", "x"),
    ],
)
def test_bad_usage_is_one_line(tapscan, words):
    done = tapscan(*words)
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(err(done)) == 1
    assert err(done)[0].startswith("tapscan: ")


def test_help_and_version(tapscan):
    for words in ((), ("--help",), ("-h",), ("scan", "--help"), ("config", "-h")):
        done = tapscan(*words)
        assert done.returncode == 0
        assert done.stdout.startswith(b"usage: tapscan")
        assert done.stderr == b""
    assert re.fullmatch(rb"tapscan \d+\.\d+\.\d+\n", tapscan("--version").stdout)


def test_every_command_that_is_listed_works(tapscan):
    listed = re.findall(r"^    (\w+) ", tapscan("--help").stdout.decode().partition("commands:")[2], re.M)
    names = ["scan", "extract", "sensor", "coverage", "engines", "config", "cluster", "elastic", "kibana"]
    assert listed == [*names, "actions", "policy", "outputs"]
    assert all(tapscan(name, "--help").returncode == 0 for name in listed)


def imports(*words):
    """The modules that a call of the command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "manager.cli", *map(str, words)],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    return {
        line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines() if line.startswith("import time")
    }


def test_help_imports_nothing_heavy():
    assert not {"numpy", "pydantic", "rich", "yara", "scapy", "orjson"} & imports("--help")


def test_extract_imports_no_more_than_it_needs(folder):
    heavy = {"pydantic", "rich", "yara", "scapy", "elasticsearch", "ray", "asyncio"}
    assert not heavy & imports("extract", "--json", folder / "bad.pcap")


def test_whoever_reads_may_have_enough(folder):
    command = f"{sys.executable} -m manager.cli extract --json {folder}/bad.pcap {folder}/clean.pcap | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=ROOT, capture_output=True, check=False)
    assert done.stderr == b""
    assert len(done.stdout) == 10


def test_a_full_disk(folder):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "manager.cli", "extract", "--json", folder / "bad.pcap"],
            cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == b"tapscan: No space left on device\n"


def test_ctrl_c_shows_what_was_found_until_then(folder):
    """Standard input stays open: the reading ends with the interrupt and the next bytes."""
    command = [sys.executable, "-m", "manager.cli", "extract", "--json", "-"]
    whole = (folder / "bad.pcap").read_bytes()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdin.write(whole[:-100])
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdin.write(whole[-100:])
        _, errors = process.communicate(timeout=30)
    assert json.loads(first)["event"]["dataset"] == "tapscan.object"
    assert process.returncode == 130
    assert b"interrupted" in errors
    assert b"Traceback" not in errors


def test_a_terminal_gets_colours_and_no_color_is_respected(folder):
    for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        bare = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
        subprocess.run(
            [sys.executable, "-m", "manager.cli", "scan", "--config", folder / "tapscan.toml", folder / "bad.pcap"],
            cwd=ROOT, stdout=theirs, stderr=theirs, check=False,
            env=bare | {"TERM": "xterm-256color", "XDG_CACHE_HOME": str(folder)} | environment,
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        while piece := _read(ours):
            shown += piece
        os.close(ours)
        assert (re.search(rb"\x1b\[[0-9;]*3[1-7]", shown) is not None) is coloured
        assert b"HIGH" in shown


def _read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_engines(folder, tapscan):
    done = tapscan("engines", "--config", "tapscan.toml", "--json")
    assert done.returncode == 0
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["usable"] is True
    assert row["eicar"] == "EICAR_test_file"
    assert 0 < row["clean_ms"] < 10_000
    done = tapscan("engines", "--config", "tapscan.toml")
    assert b"EICAR_test_file" in done.stdout


def test_engines_that_are_away(folder, tapscan):
    text = "[[engine]]\nkind='clamd'\naddress='/nowhere'\n[[engine]]\nkind='hashes'\nbad=['absent']\n"
    (folder / "tapscan.toml").write_text(ONLY_YARA + text)
    done = tapscan("engines", "--config", "tapscan.toml", "--json")
    assert done.returncode == 2
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["clamav"]["trouble"] == "/nowhere: No such file or directory"
    assert rows["hashes"]["usable"] is False
    assert rows["yara"]["usable"] is True


def test_config_check_reads_what_the_settings_name(folder, tapscan):
    (folder / "broken.yar").write_text("rule broken { condition: nothing }")
    lists = '[[engine]]\nkind = "hashes"\nbad = ["none.txt"]\n'
    rules = '[[engine]]\nkind = "yara"\nrules = ["broken.yar"]\n'
    own = '[sensor]\nuser = "nosuchuser"\ntemporary = "/nowhere"\n'
    (folder / "bad.toml").write_text(own + rules + lists)
    done = tapscan("config", "check", "bad.toml")
    assert done.returncode == 2
    wrong = err(done)
    assert len(wrong) == 4
    assert wrong[0] == "tapscan: bad.toml: sensor.user: there is no user 'nosuchuser' on this host"
    assert wrong[1] == "tapscan: bad.toml: sensor.temporary: /nowhere is no folder"
    assert "engine yara: broken.yar" in wrong[2]
    assert "engine hashes: none.txt: No such file" in wrong[3]


def test_config_init_check_show(folder, tapscan):
    assert tapscan("config", "init", "new.toml").returncode == 0
    assert tapscan("config", "check", "new.toml").stdout == b"new.toml: no mistakes\n"
    again = tapscan("config", "init", "new.toml")
    assert again.returncode == 2
    assert "--force" in err(again)[0]
    assert tapscan("config", "init", "new.toml", "--force").returncode == 0
    (folder / "bad.toml").write_text("[limits]\nflows = 0\nfoo = 1\n")
    done = tapscan("config", "check", "bad.toml")
    assert done.returncode == 2
    assert len(err(done)) == 2
    (folder / "own.toml").write_text("[limits]\nflows = 7\n")
    rows = [
        json.loads(line) for line in tapscan("config", "show", "--json", TAPSCAN_CONFIG="own.toml").stdout.splitlines()
    ]
    shown = {row["key"]: row for row in rows}
    assert shown["limits.flows"] == {"key": "limits.flows", "value": 7, "origin": "own.toml"}
    assert shown["limits.fragments"]["origin"] == "default"
    assert b"limits.flows = 7" in tapscan("config", "show", "--config", "own.toml").stdout


def test_a_cluster_that_is_not_there_is_one_line(folder, tapscan):
    (folder / "tapscan.toml").write_text("[pool]\nkind = 'ray'\naddress = '127.0.0.1:1'\n")
    done = tapscan("scan", "--config", "tapscan.toml", "bad.pcap")
    assert done.returncode == 2
    assert err(done) == ["tapscan: pool.address 127.0.0.1:1: nothing answers: [Errno 111] Connection refused"]


def test_a_cluster_of_one_host(folder, tapscan):
    (folder / "tapscan.toml").write_text("[pool]\nkind = 'ray'\naddress = 'new'\n")
    write(web(("/large", os.urandom(1_500_000)), ("/empty", b""), orig="192.0.2.10:40003"), folder / "large.pcap")
    done = tapscan("scan", "--json", "--config", "tapscan.toml", "bad.pcap", "large.pcap")
    assert done.returncode == 1, done.stderr
    sizes = {one["file"]["size"]: one["tapscan"]["verdict"] for one in documents(done, "tapscan.object")}
    assert sizes[1_500_000] == "clean"
    (alarm,) = documents(done, "tapscan.alarm")
    assert alarm["rule"]["name"] == "EICAR_test_file"


def test_engines_that_cannot_keep_up_leave_objects_unscanned_and_say_so(folder, tapscan):
    write(web(*((f"/{number}.bin", b"%d" % number * 500) for number in range(30))), folder / "many.pcap")
    (folder / "tapscan.toml").write_text(
        "[pool]\nwhen_full = 'spill'\nmax_bytes = 1500\nmax_disk = 5000\n"
        "[[engine]]\nname = 'slow'\nkind = 'command'\nargv = ['sh', '-c', 'sleep 0.2', '{file}']\nslots = 1\n"
    )
    done = tapscan("scan", "--json", "--config", "tapscan.toml", "many.pcap")
    assert done.returncode == 0, done.stderr
    objects = documents(done, "tapscan.object")
    assert len(objects) == 30
    told = Counter(one["tapscan"]["verdict"] for one in objects)
    assert 1 < told["clean"] < 15
    assert told["unknown"] == 30 - told["clean"]
    left = [one for one in objects if one["tapscan"]["verdict"] == "unknown"]
    assert {one["tapscan"]["verdicts"][0]["status"] for one in left} == {"skipped"}
    rows = {one["tapscan"]["coverage"].get("reason"): one for one in documents(done, "tapscan.coverage")}
    assert rows["overload"]["tapscan"]["coverage"]["unscanned_objects"] == len(left)
    assert "overload: the engines can't keep up" in err(done)[0]

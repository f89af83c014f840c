"""`tapscan coverage` as a user calls it, on what a scan printed and on a ledger made by hand."""

import json
import os
import pty
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path

import pytest
from capture import make, write
from nouns import web

from manager.coverage import MINUTE, Row, Tally
from manager.coverage_view import Bar, drawn, kinds, sentence
from manager.ledger import Ledger
from manager.periods import Fate

ROOT = Path(__file__).parents[2]
ONLY_YARA = "[[engine]]\nkind = 'yara'\n"
FIRST = 29_000_000  # 2025-02-19 21:20


def row(minute, service, reason=None, **counts):
    return Row("eth1", minute, service, reason, Tally(**counts))


def some_rows():
    for minute in range(FIRST, FIRST + 120):
        counts = {"objects": 4, "object_bytes": 400, "scanned_objects": 4, "scanned_bytes": 400}
        yield row(minute, "http", flows=2, bytes=600, **counts)
        yield row(minute, "tls", "tls", flows=1, bytes=300, unscanned_bytes=300)
    yield row(FIRST + 5, "http", missing_bytes=100, lost_bytes=60)
    yield row(FIRST + 6, "unknown", "kernel_drop", packets=12)


@pytest.fixture
def ledger(tmp_path):
    Ledger(tmp_path / "state/tapscan/coverage", 1 << 20).write(some_rows(), (FIRST + 121) * MINUTE)
    return tmp_path


def words(done):
    """Standard output, of which the end of lines doesn't matter."""
    assert (done.returncode, done.stderr) == (0, b"")
    return " ".join(done.stdout.decode().split())


def test_what_this_tap_protects(ledger, tapscan):
    text = words(tapscan("coverage"))
    assert text.startswith(
        "This tap protects 66.6 % of 108 kB in 360 flows: 480 objects scanned, 0 not. The rest: 33.3 % "
        "encrypted (TLS), <0.1 % packets passed us unseen, <0.1 % packets missing. 12 packets dropped by the "
        "kernel besides. 2025-02-19 21:20 to 2025-02-19 23:20 UTC"
    )
    for service in ("http", "tls", "encrypted (TLS)", "packets dropped by the kernel", "packets passed us unseen"):
        assert service in text


def test_a_part_of_the_time(ledger, tapscan):
    one = ("--since", "2025-02-19T21:21", "--until", "2025-02-19T21:23", "--json", "--by", "minute")
    lines = tapscan("coverage", *one).stdout.splitlines()
    assert [json.loads(line)["minute"] for line in lines] == ["2025-02-19 21:21", "2025-02-19 21:22"]


def test_nothing_of_the_time(ledger, tapscan):
    done = tapscan("coverage", "--since", "1h")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"tapscan: the coverage ledger has nothing of this time\n"


def test_as_json_by_service_and_reason(ledger, tapscan):
    found = [json.loads(line) for line in tapscan("coverage", "--json").stdout.splitlines()]
    seen = {(one["service"], one.get("reason")): one for one in found}
    assert set(seen) == {
        ("http", None), ("http", "capture_loss"), ("http", "gap"), ("tls", "tls"), ("unknown", "kernel_drop"),
    }  # fmt: skip
    assert seen["unknown", "kernel_drop"]["packets"] == 12
    assert seen["http", "capture_loss"]["missing_bytes"] == 60
    assert seen["http", "gap"]["missing_bytes"] == 40


def test_the_share_by_service(ledger, tapscan):
    found = [json.loads(line) for line in tapscan("coverage", "--json", "--by", "service").stdout.splitlines()]
    assert {one["service"]: one["protected_share"] for one in found} == {"http": 0.998613, "tls": 0.0, "unknown": 0.0}


def test_of_what_a_scan_printed(tmp_path, tapscan, eicar):
    (tmp_path / "tapscan.toml").write_text(ONLY_YARA)
    write(web(("/a.txt", b"nothing"), ("/bad.com", eicar)), tmp_path / "some.pcap")
    make(ROOT / "tests/cases/tls-sni", tmp_path / "tls.pcap")
    scan = tapscan("scan", "--config", "tapscan.toml", "--json", "some.pcap", "tls.pcap")
    (tmp_path / "out.jsonl").write_bytes(scan.stdout)
    found = [json.loads(line) for line in tapscan("coverage", "out.jsonl", "--json").stdout.splitlines()]
    (http,) = [one for one in found if one["service"] == "http"]
    assert (http["objects"], http["scanned_objects"]) == (2, 2)
    assert any(one.get("reason") == "tls" for one in found)
    piped = tapscan("coverage", "-", "--json", stdin=scan.stdout)
    assert [json.loads(line) for line in piped.stdout.splitlines()] == found
    twice = tapscan("coverage", "--by", "interface", "--json", "out.jsonl").stdout.splitlines()
    assert {json.loads(line)["interface"] for line in twice} == {"some.pcap", "tls.pcap"}


def test_names_of_the_wire_do_no_harm(tmp_path, tapscan):
    Ledger(tmp_path / "c", 1 << 20).write([row(5, "\x1b[31mevil", "\x1b]0;x\x07", flows=1, bytes=3)], MINUTE)
    (path,) = (tmp_path / "c").iterdir()
    assert "\x1b" not in words(tapscan("coverage", path))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (("--by", "colour"), "--by colour: it takes service, reason, minute, hour, day, interface, also several"),
        (("--since", "soon"), "--since soon: write 24h, 7d or 2026-01-31T08:00 (UTC)"),
        (("--until", "99999999w"), "--until 99999999w: write 24h"),
        (("none.jsonl",), "none.jsonl: can't be read: No such file or directory"),
        (("--config", "none.toml"), "none.toml"),
        (("--plot", "no/such/folder.png"), "--plot no/such/folder.png: No such file or directory"),
    ],
)
def test_what_cannot_be_done_says_why(ledger, tapscan, given, why):
    done = tapscan("coverage", *given)
    assert (done.returncode, done.stdout) == (2, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"tapscan: {why}")


def test_without_a_ledger(tmp_path, tapscan):
    done = tapscan("coverage")
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"tapscan: no coverage ledger in {tmp_path}/state/tapscan/coverage: ")


def test_the_folder_of_the_settings(ledger, tapscan):
    (ledger / "state/tapscan/coverage").rename(ledger / "elsewhere")
    (ledger / "tapscan.toml").write_text('[sensor]\nledger = "elsewhere"\n')
    assert words(tapscan("coverage", "--config", "tapscan.toml")).startswith("This tap protects 66.6 %")


def test_a_picture(ledger, tapscan):
    assert tapscan("coverage", "--plot", "out.png", "--json").returncode == 0
    picture = (ledger / "out.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    from matplotlib.image import imread

    pixels = imread(ledger / "out.png")
    seen = {tuple(colour) for colour in (pixels.reshape(-1, 4)[:, :3] * 255).round().astype(int)[::7].tolist()}
    assert {(0x2E, 0x8B, 0x57), (0xC0, 0x39, 0x2B)} <= seen  # scanned, and the largest reason


def test_without_matplotlib(ledger):
    code = "import sys; sys.modules['matplotlib'] = None; from manager.cli import main; main()"
    given = os.environ | {"XDG_STATE_HOME": str(ledger / "state"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", code, "coverage", "--plot", "out.png"]
    done = subprocess.run(words, env=given, cwd=ledger, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tapscan: --plot needs matplotlib: pip install matplotlib\n"


def test_bars_on_a_terminal(ledger):
    main, side = pty.openpty()
    termios.tcsetwinsize(side, (40, 100))
    given = os.environ | {"XDG_STATE_HOME": str(ledger / "state"), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    given = {name: value for name, value in given.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen([sys.executable, "-m", "manager.cli", "coverage"], stdout=side, env=given, cwd=ledger)
    os.close(side)
    read = b""
    while True:
        try:
            if not (piece := os.read(main, 1 << 16)):
                break
        except OSError:  # Linux says EIO when nobody has the other side any more
            break
        read += piece
    os.close(main)
    assert process.wait(30) == 0
    text = read.decode()
    assert "█" in text
    assert "▓ encrypted (TLS)" in text
    assert "\x1b[32m" in text


def test_no_bars_without_a_terminal(ledger, tapscan):
    assert "█" not in tapscan("coverage").stdout.decode()


def plain(shown, height=4):
    return [line.plain for line in drawn(shown, height)]


def test_bars_are_as_high_as_what_they_show(monkeypatch):
    monkeypatch.setenv("COLUMNS", "13")
    shown = [Bar(0, Counter(scanned=20, tls=20)), Bar(1, Counter(scanned=10)), Bar(2, Counter())]
    lines = plain(shown)
    assert [line[11:14] for line in lines[:4]] == ["▓  ", "▓  ", "█  ", "██ "]


def test_what_is_scanned_is_at_the_bottom():
    assert kinds([Bar(0, Counter(tls=9, quic=10, scanned=1))]) == ["scanned", "quic", "tls"]


def test_a_sentence_without_anything_amiss():
    rows = [row(1, "http", flows=1, bytes=10, objects=1, object_bytes=5, scanned_objects=1, scanned_bytes=5)]
    assert sentence(rows, Fate(rows)) == "This tap protects 100.0 % of 10 B in 1 flow: 1 object scanned, 0 not."


def test_a_ledger_of_somebody_else(ledger, tapscan):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    ledger.chmod(0o755)
    done = tapscan("coverage", user=65534, XDG_STATE_HOME="state")
    assert done.returncode == 2
    assert done.stderr.decode() == "tapscan: state/tapscan/coverage: can't be read: Permission denied\n"

from __future__ import annotations

import sys
import time

import pytest
from samples import EICAR, object_of

from engines import command as command_module
from engines.command import Command, isolation


def script(text):
    """A scanner written in Python; `path` is the object's."""
    return [sys.executable, "-c", f"import sys; path = sys.argv[1]\n{text}", "{file}"]


def test_the_real_clamscan(clamscan):
    engine = Command(
        "clamscan", clamscan, signature=r": (.+) FOUND$", version=("clamscan", "--version"), timeout=60
    )  # fmt: skip
    assert engine.check() is None
    assert engine.version.startswith("ClamAV")
    found = engine.scan(object_of(EICAR))
    assert (found.status, found.signature) == ("malicious", "Test.Eicar.UNOFFICIAL")
    assert engine.scan(object_of(b"nothing")).status == "clean"


@pytest.mark.parametrize(
    ("code", "status"), [(0, "clean"), (1, "malicious"), (7, "suspicious"), (2, "error"), (255, "error")]
)
def test_exit_codes(code, status):
    engine = Command("one", script(f"print('last line'); sys.exit({code})"), suspicious=(7,))
    verdict = engine.scan(object_of(b"x"))
    assert verdict.status == status
    if status == "error":
        assert verdict.reason == f"exit code {code}: last line"


def test_the_scanner_reads_the_bytes_of_the_object():
    engine = Command("one", script("sys.exit(1 if open(path, 'rb').read() == b'evil' else 0)"))
    assert engine.scan(object_of(b"evil")).status == "malicious"
    assert engine.scan(object_of(b"evil", on_disk=True)).status == "malicious"
    assert engine.scan(object_of(b"fine")).status == "clean"


def test_the_name_on_the_wire_never_reaches_the_command_line():
    engine = Command("one", script("print('FOUND: ' + path); sys.exit(1)"), signature="FOUND: (.+)")
    verdict = engine.scan(object_of(b"x", "$(touch /tmp/pwned); --option"))
    assert "pwned" not in verdict.signature


def test_signatures_are_found_in_the_output():
    engine = Command("one", script("print('FOUND: A\\nFOUND: B\\nFOUND: A'); sys.exit(1)"), signature=r"FOUND: (.+)")
    verdict = engine.scan(object_of(b"x"))
    assert (verdict.signature, verdict.signatures) == ("A", ("A", "B"))


def test_a_pattern_with_two_groups_gives_the_first():
    engine = Command("one", script("print('FOUND: A in B'); sys.exit(1)"), signature=r"FOUND: (\w+) in (\w+)")
    assert engine.scan(object_of(b"x")).signature == "A"


def test_out_of_time_ends_the_whole_process_group():
    child = "import subprocess, time; subprocess.Popen(['sleep', '30']); time.sleep(30)"
    begun = time.monotonic()
    verdict = Command("one", script(child), timeout=0.5).scan(object_of(b"x"))
    assert verdict.status == "timeout"
    assert time.monotonic() - begun < 10


def test_the_environment_is_bare(monkeypatch):
    monkeypatch.setenv("SECRET", "hunter2")
    engine = Command("one", script("import os; sys.exit(1 if 'SECRET' in os.environ else 0)"))
    assert engine.scan(object_of(b"x")).status == "clean"


def test_there_is_no_network_where_the_kernel_allows():
    if not isolation():
        pytest.skip("this kernel does not let users make namespaces")
    lines = "sys.exit(0 if open('/proc/net/route').read().count('\\n') < 2 else 1)"
    assert Command("one", script(lines)).scan(object_of(b"x")).status == "clean"


def test_limits_hold():
    lines = "import resource; sys.exit(0 if resource.getrlimit(resource.RLIMIT_CORE) == (0, 0) else 1)"
    assert Command("one", script(lines)).scan(object_of(b"x")).status == "clean"


def test_without_helpers_it_still_scans(monkeypatch):
    isolation.cache_clear()
    monkeypatch.setattr(command_module, "which", lambda *_, **__: None)
    try:
        assert Command("one", script("sys.exit(1)")).scan(object_of(b"x")).status == "malicious"
    finally:
        isolation.cache_clear()


def test_a_missing_command_is_said():
    engine = Command("one", ["/no/such/scanner", "{file}"])
    assert engine.check() == "/no/such/scanner: no such command, or not executable"
    assert engine.scan(object_of(b"x")).status == "error"


def test_argv_without_the_file_is_refused():
    with pytest.raises(ValueError, match=r"has no \{file\}"):
        Command("one", ["scan", "--everything"])


def test_much_output_is_bounded():
    engine = Command(
        "one", script("print('x' * 5_000_000); print('FOUND: late'); sys.exit(1)"), signature="FOUND: (.+)"
    )
    assert engine.scan(object_of(b"x")).signature is None

from __future__ import annotations

import sys
import time
from pathlib import Path

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


def test_a_child_that_leaves_the_group_does_not_hold_the_verdict_back():
    lines = """import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(3)
    os._exit(0)
print('FOUND: it'); sys.stdout.flush(); os._exit(1)"""
    begun = time.monotonic()
    verdict = Command("one", script(lines), signature="FOUND: (.+)", timeout=30).scan(object_of(b"x"))
    assert (verdict.status, verdict.signature) == ("malicious", "it")
    assert time.monotonic() - begun < 3


def test_what_is_left_of_the_group_ends_with_it(tmp_path):
    left = tmp_path / "left"
    lines = f"""import os, time
if os.fork() == 0:
    open({str(left)!r}, "w").write(str(os.getpid()))
    time.sleep(30)
while not os.path.exists({str(left)!r}) or not open({str(left)!r}).read(): pass
sys.exit(0)"""
    assert Command("one", script(lines)).scan(object_of(b"x")).status == "clean"
    until = time.monotonic() + 5
    while running(int(left.read_text())):
        assert time.monotonic() < until


def running(process):
    """Whether it lives; a zombie waits for its parent and does nothing."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_scanner_that_closes_its_output_is_waited_for():
    lines = "import os, time; os.close(1); os.close(2); time.sleep(0.1); os._exit(1)"
    assert Command("one", script(lines)).scan(object_of(b"x")).status == "malicious"


@pytest.mark.parametrize("signal", [9, 11])
def test_a_scanner_that_dies_of_a_signal_is_an_error(signal):
    verdict = Command("one", script(f"import os; os.kill(os.getpid(), {signal})")).scan(object_of(b"x"))
    assert (verdict.status, verdict.reason) == ("error", f"exit code -{signal}")


@pytest.mark.parametrize("wrapper", [("unshare", "--no-such-option", "--"), ("prlimit", "--nofile=1:0", "--")])
def test_a_wrapper_that_fails_is_no_word_of_the_scanner(wrapper):
    engine = Command("one", script("sys.exit(0)"), malicious=(1, 126, 127))
    engine._isolation = wrapper
    verdict = engine.scan(object_of(b"x"))
    assert verdict.status == "error"
    assert wrapper[0] in verdict.reason


def test_a_scanner_that_is_missing_behind_the_wrappers_is_an_error():
    verdict = Command("one", ["/no/such/scanner", "{file}"], malicious=(1, 126, 127)).scan(object_of(b"x"))
    assert verdict.status == "error"
    assert "/no/such/scanner" in verdict.reason


def test_memory_can_be_bounded():
    engine = Command("one", script("x = bytearray(3_000_000_000)"), malicious=(9,), memory=2 << 30)
    assert engine.scan(object_of(b"x")).reason == "exit code 1: MemoryError"


def test_the_version_is_asked_for_at_the_first_scan_and_now_and_then(monkeypatch, tmp_path):
    count = tmp_path / "count"
    asks = (sys.executable, "-c", f"open({str(count)!r}, 'a').write('x'); print('One 1.0'); print('more')")
    engine = Command("one", script("sys.exit(0)"), version=asks)
    for _ in range(3):
        engine.scan(object_of(b"x"))
    assert engine.version == "One 1.0"
    assert count.read_text() == "x"
    monkeypatch.setattr(command_module, "VERSION_SECONDS", -1.0)
    engine.scan(object_of(b"x"))
    assert count.read_text() == "xx"


def test_a_version_that_can_not_be_had_does_not_matter():
    engine = Command("one", script("sys.exit(0)"), version=(sys.executable, "-c", "import sys; sys.exit(3)"))
    assert engine.check() is None
    assert engine.version is None
    gone = Command("one", script("sys.exit(0)"), version=("/no/such/scanner", "-V"))
    gone._isolation = ()
    assert gone.scan(object_of(b"x")).status == "clean"


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


def test_a_file_left_running_does_not_end_the_wait_early():
    lines = "import time; print('a', flush=True); time.sleep(0.1); print('FOUND: late', flush=True); sys.exit(1)"
    verdict = Command("one", script(lines), signature="FOUND: (.+)").scan(object_of(b"x"))
    assert verdict.signature == "late"


def test_much_output_is_bounded():
    engine = Command(
        "one", script("print('x' * 5_000_000); print('FOUND: late'); sys.exit(1)"), signature="FOUND: (.+)"
    )
    verdict = engine.scan(object_of(b"x"))
    assert (verdict.status, verdict.signature) == ("malicious", None)

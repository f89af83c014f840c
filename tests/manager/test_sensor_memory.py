"""A capture worker for which there is too little memory: named, its loss stated, and another one goes on."""

import re
import signal
import subprocess
from pathlib import Path

import pytest
from sensing import Sensor, fetch

from manager.children import NO_MEMORY, Kills, how

NOBODY = 65534


def used(pid):
    """Bytes of address space."""
    return int(re.search(r"^VmSize:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)[1]) << 10


def test_a_worker_at_its_limit_is_named_and_another_one_goes_on(span, served, tmp_path):
    sensor = Sensor(tmp_path, "-i", span.port, "--json")
    (worker,) = sensor.workers()
    most = used(worker) + (256 << 10)
    limit = "setpriv", "--reuid=nobody", f"--regid={NOBODY}", "--clear-groups", "prlimit", f"--as={most}", "--pid"
    subprocess.run([*limit, str(worker)], check=True)
    fetch(span, "large.bin")
    sensor.says("a capture worker died (out of memory): ")
    fetch(span, "eicar.com")
    sensor.tells(3, "alarm")
    assert sensor.workers() != [worker]
    code, _, err = sensor.end()
    assert code == 0
    assert re.search(r"died \(out of memory\): \d+ flows that were open are lost", err)
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("code", "killed", "said"),
    [
        (3, True, "exit code 3"),
        (NO_MEMORY, False, "out of memory"),
        (-signal.SIGKILL, False, "SIGKILL"),
        (-signal.SIGKILL, True, "out of memory: ended by the kernel"),
        (-signal.SIGSEGV, True, "SIGSEGV"),
    ],
)
def test_how_a_process_ended(code, killed, said):
    assert how(code, killed) == said


def test_what_the_kernel_ends_for_want_of_memory_is_counted(tmp_path):
    own = tmp_path / Path("/proc/self/cgroup").read_text().rpartition("::")[2].strip("/\n")
    own.mkdir(parents=True, exist_ok=True)
    events = own / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n")
    kills = Kills(tmp_path)
    assert not kills.more()
    events.write_text("low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n")
    assert [kills.more(), kills.more()] == [True, False]
    events.unlink()
    assert not kills.more()

"""Who takes packets goes first; engines and what they start do not."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from forked import elsewhere
from sensing import Sensor

from manager.precedence import alone, go_first

NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may go before others")


def nice(of=0):
    return os.getpriority(os.PRIO_PROCESS, of)


@ROOT_ONLY
def test_who_goes_first_does_so_alone():
    def tried():
        went = go_first(10)
        alone()
        found = []
        thread = threading.Thread(target=lambda: found.append(nice()))
        thread.start()
        thread.join()
        return went, nice(), found, int(subprocess.run(["nice"], capture_output=True, check=True).stdout)

    assert elsewhere(tried) == (True, -10, [0], 0)


@ROOT_ONLY
def test_who_goes_before_others_already_stays_there():
    def tried():
        os.nice(-15)
        return go_first(10), nice()

    assert elsewhere(tried) == (True, -15)


def test_who_may_not_is_told():
    def tried():
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
        return go_first(10), go_first(0), nice()

    assert elsewhere(tried) == (False, True, 0)


@ROOT_ONLY
@pytest.mark.parametrize(("set_to", "expected"), [("", -10), ("precedence = 0", 0)])
def test_of_a_sensor_those_that_take_packets(span, tmp_path, set_to, expected):
    (tmp_path / "own.toml").write_text(f'[sensor]\n{set_to}\n[countermeasures]\nmode = "dry_run"\n')
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    manager = sensor.process.pid
    children = Path(f"/proc/{manager}/task/{manager}/children").read_text().split()
    taking = [pid for pid in map(int, children) if Path(f"/proc/{pid}/comm").read_text().startswith("tapscan-")]
    assert len(taking) == 3  # nursery, worker, injector
    first = next(pid for pid in taking if "inject" in Path(f"/proc/{pid}/comm").read_text())
    assert {nice(one) for one in (manager, *taking) if one != first} == {expected}
    assert nice(first) == 2 * expected
    others = [nice(int(task.name)) for task in Path(f"/proc/{manager}/task").iterdir() if task.name != str(manager)]
    assert {*others} == {0, expected}  # engines', and who looks at what is still arriving
    assert sensor.end()[0] == 0

"""Memory of a sensor that runs while flows begin and half of them never close."""

import subprocess
import sys
from pathlib import Path

from sensing import ROOT, SECONDS, Sensor, documents, of

RATE, FLOWS = 1000, 6000
FILLED, GOES_ON = 9, 7  # seconds
SETTINGS = f"[limits]\nflows = {FLOWS}\ntimeout_established = 40.0\ntimeout_closed = 1.0\n"


def begin(span, seconds, first):
    """New flows through the network; the number after that of the last."""
    words = sys.executable, "-m", "bench.conversations", "eth0", str(RATE), str(seconds), str(first)
    done = subprocess.run(
        span.inside(span.client, *words), check=True, cwd=ROOT, stdout=subprocess.PIPE, timeout=SECONDS
    )
    return int(done.stdout)


def resident(sensor):
    """Bytes of all its processes (proc(5), the second number of statm is pages)."""
    processes = sensor.process.pid, *sensor.workers()
    return sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) << 12 for one in processes)


def test_memory_is_bounded_while_flows_never_close(span, tmp_path):
    (tmp_path / "own.toml").write_text(SETTINGS)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    sensor.says("watching")
    half = begin(span, FILLED, 0)
    filled = resident(sensor)
    begun = begin(span, GOES_ON, half)
    grown = resident(sensor) - filled
    code, out, err = sensor.end()
    assert code == 0, err
    unbounded = (begun - half) / 2 * 5000  # bytes, if the flows had stayed
    assert grown < unbounded / 2
    found = documents(out)
    pages = {one["url"]["path"] for one in of(found, "object")}
    rows = [one["tapscan"]["coverage"] for one in of(found, "coverage")]
    passed_over = sum(row["flows"] for row in rows if row.get("reason") == "overload")  # of a machine that is busy
    assert len(pages) + passed_over > 0.97 * begun
    assert "that were silent have been ended early" in err

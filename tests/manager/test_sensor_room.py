"""A disk without room under a sensor that runs: said, survived, and over when there is room again."""

import contextlib
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from machine import small_disk
from sensing import SECONDS, Sensor, documents, of
from span import TRAFFIC


@pytest.fixture
def small(span):
    """A disk of four megabytes, which any user reaches."""
    folder = Path(tempfile.mkdtemp(prefix="tapscan-small-"))
    with small_disk(folder, "4m"):
        yield folder
    folder.rmdir()


def test_large_objects_are_cut_short_and_say_so(span, served, tmp_path, small):
    settings = f"[sensor]\ntemporary = {json.dumps(str(small))}\n[limits]\nobject_memory = 200000\n"
    (tmp_path / "own.toml").write_text(settings)
    sensor = Sensor(tmp_path, "-i", span.port, "--json", "--config", "own.toml")
    fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER)
    subprocess.run([*fetch, "large.bin"], check=True, timeout=SECONDS)
    sensor.says("no room for temporary files")
    subprocess.run([*fetch, "eicar.com", "noise.bin"], check=True, timeout=SECONDS)
    sensor.tells(3, "alarm")
    code, out, _ = sensor.end()
    assert code == 0
    found = documents(out)
    seen = Counter(one["file"]["hash"]["sha256"] for one in of(found, "object"))
    assert seen[hashlib.sha256(served["noise.bin"]).hexdigest()] == 3  # there is room again for those
    (web,) = [one for one in of(found, "object") if one.get("url", {}).get("path") == "/large.bin"]
    assert web["tapscan"]["object"]["cut"] == "limit:disk"
    assert 1_000_000 < web["file"]["size"] < len(served["large.bin"])
    assert hashlib.sha256(served["large.bin"][: web["file"]["size"]]).hexdigest() == web["file"]["hash"]["sha256"]


def test_documents_wait_until_there_is_room(span, served, tmp_path, small):
    filler = small / "filler"
    with (small / "documents").open("wb") as out:
        sensor = Sensor(tmp_path, "-i", span.port, "--json", out=out)
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        fetch = span.inside(span.client, sys.executable, TRAFFIC, "fetch", span.SERVER, "eicar.com")
        subprocess.run(fetch, check=True, timeout=SECONDS)
        sensor.says("documents can't be written: No space left on device")
        subprocess.run(fetch, check=True, timeout=SECONDS)
        filler.unlink()
        sensor.says("documents can be written again; 0 of them are lost")
        code, _, _ = sensor.end()
    assert code == 0
    assert len(of(documents((small / "documents").read_text()), "alarm")) == 6

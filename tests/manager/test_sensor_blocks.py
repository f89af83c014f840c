"""The sensor blocks what it knows: a page in the place of an answer, resets, the list, feeds; with real transfers."""

from __future__ import annotations

import json

import pytest
from downloads import RULE, SIZE, asked, download, fetched
from sensing import Sensor, documents, of

WAIT = 0.1  # seconds before the server answers: longer than the sensor needs


@pytest.fixture
def watching(span, tmp_path):
    """A sensor with a rule, a policy and what else is said."""
    (tmp_path / "rules.yar").write_text(RULE)

    def started(do=("reset", "block_page"), more="", mode="enforce"):
        (tmp_path / "tapscan.toml").write_text(
            f'[[engine]]\nname = "yara"\nkind = "yara"\nrules = ["rules.yar"]\n'
            f'[[policy]]\nwhen = {{ verdict = "malicious" }}\ndo = {json.dumps(do)}\n'
            f'[countermeasures]\nmode = "{mode}"\nper_host = 100.0\n{more}'
        )
        return Sensor(tmp_path, "-i", span.port, "--json", "--config", str(tmp_path / "tapscan.toml"))

    return started


def actions(sensor, count):
    sensor.tells(count, "action")
    code, out, err = sensor.end()
    assert (code, err) == (0, "")
    return [(one, one["tapscan"]["action"]) for one in of(documents(out), "action")]


def test_who_asks_again_is_told_why(span, watching):
    sensor = watching()
    with download(span, wait=WAIT):
        assert fetched(span) < SIZE
        sensor.tells(2, "action")
        page = asked(span)
    found = actions(sensor, 3)
    assert [(own["kind"], own["outcome"]) for _, own in found] == [
        ("block_page", "done"),
        ("reset", "confirmed"),
        ("block_page", "confirmed"),
    ]
    document, own = found[2]
    assert page.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert own["id"].encode() in page
    assert b"Marker (yara)" in page
    assert b"Error" not in page
    assert (own["bytes_delivered"], own["frames"], own["why"]) == (0, 2, "http://a/setup.exe is blocked")
    assert document["url"]["original"] == "http://a/setup.exe"
    assert "hash" not in document["file"]

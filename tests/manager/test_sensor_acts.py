"""The sensor with countermeasures: real transfers between namespaces, and what their receivers have of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from downloads import MARKER, RULE, SIZE, download, fetched
from sensing import SECONDS, Sensor, documents, of, serving

from manager.response import DEAD


@pytest.fixture
def watching(span, tmp_path):
    """A sensor with a rule, a policy and a mode."""
    (tmp_path / "rules.yar").write_text(RULE)

    def started(mode, do=("reset",), argv=(), **more):
        own = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
        (tmp_path / "tapscan.toml").write_text(
            f'[[engine]]\nname = "yara"\nkind = "yara"\nrules = ["rules.yar"]\n'
            f'[[policy]]\nwhen = {{ verdict = "malicious" }}\ndo = {json.dumps(do)}\n'
            + (f"argv = {json.dumps(argv)}\n" if argv else "")
            + f'[countermeasures]\nmode = "{mode}"\n{own}'
        )
        return Sensor(tmp_path, "-i", span.port, "--json", "--config", str(tmp_path / "tapscan.toml"))

    return started


def acted(sensor):
    """What the sensor says it did."""
    sensor.tells(1, "action")
    code, out, err = sensor.end()
    assert (code, sensor.said[:17], err) == (0, "tapscan: watching", "")
    (action,) = of(documents(out), "action")
    return action, action["tapscan"]["action"]


def audited(folder):
    path = folder / "state" / "tapscan" / "actions" / "frames.jsonl"
    return [json.loads(one) for one in path.read_text().splitlines()]


def test_a_download_is_stopped_while_it_runs(span, watching, tmp_path):
    sensor = watching("enforce")
    with download(span):
        got = fetched(span)
    action, own = acted(sensor)
    assert (own["kind"], own["mode"], own["outcome"]) == ("reset", "enforce", "confirmed")
    assert 1 << 20 < got < SIZE
    assert 1 << 20 < own["bytes_delivered"] < SIZE
    assert own["latency"] > 0
    assert action["file"]["size"] == own["bytes_delivered"]
    assert sum(len(one["frames"]) for one in audited(tmp_path)) == own["frames"] >= 8
    (kept,) = (tmp_path / "state" / "tapscan" / "actions").glob("actions-*.jsonl")
    assert [json.loads(one) for one in kept.read_text().splitlines()] == [action]


def test_a_dry_run_records_the_frames_and_sends_none(span, watching, tmp_path):
    sensor = watching("dry_run")
    with download(span, rate=32 << 20):
        assert fetched(span) == SIZE
    _, own = acted(sensor)
    assert (own["mode"], own["outcome"]) == ("dry_run", "dry_run")
    assert sum(len(one["frames"]) for one in audited(tmp_path)) >= own["frames"] >= 8


def test_who_observes_lets_it_pass_and_says_what_would_be_done(span, watching):
    sensor = watching("observe")
    with download(span, rate=32 << 20):
        assert fetched(span) == SIZE
    _, own = acted(sensor)
    assert (own["kind"], own["mode"], own["outcome"]) == ("reset", "observe", "observed")


def test_nothing_is_done_to_who_is_on_the_list(span, watching, tmp_path):
    sensor = watching("enforce", allow=["10.67.0.2/32"])
    with download(span, rate=32 << 20):
        assert fetched(span) == SIZE
    _, own = acted(sensor)
    assert own["outcome"] == "refused"
    assert "10.67.0.2" in own["reason"]
    assert audited(tmp_path) == []


def test_nothing_is_sent_while_the_stop_file_is_there(span, watching, tmp_path):
    stop = tmp_path / "acts" / "stop"
    sensor = watching("enforce", stop_file=str(stop))
    stop.touch()
    with download(span, rate=32 << 20):
        assert fetched(span) == SIZE
    _, own = acted(sensor)
    assert own["outcome"] == "refused"
    assert "stop" in own["reason"]


MAIL = textwrap.dedent("""
    import smtplib, sys, time
    from email.message import EmailMessage
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "bill"
    mail.set_content("see attachment")
    payload = sys.argv[2].encode() + bytes(1 << 20)
    mail.add_attachment(payload, maintype="application", subtype="octet-stream", filename="bill.exe")
    class Slow(smtplib.SMTP):
        def send(self, s):
            s = s.encode() if isinstance(s, str) else s
            for at in range(0, len(s), 16384):
                super().send(s[at : at + 16384])
                time.sleep(0.004)
    try:
        with Slow(sys.argv[1]) as smtp:
            smtp.send_message(mail)
        print("accepted")
    except (OSError, smtplib.SMTPException):
        print("stopped")
""")


def test_a_mail_is_stopped_before_the_server_has_all_of_it(span, served, watching):
    sensor = watching("enforce")
    words = span.inside(span.client, sys.executable, "-c", MAIL, span.SERVER, MARKER)
    sent = subprocess.run(words, check=True, timeout=SECONDS, capture_output=True, text=True)
    assert sent.stdout == "stopped\n"
    action, own = acted(sensor)
    assert (own["outcome"], action["network"]["protocol"]) == ("confirmed", "smtp")
    assert action["file"]["name"] == "bill.exe"


RETRIEVE = textwrap.dedent("""
    import ftplib, sys, time
    got = 0
    def take(some):
        global got
        got += len(some)
        time.sleep(0.002)
    ftp = ftplib.FTP(sys.argv[1], timeout=20)
    ftp.login()
    for ask in (lambda: ftp.retrbinary("RETR setup.bin", take, 8192), lambda: ftp.voidcmd("NOOP")):
        try:
            ask()
            print("done")
        except ftplib.Error:
            print("refused")
        except (OSError, EOFError):
            print("broken")
    print(got)
""")


def test_of_ftp_the_transfer_ends_and_who_could_ask_for_another(span, watching, tmp_path):
    payload = bytes(1 << 20) + MARKER.encode() + bytes(7 << 20)
    sensor = watching("enforce")
    with serving(span, {"setup.bin": payload}, tmp_path / "www"):
        words = span.inside(span.client, sys.executable, "-c", RETRIEVE, span.SERVER)
        said = subprocess.run(words, check=True, timeout=SECONDS, capture_output=True, text=True).stdout.split()
    assert said[:2] == ["broken", "broken"]
    assert 1 << 20 <= int(said[2]) < len(payload)
    action, own = acted(sensor)
    assert (own["kind"], own["outcome"]) == ("reset", "confirmed")
    assert (action["network"]["protocol"], action["file"]["name"]) == ("ftp-data", "setup.bin")


def test_a_command_gets_the_action(span, watching):
    told = '"kind":"command","mode":"enforce","outcome":"begun"'
    for number, outcome in ((0, "done"), (1, "failed")):
        sensor = watching("enforce", do=["command"], argv=["/bin/sh", "-c", f"grep -q '{told}' && exit {number}"])
        with download(span, rate=32 << 20):
            assert fetched(span) == SIZE
        _, own = acted(sensor)
        assert (own["kind"], own["outcome"]) == ("command", outcome)


def test_an_interface_that_returns_is_acted_on_again(span, watching):
    sensor = watching("enforce")
    span.unplug()
    span.plug()
    sensor.says("an interface is there again")
    with download(span):
        while (got := fetched(span)) >= SIZE:  # until workers capture again
            pass
    assert got > 1 << 20
    sensor.tells(1, "action")
    code, out, _ = sensor.end()
    assert code == 0
    assert of(documents(out), "action")[-1]["tapscan"]["action"]["outcome"] == "confirmed"


def test_that_the_injector_has_died_is_said(span, watching):
    sensor = watching("enforce")
    (injector,) = [one for one in sensor.workers() if "tapscan-inject" in Path(f"/proc/{one}/comm").read_text()]
    os.kill(injector, signal.SIGKILL)
    sensor.tells(1, "health")
    code, out, _ = sensor.end()
    assert (code, of(documents(out), "health")[0]["message"]) == (0, DEAD)

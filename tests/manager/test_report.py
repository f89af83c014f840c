import pytest
from nouns import FLOW, an_object, another, flow_end, said, scanned

from manager.alarms import raise_alarm
from manager.report import alarms_only, milliseconds, reason_words, report
from manager.summary import Summary
from manager.visible import cells

HOSTILE = "\x1b]0;owned\x07\x1b[31m[bold]red[/bold]\n\u202egpj.exe"


@pytest.fixture
def full():
    summary = Summary(packets=10, bytes=5000, seconds=0.5)
    verdicts = (
        said("yara", "malicious", "[red]Rule", reason=None, engine_version="4.5"),
        said("clamav", "timeout", reason="late"),
    )
    facts = {"tapscan.smtp.mail_from": f"{HOSTILE}@x", "tapscan.smtp.rcpt_to": [f"r{n}@y" for n in range(9)]}
    facts["email.subject"] = HOSTILE * 9
    mail = an_object(
        kind="email_part", protocol="smtp", direction=0, name=HOSTILE, mime_type=HOSTILE, facts=facts, cut="gap"
    )
    found = scanned(mail, *verdicts)
    for item in (found, raise_alarm(FLOW, [found]), scanned(None, said("yara", "clean"), said("clamav", "clean"))):
        summary.take(item)
    summary.take(flow_end(service="tls", unscanned="tls", facts={"tls.client.server_name": HOSTILE}))
    summary.take(flow_end(service="http", unscanned="limit:flows", findings=(HOSTILE,)))
    summary.counters["flows"] += 3
    return summary


def printed(capsys, monkeypatch, summary, width=80, scanning=True, everything=False):
    monkeypatch.setenv("COLUMNS", str(width))
    report(summary, scanning, everything)
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 120])
def test_hostile_names_do_no_harm_and_lines_fit(capsys, monkeypatch, full, width):
    out = printed(capsys, monkeypatch, full, width)
    for line in out.splitlines():
        assert line.isprintable()
        assert cells(line.rstrip()) <= width
    assert "\\x1b]0;owned\\x07" in out


def test_names_are_no_markup(capsys, monkeypatch, full):
    out = printed(capsys, monkeypatch, full, 120)
    assert "[red]Rule" in out
    assert "[bold]red[/bold]" in out


def test_alarms_come_first_then_counts_then_what_went_unscanned_then_engines(capsys, monkeypatch, full):
    out = printed(capsys, monkeypatch, full)
    order = [
        "HIGH",
        "r0@y",
        "2 objects",
        "Objects",
        "Not or not wholly seen",
        "encrypted (TLS)",
        "Engines",
        "yara",
        "late",
    ]
    at = 0
    for words in order:
        at = out.index(words, at)
    assert "over a limit (flows)" in out
    assert "and 6 more" in out
    assert "1 malicious, 1 clean" in out
    assert "total / slowest engine: median 1.80" in out
    assert "TLS servers: " in out


def test_extract_speaks_of_no_verdict(capsys, monkeypatch):
    summary = Summary(seconds=1.0)
    summary.take(an_object())
    out = printed(capsys, monkeypatch, summary, scanning=False)
    assert "1 object" in out
    assert "Engines" not in out
    assert "malicious" not in out


def test_nothing_at_all(capsys, monkeypatch):
    assert printed(capsys, monkeypatch, Summary()).startswith("0 objects in 0 packets, 0 B")


def test_long_lists_are_cut_and_say_so(capsys, monkeypatch):
    summary = Summary()
    for number in range(40):
        summary.take(an_object(mime_type=f"x/{number:02}"))
        summary.take(flow_end(service=f"s{number:02}", unscanned="unknown"))
        summary.take(raise_alarm(another(id=f"{number}"), [scanned(None, said("a", "malicious"))]))
    out = printed(capsys, monkeypatch, summary)
    assert "28 more kinds (-v)" in out
    assert "28 more (-v)" in out
    assert "and 20 alarms more" in out
    out = printed(capsys, monkeypatch, summary, everything=True)
    assert "x/39" in out
    assert "more" not in out


def test_quiet_is_a_line_an_alarm(capsys, monkeypatch, full):
    monkeypatch.setenv("COLUMNS", "80")
    alarms_only(full)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("HIGH ")
    assert "Remove it from the mailboxes" in line


def test_no_colours_where_nobody_sees_them(capsys, monkeypatch, full):
    assert "\x1b" not in printed(capsys, monkeypatch, full)


def test_words():
    assert reason_words("limit:mime_depth") == "over a limit (mime_depth)"
    assert reason_words("ssh") == "encrypted (SSH)"
    assert reason_words("new\x1breason") == "new\\x1breason"
    assert [milliseconds(one) for one in (0, 0.00123, 0.0123, 1.5)] == ["0.00 ms", "1.23 ms", "12.3 ms", "1,500 ms"]


def test_what_is_missing_is_ours_or_the_networks(capsys, monkeypatch):
    summary = Summary()
    summary.take(flow_end(missing=(5000, 2000), lost=(4000, 0)))
    assert "Missing: 4.0 kB passed us unseen (acknowledged), 3.0 kB got lost before" in printed(
        capsys, monkeypatch, summary
    )


def test_nothing_missing_is_not_mentioned(capsys, monkeypatch):
    summary = Summary()
    summary.take(flow_end())
    assert "Missing" not in printed(capsys, monkeypatch, summary)

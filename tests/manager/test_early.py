"""Windows of objects that are still arriving, looked at by a real engine in a thread."""

from __future__ import annotations

import threading

import pytest
from nouns import an_object, said

from engines.hashes import Hashes
from engines.yara import Yara
from manager.early import WAITING, Early

RULES = """
rule Anywhere { strings: $a = "needle" condition: $a }
rule Small { strings: $a = "thread" condition: filesize < 1MB and $a }
rule Begins { strings: $a = "cotton" condition: $a at 0 }
rule Absent { strings: $a = "linen" $b = "wool" condition: $a and not $b }
"""
SECONDS = 20


@pytest.fixture
def engine(tmp_path):
    (tmp_path / "rules.yar").write_text(RULES)
    return Yara("yara", [str(tmp_path / "rules.yar")], starter=False, cache=tmp_path)


def window(payload, begin=0, **more):
    return an_object(payload, cut="window", missing=((0, begin),) if begin else (), **more)


def seen(engine, *windows):
    """Signatures of what is found in each, once all were looked at."""
    told = threading.Event()
    early = Early([engine], told.set)
    for one in (*windows, window(b"needle", 9999)):
        early.take(one)
    found = []
    while not found or found[-1].window.missing != ((0, 9999),):
        assert told.wait(SECONDS)
        told.clear()
        found += early.found()
    early.close()
    return [(one.verdict.signature, one.window) for one in found[:-1]]


def test_what_is_found_is_told_and_what_is_clean_is_not(engine):
    bad = window(b"a needle in it")
    assert seen(engine, window(b"hay"), bad, window(b"hay")) == [("Anywhere", bad)]


def test_rules_that_speak_of_the_whole_file_don_t_count(engine):
    assert seen(engine, window(b"thread"), window(b"linen")) == []
    assert engine.scan(an_object(b"thread")).signature == "Small"
    assert engine.scan(an_object(b"linen")).signature == "Absent"


def test_rules_that_speak_of_places_count_at_the_beginning_alone(engine):
    first = window(b"cotton")
    assert seen(engine, first, window(b"cotton", 4096)) == [("Begins", first)]


def test_engines_that_need_the_whole_object_are_not_asked(tmp_path):
    (tmp_path / "known").write_text("")
    early = Early([Hashes("hashes", bad=[str(tmp_path / "known")], good=[])], lambda: None)
    early.take(window(b"needle"))
    early.close()
    assert early.found() == []


class Slow(Yara):
    """Waits before its first look, and fails at some."""

    def __init__(self):
        self.go, self.begun = threading.Event(), threading.Event()

    def scan_part(self, target):
        self.begun.set()
        assert self.go.wait(SECONDS)
        if target.name == "odd":
            raise RuntimeError("odd")
        return said("slow", "malicious", "Bad")


def test_what_there_is_no_time_for_is_left_out_and_counted():
    slow, told = Slow(), threading.Event()
    early = Early([slow], told.set)
    early.take(window(b"0"))
    assert slow.begun.wait(SECONDS)
    for _ in range(WAITING + 3):
        early.take(window(b"1"))
    assert early.skipped == 3
    slow.go.set()
    assert told.wait(SECONDS)
    early.close()


def test_a_scan_that_fails_costs_itself(caplog):
    slow, told = Slow(), threading.Event()
    slow.go.set()
    early = Early([slow], told.set)
    early.take(window(b"1", name="odd"))
    early.take(window(b"2"))
    assert told.wait(SECONDS)
    early.close()
    assert [bytes(one.window.content.view()) for one in early.found()] == [b"2"]
    assert "could not be looked at" in caplog.text

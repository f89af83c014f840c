"""Figures: what the table says about them, and where it is put."""

import json

import pytest

from bench.figures import BEGIN, END, Figure, markdown, text, together, write_json, write_markdown


@pytest.mark.parametrize(
    ("value", "goal", "must", "state"),
    [
        (0.5, 0.5, 1.0, "goal"),
        (0.51, 0.5, 1.0, "ok"),
        (1.0, 0.5, 1.0, "ok"),
        (1.01, 0.5, 1.0, "MISSED"),
        (None, 0.5, 1.0, "not measured"),
        (9.0, None, None, ""),
    ],
)
def test_state(value, goal, must, state):
    assert Figure("speed", value, "x", goal, must).state == state


@pytest.mark.parametrize(("value", "state"), [(0.96, "goal"), (0.95, "goal"), (0.9, "ok"), (0.89, "MISSED")])
def test_state_where_larger_is_better(value, state):
    assert Figure("speed", value, "x", 0.95, 0.9, rising=True).state == state


def test_table_shows_the_reason_why_there_is_no_figure():
    shown = text([Figure("one", None, "x", 1, 2, "not installed: yara"), Figure("two", 3.14159, "s")])
    _, one, two = shown.splitlines()
    assert one.split() == ["one", "-", "1", "x", "2", "x", "not", "measured", "not", "installed:", "yara"]
    assert "3.14 s" in two


def test_markdown_keeps_its_columns():
    row = markdown([Figure("a|b", 1.0)]).splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 7


def test_table_replaces_the_last_one(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for name in ("first", "second"):
        write_markdown([Figure(name, 1.0)], readme)
    shown = readme.read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("\nafter\n")
    assert "second" in shown
    assert "first" not in shown
    assert "old" not in shown


def test_readme_without_marks_is_left_alone(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("text")
    with pytest.raises(ValueError, match="has no"):
        write_markdown([Figure("one", 1.0)], readme)
    assert readme.read_text() == "text"


def test_json_has_what_the_table_has(tmp_path):
    write_json([Figure("one", 2.0, "s", 1.0, 1.5)], tmp_path / "results.json")
    (figure,) = json.loads((tmp_path / "results.json").read_text())["figures"]
    assert (figure["name"], figure["value"], figure["must"], figure["state"]) == ("one", 2.0, 1.5, "MISSED")


def test_what_has_not_run_now_stays_and_the_order_is_that_of_the_groups(tmp_path):
    path = tmp_path / "results.json"
    groups = ["first", "second"]
    assert together(path, [], groups) == []
    before = [Figure("a", 1.0, "s", 2.0, 3.0, "how", group="first"), Figure("b", 1.0, rising=True, group="second")]
    write_json(before, path)
    now = [Figure("c", 2.0, group="first"), Figure("d", 3.0, group="first")]
    assert together(path, now, groups) == [*now, before[1]]
    assert together(path, [Figure("e", 1.0, group="second")], groups) == [before[0], Figure("e", 1.0, group="second")]

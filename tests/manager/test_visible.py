import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.visible import MARKS, cells, shorten, visible


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain.txt", "plain.txt"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\rb\nc\td", "a\\x0db\\x0ac\\x09d"),
        ("invoice\u202efdp.exe", "invoice\\u202efdp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028break", "line\\u2028break"),
        ("\x9b31m", "\\x9b31m"),  # CSI as one character
        ("\udc80surrogate", "\\udc80surrogate"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("Müller 文書.pdf", "Müller 文書.pdf"),
    ],
)
def test_hostile_characters_become_escapes(hostile, shown):
    assert visible(hostile) == shown


@given(st.text())
def test_whatever_comes_what_is_shown_is_printable_and_can_be_encoded(text):
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown


@given(st.text(), st.integers(0, 200))
def test_never_wider_than_asked(text, width):
    assert cells(visible(text, width)) <= width


def test_cut_in_the_middle_so_that_the_end_of_a_name_stays():
    assert shorten("a" * 50 + ".exe", 20) == "a" * 13 + "…" + "aa.exe"


def test_what_fits_stays():
    assert shorten("exactly", 7) == "exactly"


def test_wide_characters_take_two_columns():
    assert cells("文書.pdf") == 8
    assert cells(shorten("文" * 30, 21)) <= 21


def test_marks_do_not_pile_up():
    assert visible("e" + "\u0301" * 500 + "x") == "e" + "\u0301" * MARKS + "x"

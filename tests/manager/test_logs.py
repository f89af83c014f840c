import logging

import pytest

from manager.logs import one_line_logs


@pytest.fixture(autouse=True)
def as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def failed(verbose, capsys):
    one_line_logs(verbose)
    try:
        raise ValueError("a\x1b[31mb")
    except ValueError:
        logging.getLogger("x").exception("flow %s failed", "f\n1")
    logging.getLogger("x").info("chatter")
    return capsys.readouterr().err


def test_a_fault_is_one_line(capsys):
    assert failed(0, capsys) == "tapscan: error: flow f\\x0a1 failed: ValueError: a\\x1b[31mb\n"


def test_who_asks_gets_the_traceback(capsys):
    assert "Traceback" in failed(1, capsys)
    assert "chatter" in failed(2, capsys)

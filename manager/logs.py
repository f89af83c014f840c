"""What the edges log, on standard error: one line each, with the traceback only for who asks (-v)."""

from __future__ import annotations

import logging

from manager.visible import visible


class OneLine(logging.Formatter):
    """Program, message, and the exception as its last line."""

    def format(self, record: logging.LogRecord) -> str:
        text = visible(record.getMessage())
        if record.exc_info and (error := record.exc_info[1]) is not None:
            text += f": {type(error).__name__}: {visible(str(error), 200)}"
        return f"tapscan: {record.levelname.lower()}: {text}"


def one_line_logs(verbose: int) -> None:
    """Sets it up, once a process. `verbose` above 0: with tracebacks."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("tapscan: %(levelname)s: %(message)s") if verbose else OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if verbose > 1 else logging.WARNING)

"""What is tried in a process of its own, since it can't be undone."""

import os
import pickle


def elsewhere(what):
    """What a process of its own gives back."""
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writing, pickle.dumps(what()))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pickle.load(pipe)
    os.waitpid(pid, 0)
    return told

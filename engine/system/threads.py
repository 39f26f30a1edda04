"""Threads of ours, which do not keep the process alive, and the end of a process in which one of them still runs."""

import os
import sys
import threading
from collections.abc import Callable

PREFIX = "flashbulb: "  # of their names


def start_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """A thread that does not keep the process alive."""
    thread = threading.Thread(target=run, name=PREFIX + name, daemon=True)
    thread.start()
    return thread


def left_behind(code: int) -> None:
    """End the process at once if a thread of ours still runs: taking Python down below it would crash."""
    if any(thread.name.startswith(PREFIX) for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)

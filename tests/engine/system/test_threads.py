"""Threads of ours, and the end of a process in which one of them still runs."""

import subprocess
import sys

import pytest

from engine.system.threads import start_thread

PROGRAM = """
import sys, threading
from engine.system.threads import left_behind, start_thread
never = threading.Event()
{thread}
print("said", end="")
left_behind(130)
"""


@pytest.mark.parametrize(
    ("thread", "status"),
    [('start_thread("engine", never.wait)', 130), ('start_thread("engine", lambda: None).join()', 0), ("", 0)],
)
def test_a_process_in_which_a_thread_still_runs_ends_at_once_with_all_that_was_said(thread, status):
    ended = subprocess.run([sys.executable, "-c", PROGRAM.format(thread=thread)], capture_output=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (status, b"said", b"")


def test_a_thread_is_named_and_keeps_no_process_alive():
    thread = start_thread("reader", lambda: None)
    assert (thread.name, thread.daemon) == ("flashbulb: reader", True)
    thread.join()

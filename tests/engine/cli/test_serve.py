"""`flashbulb serve`: its arguments, and what ends it."""

import signal
import socket
import subprocess
import sys
from subprocess import PIPE

import pytest

from engine.cli.main import parser
from tests.helpers.command_line import run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "is no port"),
        (["--port", "-1"], "is no port"),
        (["--port", "http"], "is no port"),
        (["--origin", "example.org"], "write it as https://example.org"),
        (["--origin", "https://example.org/path"], "write it as https://example.org"),
        (["--origin", "*"], "write it as"),
        (["--rest", "0"], "whole number from 1"),
        (["--context", "x"], "whole number"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_in_a_line(capsys, arguments, words):
    status, out, err = run(capsys, "serve", *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_arguments_are_understood():
    args = parser().parse_args(
        ["serve", "--port", "0", "--origin", "HTTPS://Example.org/", "--origin", "app://obsidian.md"]
    )
    assert (args.port, args.origin) == (0, ["https://example.org", "app://obsidian.md"])


def test_a_port_that_is_taken_is_said_in_a_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, _, err = run(capsys, "serve", "--port", port)
    assert status == 1
    assert f"Another program has port {port}: choose another port." in err
    assert err.count("\n") == 1


def test_a_model_that_is_not_there_is_said_in_a_line(capsys):
    status, _, err = run(capsys, "serve", "--port", "0", "--model", "nobody")
    assert status == 1
    assert "There is no model 'nobody' here. There are: " in err
    assert err.count("\n") == 1


BUSY = """
import sys, threading, time
import engine.inference.load
from engine.cli.main import main
from engine.server.engine_thread import EngineThread

def load(*_):
    print("loading", flush=True)
    while True:
        time.sleep(0.01)

engine.inference.load.load = load
EngineThread.stop.__defaults__ = (0.1,)
sys.exit(main(["serve", "--port", "0", "--model", "starter"]))
"""


@pytest.mark.parametrize("signals", [1, 2])
def test_it_ends_in_order_in_the_middle_of_what_does_not_end(signals):
    with subprocess.Popen([sys.executable, "-c", BUSY], stdout=PIPE, stderr=PIPE, text=True) as process:
        while "loading" not in process.stdout.readline():
            assert process.poll() is None
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130
        assert process.stderr.read() == ""

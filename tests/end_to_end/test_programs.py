"""The window's own process serves eight programs at once, and whoever stands before it."""

import json
import os
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.conftest import BUSY_OPTION
from tests.helpers.programs import let_programs_ask, right_answers
from tests.helpers.serving import HOME_NAMES, write_talker

ROOT = Path(__file__).parents[2]
PROGRAMS, SETTLING_S, PATIENCE_S = 8, 3.0, 120


@pytest.fixture
def window(tmp_path):
    """The application in a process of its own."""
    write_talker(tmp_path / "models" / "tiny--moe", max_position_embeddings=2048)
    given = os.environ | dict.fromkeys(HOME_NAMES, str(tmp_path)) | {"FLASHBULB_MODELS": str(tmp_path / "models")}
    command = [sys.executable, "-W", "error", "-m", "tests.end_to_end.person", "host"]
    with (tmp_path / "errors.txt").open("w") as errors, subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data"), "--model", "starter"],
        cwd=ROOT, env=given, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


def say(process, words):
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


def test_programs_and_the_window_at_once(window, tmp_path, request):
    """An answer of his own for everybody who asks, for the window first; nothing is left of it."""
    errors = tmp_path / "errors.txt"
    address = window.stdout.readline().strip()
    assert address.startswith("http://"), address + errors.read_text()
    expected = right_answers(address)
    let_programs_ask(address, PROGRAMS, expected, SETTLING_S)
    say(window, "look")
    assert window.stdout.readline() == "looked\n", errors.read_text()
    programs = let_programs_ask(address, PROGRAMS, expected, request.config.getoption(BUSY_OPTION))
    output, _ = window.communicate("look again\n", timeout=PATIENCE_S)
    seen = json.loads(output.splitlines()[-1])
    assert "failure" not in seen, seen["failure"] + errors.read_text()
    assert window.returncode == 0, errors.read_text()
    assert sum(program.answered for program in programs) > 0
    assert seen["begun"] > len(seen["answers"]) > 1
    assert set(seen["answers"]) == {seen["answers"][0]} != {""}
    assert max(seen["ahead"]) <= 1, "the window waited for others than the one that was being answered"
    assert seen["left"] == ""
    assert seen["threads"] == []
    assert "Traceback" not in errors.read_text()
    with pytest.raises(ConnectionRefusedError):
        HTTPConnection(address.removeprefix("http://"), timeout=30).request("GET", "/")

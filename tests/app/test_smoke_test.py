"""`flashbulb --smoke-test` around a stand-in for the engine: it says what happened, and by its status."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from app import smoke_test
from engine.errors import PreparedModelError, ReadError
from tests.helpers.fake_engine import FakeEngine, Gate

START = """
import sys
import engine
from tests.helpers.fake_engine import FakeEngine
fake = FakeEngine(scripts=[["Fine", ", thanks."]] * 2)
engine.load, engine.release = fake.load, fake.release
from app.__main__ import main
sys.exit(main(["--smoke-test"]))
"""
GATE = Gate()


@pytest.fixture
def statuses(monkeypatch):
    """The statuses that the application ended with."""
    ended = []
    monkeypatch.setattr(smoke_test, "QApplication", SimpleNamespace(exit=ended.append))
    return ended


def test_an_answer_is_success_and_leaves_nothing_in_the_home(home):
    process = subprocess.run(
        [sys.executable, "-c", START], cwd=Path(__file__).parents[2], capture_output=True, text=True
    )
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("Smoke test: 4 tokens on ")
    assert list(home.rglob("window.ini")) == []


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (FakeEngine(loads=[PreparedModelError("The starter model is missing.")]), "The starter model is missing."),
        (FakeEngine(scripts=[["One", ReadError("bundles.safetensors ends.")]]), "bundles.safetensors ends."),
        (FakeEngine(scripts=[[]]), "the answer was empty"),
        (FakeEngine(scripts=[["One", GATE]]), "no answer within 0.1 seconds"),
    ],
)
def test_what_went_wrong_is_said(qtbot, open_window, statuses, capsys, engine, reason):
    window = open_window(engine, wait=False)
    smoke_test.SmokeTest(window, patience_ms=100 if "within" in reason else 60_000)
    qtbot.waitUntil(lambda: bool(statuses))
    assert statuses == [1]
    assert f"Smoke test failed: {reason}" in capsys.readouterr().out
    assert not window.isVisible()


def test_without_the_native_reader_it_fails(qtbot, open_window, statuses, capsys, monkeypatch):
    monkeypatch.setattr("engine.system.native_library.load_library", lambda: None)
    smoke_test.SmokeTest(open_window(FakeEngine(scripts=[["Fine"]]), wait=False))
    qtbot.waitUntil(lambda: bool(statuses))
    assert statuses == [1]
    assert "the native flash reader is missing" in capsys.readouterr().out

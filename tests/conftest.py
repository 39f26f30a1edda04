"""Shared fixtures: a home that is nobody's, tiny checkpoints, and a check that nothing is left running."""

import os
import threading
from pathlib import Path

import pytest

from engine.system import pressure

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["HF_HUB_OFFLINE"] = "1"

STARTER = Path(__file__).parents[1] / "resources" / "starter"


BUSY_OPTION, BUSY_S = "--busy-seconds", 5.0


def pytest_addoption(parser):
    parser.addoption(BUSY_OPTION, type=float, default=BUSY_S, help="for which programs ask all at once, end to end")


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """No test reads or writes what belongs to the user."""
    folder = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture(autouse=True)
def enough_memory(monkeypatch):
    """No test depends on how short of memory the machine is that it runs on."""
    monkeypatch.setattr(pressure, "memory_pressure", lambda: pressure.Pressure.NORMAL)


ENDING_S = 20  # that a thread may take to end, which imports the engine on a machine that is busy


@pytest.fixture(autouse=True)
def nothing_left_running():
    """A test that leaves a thread behind fails."""
    before = set(threading.enumerate())
    yield
    started = [t for t in threading.enumerate() if t not in before and (not t.daemon or t.name.startswith("flashbulb"))]
    for thread in started:
        thread.join(ENDING_S)
    left = [t for t in started if t.is_alive()]
    assert not left, f"threads left alive: {left}"


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory) -> Path:
    """A random OPT of 2 layers, 24 wide, 96 neurons, mostly inactive, with a tokenizer and a chat template."""
    from tests.helpers.checkpoints import write_opt

    return write_opt(tmp_path_factory.mktemp("checkpoints") / "tiny-opt")


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint, tmp_path_factory) -> Path:
    """`tiny_checkpoint`, prepared. Copy it before changing it."""
    from engine.prepare.prepare import prepare
    from tests.helpers.checkpoints import write_text

    folder = tmp_path_factory.mktemp("prepared")
    prepare(tiny_checkpoint, folder / "tiny", calibration=write_text(folder / "text.txt"))
    return folder / "tiny"

"""The command `flashbulb`, as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile

from app.desktop.interrupt import Interrupt

ROOT = Path(__file__).parents[2]
COMMAND_LINE_WITHOUT_QT = """
import sys, types
cli = types.ModuleType("engine.cli.main")
cli.main = lambda arguments: print(arguments) or 3
sys.modules["engine.cli.main"] = cli
from app.__main__ import main
code = main(["generate", "--prompt", "Hi"])
assert not [name for name in sys.modules if name.startswith("PySide6")]
sys.exit(code)
"""
WINDOW = """
import sys
import engine
from tests.helpers.fake_engine import FakeEngine
fake = FakeEngine()
def load(model, settings, preparing):
    print("loading", model, flush=True)
    return fake.load(model, settings)
engine.load, engine.release = load, fake.release
from app.__main__ import main
sys.exit(main(["--data-dir", sys.argv[1]]))
"""


BROKEN = """
import sys
import app.window
def broken(*_):
    raise KeyError("a\\nlayer below")
app.window.MainWindow.__init__ = broken
from app.__main__ import main
sys.exit(main(["--data-dir", sys.argv[1]]))
"""


def start(code: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_command_goes_to_the_engine_without_qt():
    with start(COMMAND_LINE_WITHOUT_QT) as process:
        output, errors = process.communicate()
    assert (process.returncode, output, errors) == (3, "['generate', '--prompt', 'Hi']\n", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_works_where_whoever_started_it_closed_its_streams(closed):
    code = """
import os, sys
from app.__main__ import main
try:
    main(["--version"])
except SystemExit:
    pass
file = open(sys.argv[1])
assert file.fileno() > 2
for stream in (sys.stdin, sys.stdout, sys.stderr):
    stream.fileno()
os._exit(7)
"""
    command = ["bash", "-c", f'exec {closed}; exec "$@"', "bash", sys.executable, "-c", code, __file__]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 7


def test_version():
    with start("from app.__main__ import main; main(['--version'])") as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    assert output.startswith("Flashbulb ")


def test_the_window_opens_and_ctrl_c_closes_it(tmp_path):
    with start(WINDOW, str(tmp_path)) as process:
        assert process.stdout.readline() == "loading smollm2\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "window.ini").exists()


def test_a_window_that_cannot_be_made_is_one_line_and_the_next_start_is_free(tmp_path):
    with start(BROKEN, str(tmp_path)) as process:
        output, errors = process.communicate()
    assert (process.returncode, output, errors.count("\n")) == (1, "", 1)
    assert errors.startswith("The window cannot be opened. KeyError: ")
    assert QLockFile(str(tmp_path / "lock")).tryLock(0)


def test_without_a_desktop_it_is_one_line(tmp_path):
    code = "import sys; from app.__main__ import main; sys.exit(main(['--data-dir', sys.argv[1]]))"
    bare = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment = {**bare, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "no-such-desktop"}
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("The window cannot be opened: ")
    assert "`flashbulb chat`" in ended.stderr


def test_interrupt_gives_the_signals_back(qtbot):
    before = signal.getsignal(signal.SIGINT)
    interrupt = Interrupt()
    with qtbot.waitSignal(interrupt.raised):
        os.kill(os.getpid(), signal.SIGINT)
    interrupt.close()
    assert signal.getsignal(signal.SIGINT) is before

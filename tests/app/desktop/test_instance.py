"""One copy to a folder: what a second start hands over, and what it says where it cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile, QProcess
from PySide6.QtNetwork import QLocalSocket

from app.desktop.instance import Instance

ROOT = Path(__file__).parents[3]
FIRST = """
import sys
from PySide6.QtCore import QCoreApplication
from pathlib import Path
from app.desktop.instance import Instance
application = QCoreApplication([])
instance = Instance(Path(sys.argv[1]))
instance.model_asked.connect(lambda model: print(model, flush=True))
print("listening", flush=True)
application.exec()
"""
WINDOW = """
import sys
from app.__main__ import main
print("up", flush=True)
sys.exit(main(["--data-dir", sys.argv[1]]))
"""


def start(*command: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *command, str(folder)],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def first(tmp_path):
    """Another process that is the first."""
    with start("-c", FIRST, folder=tmp_path) as process:
        assert process.stdout.readline() == "listening\n"
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


def test_the_second_hands_over_to_the_first(qapp, tmp_path, first):
    second = Instance(tmp_path, "/models/opt")
    assert (second.first, second.handed_over, second.trouble) == (False, True, "")
    assert first.stdout.readline() == "/models/opt\n"
    other = Instance(tmp_path / "elsewhere")
    assert other.first
    other.close()


def test_a_first_one_that_does_not_answer_is_named(qapp, tmp_path, first):
    first.send_signal(signal.SIGSTOP)
    second = Instance(tmp_path, patience_s=0.5)
    assert (second.first, second.handed_over) == (False, False)
    assert f"process {first.pid}" in second.trouble


def test_a_first_one_that_is_closing_is_waited_for(qapp, tmp_path, first):
    first.send_signal(signal.SIGTERM)
    second = Instance(tmp_path)
    assert second.first
    second.close()


def test_after_the_first_has_ended_another_can_be_it(qapp, tmp_path):
    Instance(tmp_path).close()
    again = Instance(tmp_path)
    assert again.first
    again.close()


def test_a_lock_that_cannot_be_made_is_no_other_copy(qapp, tmp_path, monkeypatch):
    monkeypatch.setattr(QLockFile, "tryLock", lambda *_: False)
    monkeypatch.setattr(QLockFile, "error", lambda *_: QLockFile.LockError.UnknownError)
    instance = Instance(tmp_path)
    assert instance.first
    assert "Nothing can be saved" in instance.trouble
    instance.close()


def test_a_folder_that_cannot_be_made_is_one_line(qapp, tmp_path):
    (tmp_path / "file").write_text("in the way")
    instance = Instance(tmp_path / "file" / "data")
    assert instance.first
    assert "Nothing can be saved" in instance.trouble
    assert "\n" not in instance.trouble
    instance.close()


@pytest.mark.parametrize("line", [b"", b"not JSON", b"[1]", b"[" * 5000, json.dumps({"model": 3}).encode()])
def test_nonsense_from_elsewhere_wakes_us_and_nothing_more(qtbot, tmp_path, line):
    first = Instance(tmp_path)
    socket = QLocalSocket()
    with qtbot.assertNotEmitted(first.model_asked), qtbot.waitSignal(first.woken):
        socket.connectToServer(first._name)
        socket.write(line + b"\n")
    socket.abort()
    first.close()


def test_a_second_copy_of_the_application_brings_up_the_first_and_ends(qtbot, tmp_path):
    first = Instance(tmp_path)
    process = QProcess()
    with qtbot.waitSignals([first.woken, first.model_asked, process.finished], timeout=60_000):
        process.start(sys.executable, ["-m", "app", "--data-dir", str(tmp_path), "--model", "starter"])
    assert process.exitCode() == 0
    assert process.readAllStandardError().isEmpty()
    assert not (tmp_path / "settings.json").exists()
    first.close()


def test_a_second_copy_says_that_the_first_does_not_answer(tmp_path, first):
    first.send_signal(signal.SIGSTOP)
    with start("-m", "app", "--data-dir", folder=tmp_path) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors.count("\n")) == (1, "", 1)
    assert "does not answer" in errors


@pytest.mark.parametrize("delay_s", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_ctrl_c_at_the_start_ends_it_without_a_word(tmp_path, delay_s):
    with start("-c", WINDOW, folder=tmp_path / "data") as process:
        assert process.stdout.readline() == "up\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode in (0, -signal.SIGINT), errors) == (True, "")

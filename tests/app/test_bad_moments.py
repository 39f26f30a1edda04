"""Mishaps around a person who is chatting: each is said, nothing is lost, and the window goes on."""

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox

import engine
from app.chat import transfer
from app.conversations.store import FILE
from app.host.deadline import Deadline
from app.host.engine_host import State
from app.host.recent_tokens import RecentTokens
from app.library.jobs import GET_COMMAND, JobState
from app.settings.registry import FILE as SETTINGS_FILE
from engine.inference.generate import Generation
from engine.system.built_in import STARTER
from tests.helpers.chatting import last_answer, shown_notice, type_and_send, wait_until_ready
from tests.helpers.checkpoints import write_text
from tests.helpers.dropping import drop
from tests.helpers.fake_engine import FakeEngine, Gate, token_statistics
from tests.helpers.hub_server import Hub, Storage
from tests.helpers.talks import stored

LEFT = Qt.MouseButton.LeftButton
LONG_MS = 120_000  # MLX alone takes a while to import on a busy machine


class Pauses:
    """Holds the real engine after its third token."""

    def __init__(self, monkeypatch):
        self.reached, self.go_on = threading.Event(), threading.Event()
        pieces = Generation.__iter__

        def paused(generation):
            for number, piece in enumerate(pieces(generation)):
                yield piece
                if number == 2 and not self.reached.is_set():
                    self.reached.set()
                    self.go_on.wait(60)

        monkeypatch.setattr(Generation, "__iter__", paused)


def test_the_drive_with_the_model_goes_in_the_middle_of_an_answer(
    qtbot, open_window, tiny_model, tmp_path, monkeypatch
):
    """The file ends where it is read, the folder is gone for a while, and comes back."""
    folder = shutil.copytree(tiny_model, tmp_path / "drive" / "model")
    (tmp_path / SETTINGS_FILE).write_text('{"version": 1, "values": {"memory.selection": "dense"}}')
    pause = Pauses(monkeypatch)
    window = open_window(engine, wait=False, model=str(folder), data_dir=tmp_path)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    type_and_send(qtbot, window, "hello there")
    qtbot.waitUntil(pause.reached.is_set, timeout=LONG_MS)
    os.truncate(folder / "bundles.safetensors", 0)
    pause.go_on.set()
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    assert "bundles.safetensors" in shown_notice(qtbot, last_answer(window)).message.text()
    folder.rename(tmp_path / "elsewhere")
    window.reload.trigger()
    qtbot.waitUntil(lambda: window.host.state is State.FAILED, timeout=LONG_MS)
    notice = shown_notice(qtbot, window.chat)
    assert notice.action.isVisible()
    assert str(folder) in notice.message.text()
    shutil.copytree(tiny_model, folder)
    qtbot.mouseClick(notice.action, LEFT)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    type_and_send(qtbot, window, "hello again")
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    assert window.chat.conversation.path()[-1].error == ""
    assert [m.role for m in window.chat.conversation.path()] == ["user", "assistant"] * 2


def test_the_disk_is_full_while_a_chat_is_exported(qtbot, open_window, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    window = open_window()
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    monkeypatch.setattr(transfer, "write_whole", full)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    window.export_chat.trigger()
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is not None)
    dialog = window.findChild(QFileDialog)
    dialog.fileSelected.emit(str(tmp_path / "chat.md"))
    dialog.close()
    box = window.findChild(QMessageBox)
    assert "No space left on device" in box.informativeText()
    box.close()


def test_the_disk_is_full_while_conversations_are_saved(qtbot, open_window, tmp_path, monkeypatch):
    """SQLite's own limit on a file's size stands for the disk's."""
    window = open_window(FakeEngine(context=1_000_000), data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    limit(window, "PRAGMA max_page_count = 1")  # which SQLite raises to what is used
    text = "much too long for what is left " * 20_000
    window.chat.composer.entry.setPlainText(text)
    qtbot.mouseClick(window.chat.composer.button, LEFT)
    qtbot.waitUntil(lambda: window.sidebar.notice is not None, timeout=30_000)
    assert "full" in window.sidebar.notice.message.text()
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Hello there."
    limit(window, "PRAGMA max_page_count = 1000000")
    qtbot.waitUntil(lambda: window.sidebar.notice is None, timeout=30_000)
    window.quit()
    assert [m.text for m in stored(tmp_path)[0].path()][2:] == [text.strip(), "Hello there."]


def limit(window, statement):
    """On the thread that the database belongs to."""
    task = window.storage._worker.submit(lambda: window.storage._opened()._db.execute(statement).fetchall())
    assert task.done.wait(10)


def test_another_program_locks_the_database(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    other = sqlite3.connect(tmp_path / FILE)
    other.execute("BEGIN EXCLUSIVE")
    type_and_send(qtbot, window, "While it is locked")
    qtbot.waitUntil(lambda: window.sidebar.notice is not None, timeout=30_000)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=30_000)
    assert last_answer(window).text == "Hello there."
    other.rollback()
    other.close()
    qtbot.waitUntil(lambda: window.sidebar.notice is None, timeout=30_000)
    window.quit()
    assert "While it is locked" in [m.text for m in stored(tmp_path)[0].path()]


def test_the_settings_file_is_damaged(qtbot, open_window, tmp_path):
    (tmp_path / SETTINGS_FILE).write_text('{"version": 1, "val')
    window = open_window(data_dir=tmp_path)
    assert "damaged" in shown_notice(qtbot, window.sidebar).message.text()
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Hello there."


def test_there_is_no_network(qtbot, open_window, tmp_path, monkeypatch):
    """The library's own command, with a Hub that is not there."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    window = open_window()
    window.models.trigger()
    library = window.library
    library.field.setText("owner/model")
    qtbot.waitUntil(lambda: library.row("owner/model") is not None, timeout=LONG_MS)
    qtbot.mouseClick(library.row("owner/model").button, LEFT)
    row = library.row("owner/model")
    qtbot.waitUntil(lambda: row.job.state is JobState.FAILED, timeout=LONG_MS)
    assert "Traceback" not in row.reason.text()
    assert "127.0.0.1:9" in row.reason.text()
    assert row.button.text() == "Try Again"
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)


class SmallDisk:
    """A disk in memory, as full as a test wants it. Only root can have one."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self._ballast = folder, folder / "ballast"
        arguments = ["-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
        self.mounted = not subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode

    def leave(self, count):
        """Fill it but for so many bytes."""
        with suppress(OSError):  # it is full even before
            self._ballast.write_bytes(bytes(shutil.disk_usage(self.folder).free - count))

    def make_room(self):
        subprocess.run(["mount", "-o", "remount,size=64m", "none", str(self.folder)], check=True)
        self._ballast.unlink(missing_ok=True)

    def unmount(self):
        subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The folder in which models are kept."""
    if not shutil.which("mount") or sys.platform == "darwin":
        pytest.skip("disks are not mounted here as on Linux")
    disk = SmallDisk(tmp_path / "disk")
    if not disk.mounted:
        pytest.skip("only root may mount a small disk")
    monkeypatch.setenv("FLASHBULB_MODELS", str(disk.folder))
    yield disk
    disk.unmount()


@pytest.fixture
def open_library(qtbot, open_window, disk, tmp_path):
    """The window's library, whose jobs calibrate on a text of our own."""

    def make(repeats=40):
        window = open_window()
        window.models.trigger()
        text = write_text(tmp_path / "text.txt", repeats)
        window.library.jobs._command = (*GET_COMMAND, "--calibration", str(text))
        qtbot.waitUntil(lambda: window.library.row(STARTER) is not None, timeout=LONG_MS)
        return window.library

    return make


def wait_for_state(qtbot, library, repo, state):
    qtbot.waitUntil(lambda: library.jobs.job(repo).state is state, timeout=LONG_MS)


def test_the_disk_is_full_while_a_model_is_downloaded(qtbot, disk, open_library, tiny_checkpoint, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # the Hub is on loopback
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Storage() as storage, Hub(storage, tiny_checkpoint) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        library = open_library()
        library.field.setText("tiny/opt")
        qtbot.keyClick(library.field, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: library.row("tiny/opt").button.text() == "Get", timeout=LONG_MS)
        storage.faults.append("stall")
        library.row("tiny/opt").button.click()
        qtbot.waitUntil(storage.stalled.is_set, timeout=LONG_MS)
        disk.leave(0)
        storage.hold.set()
        wait_for_state(qtbot, library, "tiny/opt", JobState.FAILED)
        row = library.row("tiny/opt")
        assert f"The disk of {disk.folder}" in row.reason.text()
        assert "What has arrived is kept" in row.reason.text()
        assert row.button.text() == "Try Again"
        disk.make_room()
        with qtbot.waitSignal(library.jobs.finished, timeout=LONG_MS):
            row.button.click()
    qtbot.waitUntil(lambda: library.row("tiny/opt").row.folder is not None, timeout=LONG_MS)


def test_the_disk_is_full_while_a_model_is_prepared(qtbot, disk, open_library, tiny_checkpoint, tmp_path):
    """There is room for what preparing leaves, as far as that is known before, but not for what it needs meanwhile."""
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    library = open_library(repeats=1000)
    disk.leave(sum(file.stat().st_size for file in checkpoint.glob("*.safetensors")) * 3 // 2)
    assert drop(library, checkpoint)
    qtbot.waitUntil(lambda: library.findChild(QMessageBox) is not None, timeout=LONG_MS)
    next(b for b in library.findChild(QMessageBox).buttons() if b.text() == "Prepare").click()
    repo = str(checkpoint)
    wait_for_state(qtbot, library, repo, JobState.FAILED)
    row = library.row(repo)
    assert "Make room and prepare again: it resumes where it stopped" in row.reason.text()
    assert row.button.text() == "Try Again"
    disk.make_room()
    with qtbot.waitSignal(library.jobs.finished, timeout=LONG_MS):
        row.button.click()
    qtbot.waitUntil(lambda: library.row("mine") is not None, timeout=LONG_MS)


def test_the_machine_was_asleep_in_the_middle_of_an_answer(qtbot, open_window, monkeypatch):
    """Eight hours pass between two tokens."""
    gate, awake = Gate(), time.monotonic
    window = open_window(FakeEngine(scripts=[["Good", gate, " morning", "."]]))
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: last_answer(window).text == "Good")
    monkeypatch.setattr(time, "monotonic", lambda: awake() + 8 * 3600)
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Good morning."
    window.monitor.refresh()
    assert len(window.monitor.as_text().splitlines()) == 4


def test_a_token_that_took_a_night_costs_the_panel_nothing():
    history, night = RecentTokens(), 8 * 3600
    history.add(100.0, token_statistics(1))
    history.add(100.0 + night, replace(token_statistics(2), compute_ms=1e3 * night))
    assert len(history.traffic(100.0 + night)) == 121
    assert len(history._bytes) <= 200


@pytest.mark.skipif(sys.platform == "darwin", reason="there, windows that close are the usual case")
def test_the_window_is_closed_in_the_middle_of_an_answer_and_comes_back(qtbot, open_window, tmp_path):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["One", gate, " two"]]), data_dir=tmp_path, stays=True)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    window.close_window.trigger()
    assert not window.isVisible()
    gate.opened.set()
    wait_until_ready(qtbot, window)
    window.bring_up()
    assert last_answer(window).text == "One two"
    window.quit()
    assert [m.text for m in stored(tmp_path)[0].path()] == ["Count", "One two"]


def test_quitting_in_the_middle_of_an_answer_saves_what_there_is(qtbot, open_window, tmp_path):
    window = open_window(FakeEngine(scripts=[["Half an", Gate()]]), data_dir=tmp_path, stays=True)
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: last_answer(window).text == "Half an")
    window.quit_action.trigger()
    (conversation,) = stored(tmp_path)
    assert [(m.text, m.finish) for m in conversation.path()][-1] == ("Half an", "interrupted")


def test_an_engine_that_hangs_is_left_behind_and_everything_is_saved(qtbot, open_window, tmp_path, monkeypatch):
    """Neither Stop nor closing waits for it."""
    monkeypatch.setattr(Deadline.__init__, "__defaults__", (0.05,))
    reached, go_on = threading.Event(), threading.Event()

    def hang(*_):
        reached.set()
        go_on.wait(60)
        return iter(())

    fake = FakeEngine()
    window = open_window(fake, data_dir=tmp_path)
    fake.model.generate = hang
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(reached.is_set)
    window.chat.composer.set_draft("not sent yet")
    window.settings["memory.window"] = 9
    window.quit()
    assert not window.host.shutdown()  # it hangs to this day
    (conversation,) = stored(tmp_path)
    assert [(m.text, m.finish) for m in conversation.path()] == [("Hi", ""), ("", "interrupted")]
    assert '"memory.window": 9' in (tmp_path / SETTINGS_FILE).read_text()
    go_on.set()
    assert window.host.shutdown(Deadline(30))

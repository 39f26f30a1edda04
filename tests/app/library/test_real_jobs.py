"""Jobs as they are: the application's own processes, against a Hub on loopback, from a click to a model that loads."""

import shutil
import sys

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox

from app.library.jobs import GET_COMMAND, Jobs, JobState
from app.library.window import LibraryWindow
from app.settings.registry import Preferences
from app.widgets import language
from engine.store.manifest import PreparedModel
from engine.system.built_in import STARTER
from tests.helpers.adding import add_half
from tests.helpers.checkpoints import write_text
from tests.helpers.gguf_files import write_gguf
from tests.helpers.hub_server import Hub, Storage

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 240_000  # processes import the engine, and prepare


@pytest.fixture
def library(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # the Hub is on loopback
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    assert GET_COMMAND[0] == sys.executable
    text = write_text(tmp_path / "text.txt")
    window = LibraryWindow(Preferences(), Jobs((*GET_COMMAND, "--calibration", str(text))))
    window.show()
    qtbot.waitUntil(lambda: window.row(STARTER) is not None, timeout=PATIENCE)
    yield window
    window.shutdown()
    window.close()
    window.deleteLater()


def wait_for(qtbot, library, press):
    stages = set()
    library.jobs.changed.connect(lambda job: stages.add(job.state.name))
    with qtbot.waitSignal(library.jobs.finished, timeout=PATIENCE) as finished:
        press()
    return finished.args[0], stages


def test_a_repository_is_downloaded_and_prepared(qtbot, library, tiny_checkpoint, tmp_path, monkeypatch):
    with Storage() as storage, Hub(storage, tiny_checkpoint) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        library.field.setText(f"{hub.url}/tiny/opt")
        qtbot.waitUntil(lambda: library.row("tiny/opt").button.height() > 10)
        qtbot.mouseClick(library.row("tiny/opt").button, LEFT)
        qtbot.waitUntil(lambda: library.row("tiny/opt").button.text() == "Get", timeout=PATIENCE)
        row = library.row("tiny/opt")
        assert row.verdict.text() == "Fits in memory"
        job, stages = wait_for(qtbot, library, lambda: qtbot.mouseClick(row.button, LEFT))
    assert {"FETCHING", "PREPARING", "DONE"} <= stages
    assert job.total > 100_000
    assert PreparedModel.open(tmp_path / "models" / "tiny--opt", verify=True).manifest.source.repository == "tiny/opt"
    qtbot.waitUntil(
        lambda: library.row("tiny/opt") and library.row("tiny/opt").button.text() == "Chat", timeout=PATIENCE
    )


def test_a_checkpoint_in_a_folder_is_prepared(qtbot, library, tiny_checkpoint, tmp_path):
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    library.take(checkpoint)
    qtbot.waitUntil(lambda: any(b.text() == "Prepare" for b in _buttons(library)), timeout=PATIENCE)
    press = next(b for b in _buttons(library) if b.text() == "Prepare").click
    _, stages = wait_for(qtbot, library, press)
    assert {"PREPARING", "DONE"} <= stages
    assert PreparedModel.open(tmp_path / "models" / "mine").name == "mine"
    qtbot.waitUntil(lambda: library.row("mine") is not None, timeout=PATIENCE)
    with qtbot.waitSignal(library.chat_asked, timeout=PATIENCE) as asked:
        library.take(checkpoint)
    assert asked.args == [str(tmp_path / "models" / "mine")]


def test_a_gguf_file_ends_in_a_chat_in_one_step(qtbot, library, tmp_path):
    write_gguf(tmp_path / "small.gguf")
    stages = set()
    library.jobs.changed.connect(lambda job: stages.add(job.state.name))
    with qtbot.waitSignal(library.chat_asked, timeout=PATIENCE) as asked:
        library.take(tmp_path / "small.gguf")
    assert {"PREPARING", "DONE"} <= stages
    assert asked.args == [str(tmp_path / "models" / "small")]
    assert not _buttons(library)
    qtbot.waitUntil(lambda: library.row("small") is not None, timeout=PATIENCE)
    assert library.row("small").button.text() == "Chat"
    with qtbot.waitSignal(library.chat_asked, timeout=PATIENCE) as asked:
        library.take(tmp_path / "small.gguf")  # what was made of it before is used
    assert asked.args == [str(tmp_path / "models" / "small")]


def test_a_preparation_that_was_interrupted_is_gone_on_with(qtbot, library, tiny_checkpoint, tmp_path):
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    add_half(checkpoint, tmp_path)
    library.refresh()  # as at the next start
    qtbot.waitUntil(lambda: library.row(str(checkpoint)) is not None, timeout=PATIENCE)
    row = library.row(str(checkpoint))
    assert (row.title.text(), row.button.text()) == ("mine", "Resume")
    assert row.progress.text() == "preparing is paused"
    job, stages = wait_for(qtbot, library, row.button.click)
    assert {"PREPARING", "DONE"} <= stages
    assert job.folder == str(tmp_path / "models" / "mine")
    qtbot.waitUntil(lambda: library.row("mine") is not None, timeout=PATIENCE)
    assert library.row(str(checkpoint)) is None


def test_a_preparation_that_was_interrupted_can_be_thrown_away(qtbot, library, tiny_checkpoint, tmp_path):
    checkpoint = shutil.copytree(tiny_checkpoint, tmp_path / "mine")
    add_half(checkpoint, tmp_path)
    shutil.rmtree(checkpoint)  # the drive that it is on is unplugged
    library.refresh()
    qtbot.waitUntil(lambda: library.row(str(checkpoint)) is not None, timeout=PATIENCE)
    row = library.row(str(checkpoint))
    assert row.verdict.text() == "Its folder is not there"
    next(action for action in row.more.menu().actions() if action.text() == "Delete What Is Prepared…").trigger()
    box = library.findChild(QMessageBox)
    assert box.text() == "Delete mine?"
    assert "so far" in box.informativeText()
    next(b for b in _buttons(library) if b.text() == "Delete").click()
    qtbot.waitUntil(lambda: library.row(str(checkpoint)) is None, timeout=PATIENCE)
    assert not list((tmp_path / "models").glob("*.partial"))


def test_what_went_wrong_comes_in_the_language_of_the_window(qtbot, library, tmp_path):
    """From a process that speaks English."""
    folder = tmp_path / "nowhere"
    language.use(language.CHINESE)
    try:
        library.jobs.start(str(folder))
        job = library.jobs.job(str(folder))
        qtbot.waitUntil(lambda: job.state is JobState.FAILED, timeout=PATIENCE)
    finally:
        language.use(language.ENGLISH)
    assert job.error == f"文件夹 {folder} 不存在。"


def _buttons(library):
    return [button for box in library.findChildren(QMessageBox) for button in box.buttons()]

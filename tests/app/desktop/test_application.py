"""The system's words to the application as a whole: its icon, files to open. A QApplication is one to a process."""

import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QSize, Qt

from app.conversations.exchange import CHAT_SUFFIX, to_json
from app.host.engine_host import State
from app.widgets.icons import application_icon
from tests.helpers.fake_engine import FakeEngine, Gate
from tests.helpers.talks import talk

OPEN_EVENT = """
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtCore import QEvent
from app.desktop.application import Application
application = Application([])
application.file_opened.connect(print)
assert Application.sendEvent(application, QFileOpenEvent("/models/opt.flashbulb"))
Application.sendEvent(application, QEvent(QEvent.Type.ApplicationActivate))
"""


def test_a_file_to_open_is_told_and_nothing_else():
    process = subprocess.run(
        [sys.executable, "-c", OPEN_EVENT], cwd=Path(__file__).parents[3], capture_output=True, text=True
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "/models/opt.flashbulb\n", "")


@pytest.fixture
def model(tmp_path):
    """A folder that looks like a prepared model's."""
    folder = tmp_path / "opt.flashbulb"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    return folder


def test_a_model_that_is_opened_is_loaded(qtbot, open_window, model):
    engine = FakeEngine()
    window = open_window(engine)
    window.open_file(str(model))
    qtbot.waitUntil(lambda: f"load {model}" in engine.seen and window.host.state is State.READY)


def test_an_answer_is_stopped_before_another_model_is_loaded(qtbot, open_window, model):
    gate = Gate()
    engine = FakeEngine(scripts=[["One", gate, " two"]])
    window = open_window(engine)
    window.chat.send("Count")
    qtbot.waitUntil(gate.reached.is_set)
    window.open_file(str(model))
    qtbot.waitUntil(lambda: engine.seen[-1] == f"load {model}" and window.host.state is State.READY)
    assert window.chat.transcript.messages()[-1].text == "One"


def test_an_exported_conversation_is_imported(qtbot, open_window, tmp_path):
    exported = tmp_path / f"dogs{CHAT_SUFFIX}"
    exported.write_text(to_json([talk("Do you like dogs?", "I do.")]))
    engine = FakeEngine()
    window = open_window(engine)
    window.open_file(str(exported))
    qtbot.waitUntil(lambda: bool(window.chat.transcript.messages()))
    assert window.chat.transcript.messages()[0].text == "Do you like dogs?"
    assert not [seen for seen in engine.seen if "dogs" in seen]
    assert window.message.text == "1 chat imported"
    exported.write_text(to_json([]))
    window.open_file(str(exported))
    qtbot.waitUntil(lambda: window.message.text == "0 chats imported")


def test_the_icon_has_every_size_without_scaling(qapp):
    sizes = sorted(size.width() for size in application_icon().availableSizes())
    assert sizes == [16, 32, 64, 128, 256, 512]
    corner = application_icon().pixmap(QSize(128, 128)).toImage().pixelColor(0, 0)
    assert corner.alpha() == 0, "the tile's corners are round"
    assert application_icon().pixmap(QSize(128, 128)).toImage().pixelColor(64, 40) != Qt.GlobalColor.transparent

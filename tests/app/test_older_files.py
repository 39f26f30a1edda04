"""Files that an early version wrote open with today's: a prepared model, settings, and a database of conversations.

`older_files/` is what the application of commit 3054230 left behind: a tiny model was prepared and loaded, asked a
question, asked to answer again, asked another one, and a third was typed but not sent.
"""

import shutil
from pathlib import Path

import pytest

import engine
from app.chat.receipt import Receipt
from app.host.engine_host import State
from app.settings.registry import Preferences
from engine.settings import Selection
from engine.store.manifest import PreparedModel

OLDER_FILES = Path(__file__).with_name("older_files")
LONG_MS = 120_000  # MLX alone takes a while to import on a busy machine


@pytest.fixture
def older(tmp_path) -> Path:
    return shutil.copytree(OLDER_FILES, tmp_path / "data")


def test_a_model_is_whole_and_says_what_was_measured(older):
    model = PreparedModel.open(older / "model", verify=True)
    assert model.name == "tiny-opt"
    assert [(layer.neurons, layer.rank) for layer in model.layer_reports] == [(96, 12), (96, 12)]
    assert [round(layer.sparsity, 2) for layer in model.layer_reports] == [0.89, 0.92]


def test_settings_are_as_they_were_left(older):
    preferences = Preferences(older / "settings.json")
    assert preferences.notice == ""
    chosen = preferences.engine_settings()
    assert (chosen.window, chosen.selection, chosen.memory_budget) == (7, Selection.EXACT, 64_000_000)
    assert (preferences["chat.max_tokens"], preferences["chat.temperature"]) == (24, 0.0)
    assert (preferences["chat.system_prompt"], preferences["general.text_size"]) == ("Be brief.", 120)


def test_a_conversation_goes_on_with_its_model(qtbot, open_window, older):
    window = open_window(engine, wait=False, data_dir=older, model=str(older / "model"))
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    qtbot.waitUntil(lambda: [head.title for head in window.sidebar.model.heads()] == ["hello there"])
    qtbot.waitUntil(lambda: len(window.chat.conversation.path()) == 4)
    hello, first, _, second = window.chat.conversation.path()
    assert len(window.chat.conversation.siblings(first)) == 2
    assert window.chat.composer.entry.toPlainText() == "to be sent later"
    assert Receipt.from_json(second.receipt).selection == "predictor"
    assert window.chat.transcript.messages()[-1].receipt.text() == Receipt.from_json(second.receipt).line()

    window.chat.send(hello.text)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    answer = window.chat.conversation.path()[-1]
    assert answer.error == ""
    assert Receipt.from_json(answer.receipt).selection == "exact"

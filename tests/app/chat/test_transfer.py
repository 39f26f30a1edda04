"""Exporting and importing as a person does it: where the dialogs begin, and what is said afterwards."""

from pathlib import Path

import pytest
from PySide6.QtCore import QStandardPaths
from PySide6.QtWidgets import QFileDialog, QMessageBox

from app.chat.transfer import file_name
from app.conversations.exchange import read
from tests.helpers.chatting import type_and_send, wait_until_ready
from tests.helpers.planted import found_in, plant


@pytest.fixture
def window(qtbot, open_window):
    window = open_window()
    type_and_send(qtbot, window, "A question")
    wait_until_ready(qtbot, window)
    window.chat.conversation.path()[0].text = "Half \ud83d of it"  # as a model's tokens or a keyboard may leave behind
    window.storage.keep(window.chat.conversation, window.chat.conversation.path()[0])
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    return window


@pytest.fixture
def documents(home, monkeypatch):
    folder = home / "Documents"
    folder.mkdir()
    monkeypatch.setattr(QStandardPaths, "writableLocation", lambda _: str(folder))
    return folder


def answer(qtbot, window, action, path: Path) -> str:
    """Press the menu's entry, and choose a file. Returns the folder in which the dialog began."""
    action.trigger()
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is not None)
    dialog = window.findChild(QFileDialog)
    began = dialog.directory().path()
    dialog.fileSelected.emit(str(path))
    dialog.close()
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is None)
    return began


@pytest.mark.parametrize("name", ["chat.md", "chat.json", "chat.flashbulb-chat"])
@pytest.mark.parametrize("which", ["export_chat", "export_all"])
def test_nothing_that_a_model_remembers_is_exported(qtbot, open_window, documents, tmp_path, name, which):
    window = open_window(data_dir=tmp_path / "data")
    type_and_send(qtbot, window, "A question")
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    files, id_ = window.storage.contexts, window.chat.conversation.id
    plant(files, id_)
    kept = [path.read_bytes() for path in files.folder.iterdir()]
    assert any(found_in(content) for content in kept), "it is there to be found"
    answer(qtbot, window, getattr(window, which), tmp_path / name)
    qtbot.waitUntil((tmp_path / name).is_file)
    content = (tmp_path / name).read_bytes()
    assert b"A question" in content
    assert found_in(content) == []
    assert files.file_of(id_).stem.encode() not in content


@pytest.mark.parametrize("name", ["chat.md", "chat.json", "chat.flashbulb-chat"])
def test_an_export_begins_in_documents_says_that_it_is_done_and_is_remembered(qtbot, window, documents, tmp_path, name):
    path = tmp_path / name
    assert answer(qtbot, window, window.export_chat, path) == str(documents)
    assert "Half ? of it" in path.read_text(encoding="utf-8")
    assert window.message.text == f"Exported to {path}"
    assert answer(qtbot, window, window.export_all, tmp_path / "all.json") == str(tmp_path)
    assert read(tmp_path / "all.json")[0].path()[0].text == "Half ? of it"


def test_an_import_that_fails_says_so_in_plain_words(qtbot, window, documents, tmp_path):
    bad = tmp_path / "holiday.json"
    bad.write_bytes(b"\xff\xd8\xff\xe0")
    answer(qtbot, window, window.import_chats, bad)
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)
    box = window.findChild(QMessageBox)
    assert box.text() == "The chats could not be imported"
    assert box.informativeText() == (
        "holiday.json was not imported. It is not a text file: a file of chats is JSON in UTF-8."
    )
    box.close()


@pytest.mark.parametrize("title", ["a/b:c", "滑" * 200, "𠀀" * 200, "\ud83d", "", "...", "/" * 300])
def test_every_title_makes_a_name_that_a_disk_takes(title, tmp_path):
    (tmp_path / f"{file_name(title)}.flashbulb-chat").write_text("")

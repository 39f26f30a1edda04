"""Text files that go with a message: dropped or pasted, shown, sent, and refused with words."""

import os

import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtGui import QGuiApplication, QImage

from app.chat.attachments import MAX_FILE_BYTES
from app.chat.entry import MAX_PASTED_CHARACTERS
from app.chat.message import BUBBLE_MARGINS
from tests.helpers.dropping import drop
from tests.helpers.fake_engine import FakeEngine

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.md"
    path.write_text("# Notes\n\n```\na needle\n```\n", encoding="utf-8")
    return path


def send(qtbot, window, text="What is in it?"):
    qtbot.keyClicks(window.chat.composer.entry, text)
    with qtbot.waitSignal(window.chat.answered):
        qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)


def test_a_dropped_file_is_sent_fenced_before_the_words(qtbot, open_window, notes):
    engine = FakeEngine()
    window = open_window(engine)
    assert drop(window.chat.composer.entry.viewport(), notes)
    (line,) = window.chat.composer.attachments.lines
    assert line.label.text().replace("\u00a0", " ") == "notes.md · 26 B · about 6 tokens"
    assert "about 6 of" in window.chat.composer.meter.label.text()
    send(qtbot, window)
    sent = "notes.md\n````\n# Notes\n\n```\na needle\n```\n````\n\nWhat is in it?"
    assert engine.asked == [[{"role": "user", "content": sent}]]
    assert window.chat.composer.attachments.lines == []
    assert window.chat.conversation.attachments == ()


def test_it_is_folded_above_the_question_and_found_there(qtbot, open_window, notes):
    window = open_window()
    drop(window, notes)
    send(qtbot, window)
    question = window.chat.transcript.messages()[0]
    (file,) = question.attachments
    assert question.views() == [question.view]
    ground = question.view.parentWidget()
    assert ground.width() == question.view.width() + BUBBLE_MARGINS[0] + BUBBLE_MARGINS[2]
    qtbot.mouseClick(file.button, LEFT)
    assert [view.toPlainText() for view in question.views()] == [notes.read_text().rstrip("\n"), "What is in it?"]
    qtbot.mouseClick(file.button, LEFT)
    assert question.views() == [question.view]
    window.chat.find_bar.open_bar()
    qtbot.keyClicks(window.chat.find_bar.field, "needle")
    qtbot.keyClick(window.chat.find_bar.field, Qt.Key.Key_Return)
    assert window.chat.find_bar.count.text() == "1 of 1"
    assert file.button.isChecked()
    window.chat.find_bar.close_bar()


def test_a_changed_question_keeps_its_files(qtbot, open_window, notes):
    engine = FakeEngine()
    window = open_window(engine)
    drop(window, notes)
    send(qtbot, window)
    question = window.chat.transcript.messages()[0]
    qtbot.mouseClick(question.edit_button, LEFT)
    question.editor.entry.setPlainText("Again?")
    with qtbot.waitSignal(window.chat.answered):
        qtbot.mouseClick(question.editor.send, LEFT)
    assert engine.asked[1][0]["content"].endswith("````\n\nAgain?")


def test_a_pasted_file_goes_with_the_message_and_can_be_taken_away(qtbot, open_window, notes):
    window = open_window()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(notes))])
    data.setText(data.urls()[0].toString())
    QGuiApplication.clipboard().setMimeData(data)
    window.chat.composer.entry.setFocus()
    for _ in range(2):  # twice the same is once
        window.chat.composer.entry.paste()
    (line,) = window.chat.composer.attachments.lines
    assert window.chat.composer.entry.toPlainText() == ""
    qtbot.mouseClick(line.remove, LEFT)
    assert window.chat.composer.attachments.lines == []
    assert not window.chat.composer.attachments.isVisible()


def test_files_that_are_not_sent_stay_with_their_chat(qtbot, open_window, notes, tmp_path):
    window = open_window(data_dir=tmp_path / "data")
    first = window.chat.conversation
    drop(window, notes)
    window.chat.new_chat()
    assert window.chat.composer.attachments.lines == []
    qtbot.waitUntil(lambda: [head.id for head in window.sidebar.model.heads()] == [first.id])
    window.conversations.open(first.id)
    assert [line.attachment.name for line in window.chat.composer.attachments.lines] == ["notes.md"]


def test_what_is_too_large_for_the_context_is_said_before_it_is_sent(qtbot, open_window, notes):
    window = open_window()
    notes.write_text("word " * 2000)
    drop(window, notes)
    said = window.chat.composer.meter.label.text()
    assert said == "Too long by about 1,988: about 2,500 tokens, and the model has room for 512."
    (line,) = window.chat.composer.attachments.lines
    assert "about 2,500 tokens" in line.label.text()
    qtbot.keyClicks(window.chat.composer.entry, "What is in it?")
    assert not window.chat.composer.button.isEnabled()
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)
    assert not window.chat.conversation.messages
    qtbot.mouseClick(line.remove, LEFT)
    assert window.chat.composer.button.isEnabled()


def test_a_file_can_be_sent_without_words(qtbot, open_window, notes):
    engine = FakeEngine()
    window = open_window(engine)
    assert not window.chat.composer.button.isEnabled()
    drop(window, notes)
    assert window.chat.composer.button.isEnabled()
    with qtbot.waitSignal(window.chat.answered):
        qtbot.mouseClick(window.chat.composer.button, LEFT)
    assert engine.asked == [[{"role": "user", "content": "notes.md\n````\n# Notes\n\n```\na needle\n```\n````"}]]
    assert window.chat.conversation.title == "notes.md"
    question = window.chat.transcript.messages()[0]
    assert not question.view.isVisible()
    assert question.attachments[0].isVisible()
    qtbot.mouseClick(question.edit_button, LEFT)
    assert question.editor.isVisible()
    assert question.editor.send.isEnabled()
    question.editor.entry.setPlainText("And?")
    with qtbot.waitSignal(window.chat.answered):
        qtbot.mouseClick(question.editor.send, LEFT)
    assert engine.asked[1][0]["content"].endswith("````\n\nAnd?")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photo.PNG", b"\x89PNG", "photo.PNG is a picture, and the models here read text only."),
        ("program", b"\x7fELF\x00\xff\xfe", "program is not a text file in UTF-8."),
        ("zeros.txt", b"a\0b", "zeros.txt is not a text file in UTF-8."),
        ("blank.txt", b" \n", "blank.txt is empty."),
        ("large.txt", b"a" * (MAX_FILE_BYTES + 1), "large.txt is too large to be sent: it has 4.0\u00a0MB"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_words(open_window, tmp_path, name, content, words):
    window = open_window()
    (tmp_path / name).write_bytes(content)
    drop(window, tmp_path / name)
    assert window.message.text.startswith(words)
    assert window.chat.composer.attachments.lines == []


def paste(window, *paths):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    QGuiApplication.clipboard().setMimeData(data)
    window.chat.composer.entry.paste()


def test_a_very_long_text_that_is_pasted_goes_with_the_message_as_a_file_does(open_window):
    window = open_window()
    entry, clipboard = window.chat.composer.entry, QGuiApplication.clipboard()
    clipboard.setText("x" * MAX_PASTED_CHARACTERS)
    entry.paste()
    assert len(entry.toPlainText()) == MAX_PASTED_CHARACTERS
    entry.clear()
    clipboard.setText("x" * (MAX_PASTED_CHARACTERS + 1))
    entry.paste()
    assert entry.toPlainText() == ""
    (attachment,) = window.chat.composer.attachments.attachments
    assert (attachment.name, attachment.text) == ("Pasted text", clipboard.text())


def test_what_is_no_file_is_refused_when_it_is_pasted(open_window, tmp_path):
    """Nothing waits for a pipe that nobody writes into."""
    window = open_window()
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for name, words in (("folder", "is no file"), ("pipe", "is no file"), ("gone", "cannot be read")):
        paste(window, tmp_path / name)
        assert words in window.message.text
    assert window.chat.composer.attachments.lines == []


def test_files_of_one_name_are_two(qtbot, open_window, tmp_path):
    engine = FakeEngine()
    window = open_window(engine)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text(f"of {name}")
    paste(window, tmp_path / "a" / "notes.txt", tmp_path / "b" / "notes.txt")
    assert len(window.chat.composer.attachments.lines) == 2
    send(qtbot, window)
    assert "of a" in engine.asked[0][0]["content"]
    assert "of b" in engine.asked[0][0]["content"]


def test_a_pasted_picture_is_refused_with_what_would_read_it(open_window):
    window = open_window()
    data = QMimeData()
    data.setImageData(QImage(2, 2, QImage.Format.Format_RGB32))
    QGuiApplication.clipboard().setMimeData(data)
    window.chat.composer.entry.paste()
    assert "vision models would read it" in window.message.text

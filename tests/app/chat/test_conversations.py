"""A person's ways with conversations: branches, drafts, search, names, deleting, files, and starting again."""

import json

import pytest
from PySide6.QtCore import QDateTime, QLocale, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QLineEdit, QMessageBox

from app.chat.message import _when
from app.conversations.conversation import INTERRUPTED
from app.conversations.store import FILE, ConversationStore
from app.host.engine_host import State
from engine.errors import PromptError, ReadError
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine, Gate
from tests.helpers.talks import save, stored, talk

LEFT = Qt.MouseButton.LeftButton


def ask(qtbot, window, *texts):
    for text in texts:
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)


def shown(window):
    """The texts of the messages that are shown."""
    return [widget.text for widget in window.chat.transcript.messages()]


def titles(window):
    return [head.title for head in window.sidebar.model.heads()]


def test_what_is_sent_while_the_model_loads_waits_in_the_field(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(loads=[None, gate]))
    window.load("another")
    window.chat.send("First")
    window.chat.send("Second")
    assert window.chat.composer.entry.toPlainText() == "First\n\nSecond"
    assert shown(window) == []
    gate.opened.set()
    wait_until_ready(qtbot, window)
    window.chat.composer.submit()
    wait_until_ready(qtbot, window)
    assert shown(window)[0] == "First\n\nSecond"


def test_a_message_that_the_model_cannot_take_can_be_edited_where_that_is_said(qtbot, open_window):
    refused = PromptError("The prompt has {tokens} tokens. Shorten it.", tokens=900)
    window = open_window(FakeEngine(scripts=[[refused], ["Fine."]]))
    ask(qtbot, window, "Much too long")
    notice = last_answer(window).notice
    assert notice.action.text() == "Edit Message"
    qtbot.mouseClick(notice.action, LEFT)
    editor = window.chat.last_question().editor
    editor.entry.setPlainText("Short")
    qtbot.keyClick(editor.entry, Qt.Key.Key_Return)
    wait_until_ready(qtbot, window)
    assert shown(window) == ["Short", "Fine."]


# ---------------------------------------------------------------------------- branches
def test_an_answer_can_be_given_again_and_both_are_kept(qtbot, open_window):
    engine = FakeEngine(scripts=[["First."], ["Second."]])
    window = open_window(engine)
    ask(qtbot, window, "Hi")
    qtbot.mouseClick(last_answer(window).regenerate_button, LEFT)
    wait_until_ready(qtbot, window)
    assert shown(window) == ["Hi", "Second."]
    assert engine.asked[1] == [{"role": "user", "content": "Hi"}]
    switcher = last_answer(window).switcher
    assert switcher.label.text() == "2 / 2"
    assert not switcher.next.isEnabled()
    qtbot.mouseClick(switcher.previous, LEFT)
    assert shown(window) == ["Hi", "First."]
    qtbot.mouseClick(last_answer(window).switcher.next, LEFT)
    assert shown(window) == ["Hi", "Second."]


def test_a_question_can_be_changed_and_sent_again(qtbot, open_window):
    engine = FakeEngine(scripts=[["Hello."], ["Fine."], ["A model."]])
    window = open_window(engine)
    ask(qtbot, window, "Hi", "How are you?")
    question = window.chat.transcript.messages()[2]
    qtbot.mouseClick(question.edit_button, LEFT)
    assert question.editor.entry.toPlainText() == "How are you?"
    question.editor.entry.selectAll()
    qtbot.keyClicks(question.editor.entry, "Who are you?")
    qtbot.keyClick(question.editor.entry, Qt.Key.Key_Return)
    wait_until_ready(qtbot, window)
    assert shown(window) == ["Hi", "Hello.", "Who are you?", "A model."]
    assert [m["content"] for m in engine.asked[2]] == ["Hi", "Hello.", "Who are you?"]
    qtbot.mouseClick(window.chat.transcript.messages()[2].switcher.previous, LEFT)
    assert shown(window) == ["Hi", "Hello.", "How are you?", "Fine."]


def test_a_question_being_changed_takes_no_more_room_than_it_needs(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "Hi")
    qtbot.mouseClick(window.chat.transcript.messages()[0].edit_button, LEFT)
    editor = window.chat.transcript.messages()[0].editor
    qtbot.waitUntil(lambda: 0 < editor.height() == editor.sizeHint().height())
    lines = editor.height()
    qtbot.keyClick(editor.entry, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: lines < editor.height() == editor.sizeHint().height())


@pytest.mark.parametrize("way", ["escape", "button"])
def test_changing_a_question_can_be_given_up(qtbot, open_window, way):
    window = open_window()
    ask(qtbot, window, "Hi")
    window.edit_question.trigger()
    question = window.chat.transcript.messages()[0]
    qtbot.keyClicks(question.editor.entry, " there")
    assert question.editor.entry.toPlainText() == "Hi there"
    if way == "escape":
        qtbot.keyClick(question.editor.entry, Qt.Key.Key_Escape)
    else:
        qtbot.mouseClick(question.editor.cancel, LEFT)
    assert question.editor is None
    assert question.view.isVisible()
    assert shown(window) == ["Hi", "Hello there."]


def test_a_stopped_answer_can_be_continued(qtbot, open_window):
    gate = Gate()
    engine = FakeEngine(scripts=[["One, ", gate], ["two."]])
    window = open_window(engine)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(gate.reached.is_set)
    qtbot.waitUntil(lambda: last_answer(window).text == "One, ")
    assert not last_answer(window).continue_button.isVisible()
    qtbot.keyClick(window, Qt.Key.Key_Period, Qt.KeyboardModifier.ControlModifier)
    wait_until_ready(qtbot, window)
    qtbot.mouseClick(last_answer(window).continue_button, LEFT)
    wait_until_ready(qtbot, window)
    assert shown(window) == ["Count", "One, two."]
    assert engine.asked[1][-1] == {"role": "assistant", "content": "One, "}
    assert not last_answer(window).continue_button.isVisible()


def test_an_answer_that_broke_off_can_be_continued(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["Half", ReadError("The drive is gone.")], [" done."]]))
    ask(qtbot, window, "Hi")
    assert last_answer(window).notice.message.text() == "The drive is gone."
    qtbot.mouseClick(last_answer(window).continue_button, LEFT)
    wait_until_ready(qtbot, window)
    assert shown(window)[-1] == "Half done."
    assert last_answer(window).notice is None


def test_while_an_answer_comes_nothing_else_can_be_asked(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["First."], ["One", gate]]))
    ask(qtbot, window, "Hi")
    type_and_send(qtbot, window, "More")
    qtbot.waitUntil(gate.reached.is_set)
    question, answer, *_ = window.chat.transcript.messages()
    assert not answer.regenerate_button.isEnabled()
    assert not question.edit_button.isEnabled()
    assert not window.answer_again.isEnabled()
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert answer.regenerate_button.isEnabled()


def test_the_receipt_opens_in_detail(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "Hi")
    answer = last_answer(window)
    qtbot.mouseClick(answer.detail_button, LEFT)
    qtbot.waitUntil(answer.detail.isVisible)
    assert "Waiting for flash 39\xa0% of the time" in answer.detail.hint.text()
    qtbot.mouseClick(answer.detail_button, LEFT)
    assert answer.detail is None


# ---------------------------------------------------------------------------- parameters
def test_a_conversation_has_its_own_parameters(qtbot, open_window):
    engine = FakeEngine()
    window = open_window(engine)
    window.settings["chat.temperature"] = 0.4
    qtbot.mouseClick(window.chat.composer.parameters_button, LEFT)
    form = window.chat.parameters.form
    qtbot.keyClicks(form.prompt, "Be brief.")
    form.fields["top_k"].box.setValue(40)
    form.seeded.click()
    form.seed.setValue(7)
    ask(qtbot, window, "Hi")
    assert engine.asked[0][0] == {"role": "system", "content": "Be brief."}
    options = engine.options[0]
    assert (options.temperature, options.top_k, options.seed, options.max_tokens) == (0.4, 40, 7, 512)
    window.new_chat.trigger()
    assert form.prompt.toPlainText() == ""
    ask(qtbot, window, "Hi")
    assert engine.asked[1] == [{"role": "user", "content": "Hi"}]
    assert (engine.options[1].top_k, engine.options[1].seed) == (None, None)
    window.sidebar.open_number(1)
    qtbot.waitUntil(lambda: form.prompt.toPlainText() == "Be brief.")
    qtbot.mouseClick(window.chat.parameters.reset, LEFT)
    assert form.fields["top_k"].box.text() == "Flashbulb's default 0"
    assert window.chat.conversation.parameters == {}


# ---------------------------------------------------------------------------- what is kept
def test_everything_is_there_after_a_restart(qtbot, open_window, tmp_path):
    window = open_window(FakeEngine(scripts=[["Hello."], ["Again."], ["Other."]]), data_dir=tmp_path)
    ask(qtbot, window, "Hi")
    window.answer_again.trigger()
    wait_until_ready(qtbot, window)
    window.new_chat.trigger()
    ask(qtbot, window, "Something else")
    window.sidebar.open_number(1)
    qtbot.waitUntil(lambda: shown(window) == ["Hi", "Again."])
    qtbot.keyClicks(window.chat.composer.entry, "not sent yet")
    window.quit()
    again = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: shown(again) == ["Hi", "Again."])
    assert again.chat.composer.entry.toPlainText() == "not sent yet"
    assert titles(again) == ["Something else", "Hi"]
    assert last_answer(again).switcher.label.text() == "2 / 2"
    assert "first token" in last_answer(again).receipt.text()  # a speed needs two


def test_the_question_is_on_disk_before_the_answer_begins(qtbot, open_window, tmp_path):
    seen = []

    class Watching(FakeEngine):
        def load(self, path, settings, *more):
            model = super().load(path, settings, *more)
            generate = model.generate

            def watched(*arguments):
                seen.extend(m.text for m in stored(tmp_path)[0].path())
                return generate(*arguments)

            model.generate = watched
            return model

    window = open_window(Watching(), data_dir=tmp_path)
    ask(qtbot, window, "Hi")
    assert seen == ["Hi", ""]


def test_quitting_in_the_middle_of_an_answer_keeps_it(qtbot, open_window, tmp_path):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["Half an", gate]]), data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: last_answer(window).text == "Half an")
    window.quit()
    (kept,) = stored(tmp_path)
    assert [(m.text, m.finish) for m in kept.path()] == [("Hi", ""), ("Half an", INTERRUPTED)]
    again = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: shown(again) == ["Hi", "Half an"])
    assert last_answer(again).receipt.text() == "interrupted"
    qtbot.waitUntil(last_answer(again).continue_button.isVisible)


def test_an_empty_chat_that_was_left_is_no_trouble_at_the_next_start(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    window.new_chat.trigger()
    window.quit()
    again = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: len(again.sidebar.model.heads()) == 1)
    assert again.sidebar.notice is None
    assert again.chat.welcome.isVisible()


def test_the_partial_answer_is_on_disk_while_it_comes(qtbot, open_window, tmp_path):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["Half an", gate]]), data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: [c.path()[-1].text for c in stored(tmp_path)] == ["Half an"])
    gate.opened.set()
    wait_until_ready(qtbot, window)


def test_a_long_message_with_all_kinds_of_letters(qtbot, open_window, tmp_path):
    text = "مرحبا 你好 👩‍🚀 שלום e\u0301 " * 5000
    window = open_window(FakeEngine(scripts=[["👍🏽 ", "好的"]], context=1_000_000), data_dir=tmp_path)
    window.chat.composer.entry.setPlainText(text)
    qtbot.mouseClick(window.chat.composer.button, LEFT)
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=60_000)  # laying it out takes a while
    window.quit()
    assert [m.text for m in stored(tmp_path)[0].path()] == [text.strip(), "👍🏽 好的"]


def test_a_damaged_file_is_told_and_the_window_works(qtbot, open_window, tmp_path):
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    window = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: window.sidebar.notice is not None)
    assert "damaged" in window.sidebar.notice.message.text()
    ask(qtbot, window, "Hi")
    qtbot.waitUntil(lambda: titles(window) == ["Hi"])


# ---------------------------------------------------------------------------- the sidebar
@pytest.fixture
def three(tmp_path):
    """A folder with three conversations."""
    store = ConversationStore(tmp_path / FILE)
    for number, (asked, said) in enumerate(
        (("Bread", "Mix at eight"), ("Lisbon", "Three days"), ("Sky", "Blue light"))
    ):
        conversation = talk(asked, said)
        conversation.updated = 1000.0 + number
        save(store, conversation)
    store.close()
    return tmp_path


@pytest.fixture
def window(qtbot, open_window, three):
    window = open_window(data_dir=three)
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Lisbon", "Bread"])
    return window


def click(qtbot, window, title):
    model = window.sidebar.model
    index = model.index_of(next(head.id for head in model.heads() if head.title == title))
    place = window.sidebar.list.visualRect(index).center()
    qtbot.mouseClick(window.sidebar.list.viewport(), LEFT, pos=place)


def choose(window, title, action):
    """From the context menu."""
    head = next(head for head in window.sidebar.model.heads() if head.title == title)
    menu = window.sidebar.menu_for(head)
    next(a for a in menu.actions() if a.text() == action).trigger()
    menu.close()


def test_a_click_opens_a_conversation(qtbot, window):
    click(qtbot, window, "Lisbon")
    qtbot.waitUntil(lambda: shown(window) == ["Lisbon", "Three days"])
    qtbot.keyClick(window, Qt.Key.Key_1, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: shown(window) == ["Sky", "Blue light"])


def test_search_shows_what_was_found_and_leads_there(qtbot, window):
    qtbot.keyClick(window, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(window.sidebar.field, "eig")
    qtbot.waitUntil(lambda: titles(window) == ["Bread"])
    index = window.sidebar.model.index_of(window.sidebar.model.heads()[0].id)
    assert index.data(Qt.ItemDataRole.AccessibleTextRole) == "Bread: Mix at eight"
    qtbot.keyClick(window.sidebar.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: shown(window) == ["Bread", "Mix at eight"])
    qtbot.keyClick(window.sidebar.field, Qt.Key.Key_Escape)
    assert len(titles(window)) == 3


def test_nothing_found_is_said(qtbot, window):
    qtbot.keyClicks(window.sidebar.field, "zzz")
    qtbot.waitUntil(lambda: window.sidebar.model.index(0).data() == "Nothing found")


def test_renaming(qtbot, window, three):
    choose(window, "Lisbon", "Rename")
    editor = window.sidebar.list.findChild(QLineEdit)
    editor.selectAll()
    qtbot.keyClicks(editor, "Portugal")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Portugal", "Bread"])
    window.quit()
    assert [c.title for c in stored(three)] == ["Sky", "Portugal", "Bread"]


def test_pinning_keeps_it_at_the_top(qtbot, window):
    choose(window, "Bread", "Pin")
    qtbot.waitUntil(lambda: titles(window) == ["Bread", "Sky", "Lisbon"])
    assert window.sidebar.model.index(0).data() == "Pinned"
    choose(window, "Bread", "Unpin")
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Lisbon", "Bread"])


@pytest.mark.parametrize("way", ["menu", "key"])
def test_deleting_can_be_undone(qtbot, window, way):
    click(qtbot, window, "Lisbon")
    qtbot.waitUntil(lambda: shown(window) == ["Lisbon", "Three days"])
    if way == "menu":
        window.delete.trigger()
    else:
        qtbot.keyClick(window.sidebar.list, Qt.Key.Key_Delete)
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Bread"])
    assert shown(window) == []
    if way == "menu":
        window.undelete.trigger()
    else:
        qtbot.mouseClick(window.sidebar.undo_bar.button, LEFT)
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Lisbon", "Bread"])
    qtbot.waitUntil(lambda: shown(window) == ["Lisbon", "Three days"])
    assert not window.sidebar.undo_bar.isVisible()


def ask_to_delete_all(qtbot, window, button):
    window.delete_all.trigger()
    box = window.findChild(QMessageBox)
    qtbot.mouseClick(next(each for each in box.buttons() if each.text().replace("&", "") == button), LEFT)


def test_all_chats_are_deleted_when_that_is_meant_and_models_forget_them(qtbot, three, open_window):
    engine = FakeEngine()
    window = open_window(engine, data_dir=three)
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Lisbon", "Bread"])
    contexts = window.storage.contexts
    contexts.folder.mkdir(exist_ok=True)
    kept = contexts.file_of("any")
    kept.write_bytes(b"words")
    ask_to_delete_all(qtbot, window, "Cancel")
    assert titles(window) == ["Sky", "Lisbon", "Bread"]
    assert kept.exists()
    ask_to_delete_all(qtbot, window, "Delete All")
    qtbot.waitUntil(lambda: titles(window) == [])
    qtbot.waitUntil(lambda: not kept.exists())
    qtbot.waitUntil(lambda: "forget" in engine.seen)
    assert not window.delete_all.isEnabled()
    for _ in range(3):
        window.undelete.trigger()
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Lisbon", "Bread"])


def test_what_was_deleted_is_gone_at_the_next_start_but_one(qtbot, window, three, open_window):
    choose(window, "Lisbon", "Delete")
    qtbot.waitUntil(lambda: titles(window) == ["Sky", "Bread"])
    window.quit()
    open_window(data_dir=three).quit()
    assert [c.title for c in stored(three)] == ["Sky", "Bread"]


def test_deleting_an_answering_conversation_stops_it(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["One", gate]]))
    type_and_send(qtbot, window, "Hi")
    qtbot.waitUntil(gate.reached.is_set)
    qtbot.waitUntil(lambda: titles(window) == ["Hi"])
    window.delete.trigger()
    qtbot.waitUntil(lambda: window.host.state is State.READY)
    qtbot.waitUntil(lambda: titles(window) == [])


# ---------------------------------------------------------------------------- files
def answer_dialog(window, path):
    """As the system's own dialog would."""
    dialog = window.findChild(QFileDialog)
    dialog.fileSelected.emit(str(path))
    dialog.close()


@pytest.mark.parametrize("name", ["chat.md", "chat.json"])
def test_a_chat_is_exported(qtbot, window, tmp_path, name):
    choose(window, "Bread", "Export…")
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is not None)
    answer_dialog(window, tmp_path / name)
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name.endswith("md"):
        assert text == "# Bread\n\n**You:** Bread\n\n**Answer:** Mix at eight\n"
    else:
        assert json.loads(text)["conversations"][0]["title"] == "Bread"


def test_all_chats_are_exported_and_imported_elsewhere(qtbot, window, open_window, tmp_path):
    window.export_all.trigger()
    qtbot.waitUntil(lambda: window.findChild(QFileDialog) is not None)
    answer_dialog(window, tmp_path / "all.json")
    other = open_window()
    other.import_chats.trigger()
    answer_dialog(other, tmp_path / "all.json")
    qtbot.waitUntil(lambda: titles(other) == ["Sky", "Lisbon", "Bread"])
    qtbot.waitUntil(lambda: shown(other) == ["Sky", "Blue light"])


def test_an_export_that_cannot_be_written_says_so(qtbot, window, tmp_path):
    window.conversations.transfer._on_where(talk("Hi", "Hello"), str(tmp_path / "nowhere" / "chat.md"))
    box = window.findChild(QMessageBox)
    assert "could not be written" in box.informativeText()
    box.close()


def test_an_import_of_something_else_says_so(qtbot, window, tmp_path):
    (tmp_path / "other.json").write_text("{}")
    window.import_chats.trigger()
    answer_dialog(window, tmp_path / "other.json")
    qtbot.waitUntil(lambda: window.findChild(QMessageBox) is not None)
    assert "other.json was not imported" in window.findChild(QMessageBox).informativeText()
    window.findChild(QMessageBox).close()


# ---------------------------------------------------------------------------- the window
def test_the_sidebar_can_be_hidden(qtbot, window):
    qtbot.keyClick(window, Qt.Key.Key_B, Qt.KeyboardModifier.ControlModifier)
    assert not window.sidebar.isVisible()
    window.search.trigger()
    assert window.sidebar.isVisible()


def test_the_text_grows_and_shrinks(qtbot, window):
    click(qtbot, window, "Lisbon")
    qtbot.waitUntil(lambda: shown(window) == ["Lisbon", "Three days"])
    view = last_answer(window).body.blocks()[0]
    usual = view.fontInfo().pixelSize()
    beside = (
        last_answer(window).receipt,
        window.monitor.sentence,
        window.sidebar.list,
        window.chat.composer.meter.label,
    )
    sizes = [widget.fontInfo().pixelSize() for widget in beside]
    for _ in range(5):
        window.larger.trigger()
    assert view.fontInfo().pixelSize() > usual
    assert view.height() > usual
    assert all(widget.fontInfo().pixelSize() > size for widget, size in zip(beside, sizes, strict=True))
    window.usual_size.trigger()
    assert view.fontInfo().pixelSize() == usual
    for _ in range(20):
        window.smaller.trigger()
    assert window.settings["general.text_size"] == 70
    window.usual_size.trigger()


def test_where_applications_stay_the_last_window_closes_without_quitting(qtbot, open_window):
    window = open_window(stays=True)
    window.close()
    assert not window.isVisible()
    assert window.host.state is State.READY
    window.show()
    ask(qtbot, window, "Hi")
    window.quit_action.trigger()
    assert window.host.state is State.CLOSED


def test_code_has_its_language_and_can_be_copied(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["Look:\n\n```py", "thon\nx = 1  # 👍 one\n", "y = 2\n```\n", "Done."]]))
    ask(qtbot, window, "Show me")
    before, code, after = last_answer(window).body.blocks()
    assert (before.toPlainText(), code.language, code.text, after.toPlainText()) == (
        "Look:",
        "python",
        "x = 1  # 👍 one\ny = 2",
        "Done.",
    )
    qtbot.mouseClick(code.copy_button, LEFT)
    assert QGuiApplication.clipboard().text() == "x = 1  # 👍 one\ny = 2"
    qtbot.waitUntil(lambda: not code._highlighter.busy)
    (*_, comment) = code.view.document().begin().layout().formats()
    assert (comment.start, comment.length) == (7, len("# 👍 one") + 1)  # Qt counts in UTF-16


# ---------------------------------------------------------------------------- edits
def test_an_edit_that_was_not_sent_is_there_again_also_after_a_restart(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    ask(qtbot, window, "Hi")
    first = window.chat.conversation
    window.chat.last_question().edit()
    window.chat.last_question().editor.entry.setPlainText("A careful new wording")
    window.chat.new_chat()
    assert window.chat.transcript.messages() == []
    window.sidebar.opened.emit(first.id, None, "")
    assert window.chat.last_question().editor.entry.toPlainText() == "A careful new wording"
    window.quit()
    window = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: bool(window.chat.transcript.messages()))
    assert window.chat.last_question().editor.entry.toPlainText() == "A careful new wording"
    window.chat.last_question().editor.cancel.click()
    assert window.chat.conversation.edits == {}


def test_an_edit_that_was_sent_is_no_draft_any_more(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "Hi")
    conversation = window.chat.conversation
    window.chat.last_question().edit()
    window.chat.last_question().editor.entry.setPlainText("Hello")
    assert list(conversation.edits.values()) == ["Hello"]
    window.chat.last_question().editor.send.click()
    wait_until_ready(qtbot, window)
    assert conversation.edits == {}


# ---------------------------------------------------------------------------- small things
def test_an_empty_answer_says_so_and_can_be_given_again(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[], ["Now."]]))
    ask(qtbot, window, "Hi")
    answer = last_answer(window)
    assert answer.receipt.text() == "The model ended without an answer."
    assert not answer.regenerate_button._shy
    qtbot.mouseClick(answer.regenerate_button, LEFT)
    wait_until_ready(qtbot, window)
    assert shown(window) == ["Hi", "Now."]


def test_after_continue_the_focus_is_where_one_writes(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["Half", ReadError("The drive is gone.")], [" done."]]))
    ask(qtbot, window, "Hi")
    qtbot.mouseClick(last_answer(window).continue_button, LEFT)
    assert window.chat.composer.entry.hasFocus()
    wait_until_ready(qtbot, window)


def test_what_an_upper_answer_cost_opens_where_it_was_clicked(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["A line.\n\n" * 12] for _ in range(4)]))
    ask(qtbot, window, "One", "Two", "Three", "Four")
    bar = window.chat.transcript.verticalScrollBar()
    qtbot.waitUntil(lambda: 0 < bar.maximum() == bar.value())
    upper, before, most = window.chat.transcript.messages()[5], bar.value(), bar.maximum()
    upper.detail_button.setChecked(True)
    qtbot.waitUntil(lambda: bar.maximum() > most)
    assert bar.value() == before


def test_the_mouse_learns_when_a_message_was_written(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "Hi")
    written = last_answer(window).message.created
    assert QLocale().toString(QDateTime.fromSecsSinceEpoch(round(written)), QLocale.FormatType.ShortFormat) == (
        last_answer(window).toolTip()
    )
    assert _when(1e300) == _when(-5) == ""


# ---------------------------------------------------------------------------- the context
def test_what_is_typed_and_written_counts_at_once(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["Hello " * 20, gate]]))
    meter = window.chat.composer.meter
    qtbot.keyClicks(window.chat.composer.entry, "four words of text")
    assert meter.label.text() == "about 4 of 512 tokens"
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)
    qtbot.waitUntil(gate.reached.is_set)
    qtbot.waitUntil(lambda: meter.label.text() == "about 34 of 512 tokens")
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert meter.label.text() == "5 of 512 tokens"


def test_too_long_is_said_before_it_is_sent(qtbot, open_window):
    window = open_window()
    window.chat.composer.entry.setPlainText("word " * 2000)
    text = window.chat.composer.meter.label.text()
    assert text == "Too long by about 1,988: about 2,500 tokens, and the model has room for 512."
    assert not window.chat.composer.button.isEnabled()
    assert window.chat.composer.button.toolTip() == text
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Return)
    assert not window.chat.conversation.messages
    assert window.chat.composer.entry.toPlainText().startswith("word word")
    window.chat.composer.entry.clear()
    assert window.chat.composer.meter.label.text() == "0 of 512 tokens"


def test_a_changed_question_that_is_too_long_cannot_be_sent_either(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "One")
    question = window.chat.transcript.messages()[0]
    question.edit()
    qtbot.waitUntil(question.editor.isVisible)
    question.editor.entry.setPlainText("word " * 2000)
    assert question.editor.reason.text().startswith("Too long by about 1,988")
    assert question.editor.reason.isVisible()
    assert not question.editor.send.isEnabled()
    qtbot.keyClick(question.editor.entry, Qt.Key.Key_Return)
    assert len(window.chat.conversation.messages) == 2
    question.editor.entry.setPlainText("Two")
    assert question.editor.send.isEnabled()
    assert not question.editor.reason.isVisible()


def test_a_line_says_from_where_on_messages_are_given_to_the_model(qtbot, open_window):
    window = open_window()
    ask(qtbot, window, "One", "Two")
    receipt = window.chat.conversation.path()[-1].receipt
    receipt["left_out"] = 2
    other = window.chat.conversation
    window.chat.new_chat()
    window.chat.show_conversation(other)
    limits = [w.limit is not None and w.limit.isVisible() for w in window.chat.transcript.messages()]
    assert limits == [False, False, True, False]
    assert "no longer given" in window.chat.transcript.messages()[2].limit.label.text()

"""The window as a user meets it, around a stand-in for the engine."""

import json

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication
from PySide6.QtWidgets import QApplication, QLineEdit, QMessageBox, QPlainTextEdit, QTextEdit, QWidget

from app.chat.message import Answer
from app.chat.notice import Notice
from app.chat.welcome import STARTER_EXAMPLES
from app.host.engine_host import State
from app.widgets.colours import colours
from app.widgets.icons import icon
from engine.errors import PreparedModelError, ReadError
from engine.statistics import PromptProgress
from tests.helpers.chatting import last_answer, shown_notice, type_and_send, wait_until_ready
from tests.helpers.dropping import checkpoint_in, drop, drop_data
from tests.helpers.fake_engine import FakeEngine, Gate
from tests.helpers.mlx_models import write_moe


def test_a_typed_question_is_answered(qtbot, open_window):
    engine = FakeEngine(scripts=[["I am", " fine", ", **thanks**."]])
    window = open_window(engine)
    type_and_send(qtbot, window, "How are you?")
    wait_until_ready(qtbot, window)
    question, answer = window.chat.transcript.messages()
    assert question.view.toPlainText() == "How are you?"
    assert answer.body.plain_text() == "I am fine, thanks."
    assert "tok/s" in answer.receipt.text()
    assert window.chat.composer.entry.toPlainText() == ""
    assert engine.asked == [[{"role": "user", "content": "How are you?"}]]
    assert window.chat.composer.meter.label.text() == "7 of 512 tokens"


def test_the_next_question_carries_the_conversation(qtbot, open_window):
    engine = FakeEngine(scripts=[["Hello!"], ["Good."]])
    window = open_window(engine)
    for text in ("Hi", "How is it going?"):
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    assert [message["content"] for message in engine.asked[1]] == ["Hi", "Hello!", "How is it going?"]


def test_the_answer_streams_in(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["First", gate, " second"]]))
    type_and_send(qtbot, window, "Go on")
    qtbot.waitUntil(lambda: last_answer(window).text == "First")
    assert window.host.state is State.ANSWERING
    assert window.chat.composer.button.accessibleName() == "Stop"
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "First second"
    assert window.chat.composer.button.accessibleName() == "Send"


@pytest.mark.parametrize("way", ["escape", "button"])
def test_an_answer_can_be_stopped(qtbot, open_window, way):
    window = open_window(FakeEngine(scripts=[["One", Gate(), " two"]]))
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    if way == "escape":
        qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_Escape)
    else:
        qtbot.mouseClick(window.chat.composer.button, Qt.MouseButton.LeftButton)
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "One"
    assert last_answer(window).receipt.text().endswith("stopped")


def test_new_chat_starts_over(qtbot, open_window):
    engine = FakeEngine()
    window = open_window(engine)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert not window.chat.welcome.isVisible()
    qtbot.keyClick(window.chat.composer.entry, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert window.chat.transcript.messages() == []
    assert window.chat.welcome.isVisible()
    type_and_send(qtbot, window, "Hello again")
    wait_until_ready(qtbot, window)
    assert engine.asked[-1] == [{"role": "user", "content": "Hello again"}]


def test_an_answer_goes_on_while_another_conversation_is_shown(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[["One", gate, " two"], ["Fresh"]]))
    first = window.chat.conversation
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    window.new_chat.trigger()
    assert window.chat.transcript.messages() == []
    assert window.chat.conversation.messages == {}
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert first.path()[-1].text == "One two"
    assert window.chat.transcript.messages() == []
    type_and_send(qtbot, window, "Again")
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Fresh"
    window.sidebar.open_number(1)
    qtbot.waitUntil(lambda: window.chat.conversation is first)
    assert last_answer(window).text == "One two"


def test_an_error_keeps_the_partial_answer_and_the_window_goes_on(qtbot, open_window):
    engine = FakeEngine(scripts=[["Half an", ReadError("bundles.safetensors ended early.")], ["Better."]])
    window = open_window(engine)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Half an"
    notice = shown_notice(qtbot, last_answer(window))
    assert notice.message.text() == "bundles.safetensors ended early."
    assert not notice.unfold.isVisible()
    type_and_send(qtbot, window, "Once more")
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Better."


def test_a_question_without_an_answer_is_not_asked_again(qtbot, open_window):
    engine = FakeEngine(scripts=[[ReadError("No.")], ["Yes."]])
    window = open_window(engine)
    for text in ("First", "Second"):
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    assert engine.asked[1] == [{"role": "user", "content": "Second"}]


def test_a_bug_shows_its_details_on_demand(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[[ZeroDivisionError("a bug")]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    notice = shown_notice(qtbot, last_answer(window))
    assert "went wrong inside Flashbulb" in notice.message.text()
    assert not notice.details.isVisible()
    qtbot.mouseClick(notice.unfold, Qt.MouseButton.LeftButton)
    assert notice.details.isVisible()
    assert "ZeroDivisionError: a bug" in notice.details.toPlainText()


def test_a_model_that_fails_to_load_can_be_loaded_again(qtbot, open_window):
    engine = FakeEngine(loads=[PreparedModelError("manifest.json is missing."), None])
    window = open_window(engine)
    assert window.host.state is State.FAILED
    assert window.subtitle.text() == "no model is loaded"
    notice = shown_notice(qtbot, window.chat)
    assert notice.message.text() == "manifest.json is missing."
    qtbot.mouseClick(notice.action, Qt.MouseButton.LeftButton)
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: window.chat.findChild(Notice) is None)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Hello there."


def test_what_is_typed_while_the_model_loads_is_kept(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(loads=[gate]), wait=False)
    type_and_send(qtbot, window, "Too early")
    composer = window.chat.composer
    assert composer.entry.toPlainText() == "Too early"
    assert not composer.button.isEnabled()
    assert composer.button.toolTip() == "The model is loading"
    gate.opened.set()
    wait_until_ready(qtbot, window)
    qtbot.mouseClick(composer.button, Qt.MouseButton.LeftButton)
    wait_until_ready(qtbot, window)
    assert last_answer(window).text == "Hello there."


def test_closing_in_the_middle_of_an_answer(qtbot, open_window):
    gate = Gate()
    engine = FakeEngine(scripts=[["One", gate, " two"]])
    window = open_window(engine)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(gate.reached.is_set)
    window.close()
    assert window.host.state is State.CLOSED
    assert engine.seen == ["load starter", "generate", "close", "release"]
    assert len(engine.threads) == 1
    assert window.chat.conversation.path()[-1].finish == "interrupted"


def test_closing_after_loading_failed(open_window):
    engine = FakeEngine(loads=[RuntimeError("no")])
    open_window(engine).close()
    assert engine.seen == ["load starter", "release"]


def test_the_title_says_what_is_loaded(open_window):
    window = open_window()
    assert window.title.text() == "Starter"
    assert window.subtitle.text() == "24.0\u00a0MB model, 14.1\u00a0MB of it on flash"
    assert window.windowTitle() == "Starter – Flashbulb"


def test_a_long_prompt_says_how_far_it_is_where_the_answer_will_be(qtbot, open_window):
    gate = Gate()
    window = open_window(FakeEngine(scripts=[[PromptProgress(1200, 4000, 75.4), gate, "Hello"]]))
    type_and_send(qtbot, window, "A long story")
    (answer,) = (widget for widget in window.chat.transcript.messages() if isinstance(widget, Answer))
    qtbot.waitUntil(lambda: "1,200 of 4,000 tokens" in answer.receipt.text())
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert "4,000" not in answer.receipt.text()


def test_the_title_follows_what_a_system_short_of_memory_took(qtbot, open_window):
    gate = Gate()
    engine = FakeEngine(scripts=[["One", gate, " two"]])
    window = open_window(engine)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(gate.reached.is_set)
    engine.model.give_back()
    gate.opened.set()
    wait_until_ready(qtbot, window)
    assert window.subtitle.text() == "24.0\u00a0MB model, 16.5\u00a0MB of it on flash"
    window.reload.trigger()
    wait_until_ready(qtbot, window)
    assert window.subtitle.text() == "24.0\u00a0MB model, 14.1\u00a0MB of it on flash"


def places(window):
    return window, window.chat.transcript.viewport(), window.chat.composer.entry.viewport(), window.sidebar


@pytest.mark.parametrize("place", range(4))
def test_a_prepared_model_is_dropped_anywhere_on_the_window(qtbot, open_window, tmp_path, place):
    (tmp_path / "manifest.json").write_text("{}")
    engine = FakeEngine()
    window = open_window(engine)
    assert drop(places(window)[place], tmp_path)
    qtbot.waitUntil(lambda: engine.seen[-1] == f"load {tmp_path}")
    wait_until_ready(qtbot, window)
    assert window.chat.composer.entry.toPlainText() == ""


def test_a_folder_that_is_dropped_on_a_field_is_for_the_window(qtbot, open_window, tmp_path, monkeypatch):
    """All that takes drops, whether it is shown or not; nothing is written into it."""
    window = open_window()
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    window.sidebar.rename(window.sidebar.model.heads()[0].id)
    window.chat.transcript.messages()[0].edit_button.click()
    opened = []
    monkeypatch.setattr(window, "open_file", opened.append)
    places = [w for w in window.findChildren(QWidget) if w.acceptDrops() and w.window() is window]
    fields = [w for w in window.findChildren(QWidget) if isinstance(w, QLineEdit | QTextEdit | QPlainTextEdit)]
    before = [words(field) for field in fields]
    named = {field.accessibleName() for field in fields}
    assert {"Search chats", "Title", "Find in this chat", "System prompt", "Message"} <= named
    for place in places:
        assert drop(place, tmp_path), place
    assert opened == [str(tmp_path)] * len(places)
    assert [words(field) for field in fields] == before


def words(field):
    return field.text() if isinstance(field, QLineEdit) else field.toPlainText()


def test_text_is_dropped_into_a_field(open_window):
    window = open_window()
    data = QMimeData()
    data.setText("some words")
    assert drop_data(window.sidebar.field, data)
    assert window.sidebar.field.text() == "some words"


def test_a_model_that_is_dropped_in_the_middle_of_an_answer_stops_it_first(qtbot, open_window, tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    engine = FakeEngine(scripts=[["One", Gate(), " two"]])
    window = open_window(engine)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    assert drop(window, tmp_path)
    qtbot.waitUntil(lambda: engine.seen[-1] == f"load {tmp_path}")
    wait_until_ready(qtbot, window)
    assert last_answer(window).receipt.text().endswith("stopped")


def test_a_checkpoint_that_is_dropped_is_offered_to_be_prepared(qtbot, open_window, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    engine = FakeEngine()
    window = open_window(engine)
    assert drop(window, checkpoint_in(tmp_path / "mine"))
    qtbot.waitUntil(lambda: window.library is not None, timeout=60_000)
    box = window.library.findChild(QMessageBox)
    assert box.text() == "Prepare mine?"
    box.close()
    assert engine.seen == ["load starter"]


def test_a_folder_in_mlx_form_is_chatted_with_in_one_step(qtbot, open_window, tmp_path):
    engine = FakeEngine()
    window = open_window(engine)
    folder = write_moe(tmp_path / "moe")
    assert drop(window, folder)
    qtbot.waitUntil(lambda: f"load {folder}" in engine.seen, timeout=60_000)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("picture.png", "picture.png is a picture, and the models here read text only."),
        ("qwen.ggml", "qwen.ggml is a GGML file, which Flashbulb cannot read."),
        ("QWEN.ONNX", "QWEN.ONNX is a ONNX file, which Flashbulb cannot read."),
        ("notes.txt", "notes.txt is empty."),
        ("model.safetensors", "model.safetensors is one file of a model. Drop its whole folder"),
    ],
)
def test_what_is_not_a_model_is_refused_with_words(qtbot, open_window, tmp_path, name, words):
    engine = FakeEngine()
    window = open_window(engine)
    file = tmp_path / name
    file.write_bytes(b"")
    assert drop(window, file)
    qtbot.waitUntil(lambda: words in window.message.text)
    assert engine.seen == ["load starter"]
    assert window.message.action.isHidden() is not name.startswith(("qwen", "QWEN"))
    window.message.close_button.click()
    assert window.message.text == ""


def test_a_checkpoint_that_cannot_run_is_refused_before_anybody_is_asked(qtbot, open_window, tmp_path):
    folder = checkpoint_in(tmp_path / "SmolLM2")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama", "hidden_act": "silu"}))
    window = open_window()
    assert drop(window, folder)
    qtbot.waitUntil(lambda: window.message.text.startswith("SmolLM2 cannot run here."), timeout=60_000)
    assert "silu" in window.message.text.casefold()
    assert window.message.action.text() == "Models That Can…"
    assert window.library is None
    assert window.findChild(QMessageBox) is None


def test_the_window_shows_that_it_takes_what_is_held_above_it(open_window, tmp_path):
    window = open_window()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(tmp_path))])
    rest = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    for leaving in (QDragLeaveEvent(), QDropEvent(QPointF(5, 5), *rest)):
        QApplication.sendEvent(window, QDragEnterEvent(QPoint(5, 5), *rest))
        assert window.drop_veil.isVisible()
        assert window.drop_veil.size() == window.size()
        QApplication.sendEvent(window, leaving)
        assert not window.drop_veil.isVisible()


def test_a_model_that_is_chosen_in_the_middle_of_an_answer_stops_it_first(qtbot, open_window, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path))
    engine = FakeEngine(scripts=[["One", Gate(), " two"]])
    window = open_window(engine)
    window.models.trigger()
    qtbot.waitUntil(lambda: window.library.row("starter") is not None, timeout=60_000)
    type_and_send(qtbot, window, "Count")
    qtbot.waitUntil(lambda: last_answer(window).text == "One")
    window.library.chat_asked.emit("starter")
    qtbot.waitUntil(lambda: engine.seen == ["load starter", "generate", "close", "load starter"])
    wait_until_ready(qtbot, window)
    assert last_answer(window).receipt.text().endswith("stopped")
    assert window.host.model is not None


def test_an_example_is_a_question(qtbot, open_window):
    engine = FakeEngine()
    window = open_window(engine)
    qtbot.mouseClick(window.chat.welcome.examples[0], Qt.MouseButton.LeftButton)
    wait_until_ready(qtbot, window)
    assert engine.asked == [[{"role": "user", "content": STARTER_EXAMPLES[0]}]]


def test_the_panel_can_be_hidden(qtbot, open_window):
    window = open_window()
    qtbot.mouseClick(window.header.panel_button, Qt.MouseButton.LeftButton)
    assert not window.monitor.isVisible()
    assert window.header.panel_button.accessibleName() == "Show the live panel"
    qtbot.mouseClick(window.header.panel_button, Qt.MouseButton.LeftButton)
    assert window.monitor.isVisible()


def test_the_panel_s_values_can_be_copied(qtbot, open_window):
    window = open_window(FakeEngine(scripts=[["One", " two", " three"]]))
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    window.monitor.copy_values()
    lines = QGuiApplication.clipboard().text().replace("\u00a0", " ").splitlines()
    assert [line.split(":")[0] for line in lines] == ["Memory", "Flash", "Time per token", "Neurons"]
    assert "312 MB" in lines[0]


def test_the_window_remembers_its_place(open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    window.resize(700, 500)  # fits the offscreen platform's screen
    window.panel.trigger()
    window.close()
    again = open_window(data_dir=tmp_path)
    assert again.size() == window.size()
    assert not again.monitor.isVisible()


def test_side_panes_give_way_in_a_narrow_window_and_come_back(qtbot, open_window):
    window = open_window()
    for width, sidebar, panel in ((1000, True, True), (800, False, True), (660, False, False), (1000, True, True)):
        window.resize(width, 500)
        assert (window.sidebar.isVisible(), window.monitor.isVisible()) == (sidebar, panel)
        assert (window.show_sidebar.isChecked(), window.panel.isChecked()) == (sidebar, panel)
        assert window.chat.width() >= window.chat.minimumSizeHint().width()


def test_side_panes_give_way_to_larger_text_and_come_back_with_smaller(qtbot, open_window):
    window = open_window()
    window.resize(1000, 500)
    window.settings["general.text_size"] = 220
    qtbot.waitUntil(lambda: not window.sidebar.isVisible() and window.chat.width() >= 400)
    window.resize(660, 500)
    window.settings["general.text_size"] = 100
    window.resize(1000, 500)
    assert (window.sidebar.isVisible(), window.monitor.isVisible()) == (True, True)


def test_the_question_that_is_changed_is_in_view_however_long_its_answer_is(qtbot, open_window):
    window = open_window(FakeEngine([["\n\n".join(map(str, range(200)))]]))
    window.chat.send("How far?")
    qtbot.waitUntil(lambda: window.host.state is State.READY)
    window.edit_question.trigger()
    entry = window.chat.transcript.messages()[0].editor.entry
    qtbot.waitUntil(lambda: entry.visibleRegion().boundingRect().height() == entry.height())


def test_in_a_narrow_window_the_pane_that_is_opened_stays_and_the_other_gives_way(qtbot, open_window):
    window = open_window()
    window.resize(640, 500)
    left = Qt.MouseButton.LeftButton
    qtbot.mouseClick(window.header.panel_button, left)
    assert window.monitor.isVisible()
    qtbot.mouseClick(window.header.sidebar_button, left)
    assert (window.sidebar.isVisible(), window.monitor.isVisible()) == (True, False)
    window.resize(650, 500)
    assert window.sidebar.isVisible()
    qtbot.mouseClick(window.header.sidebar_button, left)
    assert (window.sidebar.isVisible(), window.monitor.isVisible()) == (False, False)
    window.resize(1000, 500)
    assert (window.sidebar.isVisible(), window.monitor.isVisible()) == (False, True)


def test_a_pane_that_had_no_room_is_there_again_in_a_wide_window(open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    window.resize(640, 500)
    window.close()
    again = open_window(data_dir=tmp_path)
    assert not again.sidebar.isVisible()
    again.resize(1000, 500)
    assert again.sidebar.isVisible()
    assert again.monitor.isVisible()


def test_the_clipboard_gets_the_answer_and_the_chat(qtbot, open_window):
    window = open_window()
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    window.copy_answer.trigger()
    assert QGuiApplication.clipboard().text() == "Hello there."
    window.copy_chat.trigger()
    assert QGuiApplication.clipboard().text() == "**You:** Hi\n\n**Answer:** Hello there."
    QGuiApplication.clipboard().clear()
    qtbot.waitUntil(last_answer(window).copy_button.isVisible)
    qtbot.mouseClick(last_answer(window).copy_button, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "Hello there."
    window.new_chat.trigger()  # and with the answer goes the timer of its button


def test_the_edit_menu_works_on_what_has_the_focus(qtbot, open_window):
    window = open_window()
    entry = window.chat.composer.entry
    qtbot.keyClicks(entry, "some words")
    actions = {action.text().replace("&", ""): action for menu in window.menus() for action in menu.actions()}
    actions["Select All"].trigger()
    actions["Cut"].trigger()
    assert entry.toPlainText() == ""
    actions["Paste"].trigger()
    assert entry.toPlainText() == "some words"


@pytest.mark.parametrize("name", ["shortcuts", "about"])
def test_help_opens_without_blocking(open_window, name):
    window = open_window()
    getattr(window, name).trigger()
    dialog = QApplication.activeModalWidget()
    assert dialog.isVisible()
    dialog.close()


def test_shortcuts_are_listed_once_each(open_window):
    window = open_window()
    shortcuts = [
        a.shortcut().toString() for menu in window.menus() for a in menu.actions() if not a.shortcut().isEmpty()
    ]
    assert len(shortcuts) == len(set(shortcuts))


def test_every_button_has_a_name(qtbot, open_window):
    from PySide6.QtWidgets import QAbstractButton

    window = open_window()
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    ours = [button for button in window.findChildren(QAbstractButton) if button.isVisible()]
    assert all(button.accessibleName() or button.text() for button in ours)


@pytest.mark.parametrize("scheme", [Qt.ColorScheme.Light, Qt.ColorScheme.Dark])
def test_both_appearances(qtbot, open_window, set_scheme, scheme):
    window = open_window(FakeEngine(scripts=[["Some\n\n```\ncode\n```\n", "* and more"]]))
    set_scheme(scheme)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    image = window.grab().toImage()
    ground = image.pixelColor(window.chat.mapTo(window, QPoint(4, 4)))
    assert (ground.lightness() < 128) is (scheme == Qt.ColorScheme.Dark)
    pixels = {image.pixel(x, y) for x in range(0, image.width(), 3) for y in range(0, image.height(), 3)}
    assert len(pixels) > 20


OF_A_CHAT = ("answer_again", "edit_question", "copy_answer", "copy_chat", "export_chat", "rename", "pin", "delete")


def test_nothing_can_be_chosen_that_would_do_nothing(qtbot, open_window, tmp_path):
    window = open_window(FakeEngine(scripts=[["Fine."]]), data_dir=tmp_path)
    actions = [getattr(window, name) for name in OF_A_CHAT]
    assert not any(action.isEnabled() for action in (*actions, window.export_all))
    type_and_send(qtbot, window, "Hello")
    wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: all(action.isEnabled() for action in (*actions, window.export_all)))
    window.new_chat.trigger()
    assert not any(action.isEnabled() for action in actions)
    assert window.export_all.isEnabled()
    window.chat.composer.entry.setPlainText("a draft")
    qtbot.waitUntil(window.delete.isEnabled)
    assert not window.copy_answer.isEnabled()


def test_the_icons_of_the_header_have_the_colours_of_the_present_appearance(qtbot, open_window, set_scheme):
    """Not those of the one before, whenever it changes."""
    window = open_window()
    for scheme in (Qt.ColorScheme.Dark, Qt.ColorScheme.Light, Qt.ColorScheme.Dark):
        set_scheme(scheme)
        quiet = colours(window.header.palette()).quiet
        for name, button in (("models", window.header.models_button), ("new chat", window.header.new_chat_button)):
            assert button.icon().cacheKey() == icon(name, quiet).cacheKey()

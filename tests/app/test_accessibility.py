"""The windows as a screen reader and as the keyboard see them."""

import pytest
from PySide6.QtCore import QPoint, QRect, Qt
from PySide6.QtGui import QAccessible, QImage
from PySide6.QtWidgets import QApplication, QComboBox, QWidget

from app.widgets import colours as module
from app.widgets.colours import colours
from tests.helpers.chatting import last_answer, type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine

PATIENCE = 60_000  # the engine's parts are imported first
Role = QAccessible.Role
CONTROLS = {
    Role.Button, Role.CheckBox, Role.RadioButton, Role.EditableText, Role.ComboBox, Role.SpinBox, Role.Slider,
    Role.List, Role.ListItem, Role.ProgressBar, Role.PageTab, Role.MenuItem, Role.Link, Role.Graphic, Role.Window,
}  # fmt: skip
ANSWER = ["Some *words*:\n\n```python\nx = 1\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[A link](https://example.org)."]
CONTRAST = 4.5  # of WCAG 2.2, level AA, for text


def elements(interface, depth=0):
    """Everything that is shown, from the top."""
    assert depth < 40
    if interface is None or not interface.isValid():
        return
    menu = interface.role() in (Role.MenuItem, Role.PopupMenu)  # closed menus count: they can be opened
    if interface.state().invisible and not menu:
        return
    yield interface
    for index in range(interface.childCount()):
        yield from elements(interface.child(index), depth + 1)


def name_of(interface):
    widget = interface.object()
    if isinstance(widget, QComboBox):  # on Linux its name is what is chosen
        return widget.accessibleName()
    return interface.text(QAccessible.Text.Name)


def nameless(window):
    found = elements(QAccessible.queryAccessibleInterface(window))
    return [
        f"{e.role().name} {e.object()}"
        for e in found
        if (e.role() in CONTROLS or e.state().focusable) and not name_of(e).strip()
    ]


@pytest.fixture(autouse=True)
def nothing_kept():
    """The system's wishes are forgotten with the test that says them."""
    yield
    module.forget()


@pytest.fixture
def window(qtbot, open_window, tmp_path, monkeypatch):
    """A window with as much in it as there can be: a chat, the find bar, parameters, a receipt, the guide's place."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    window = open_window(FakeEngine(scripts=[list(ANSWER), ["More", OSError("no")]]))
    for text in ("Hi", "And?"):
        type_and_send(qtbot, window, text)
        wait_until_ready(qtbot, window)
    qtbot.waitUntil(lambda: bool(window.sidebar.model.heads()))
    window.chat.composer.parameters_button.click()
    window.find_in_chat.trigger()
    window.chat.find_bar.field.setText("words")
    window.sidebar.field.setText("h")
    return window


def test_the_main_window_names_everything(window):
    assert nameless(window) == []


def test_every_message_is_an_element_with_its_text(window):
    found = list(elements(QAccessible.queryAccessibleInterface(window.chat.transcript)))
    assert [name_of(e) for e in found if type(e.object()).__name__ in ("Question", "Answer")] == [
        "Your message", "Answer", "Your message", "Answer",
    ]  # fmt: skip
    texts = [e.text(QAccessible.Text.Value) for e in found if type(e.object()).__name__ in ("TextView", "MarkdownView")]
    assert texts[0] == "Hi"
    assert "Some words:" in texts[1]


def test_the_empty_window_and_its_guide_name_everything(qtbot, open_window):
    window = open_window()
    window.guide.trigger()
    qtbot.waitUntil(lambda: "memory" in window.chat.welcome.guide.facts.text(), timeout=PATIENCE)
    assert nameless(window) == []


def test_an_open_editor_and_receipt_are_named(qtbot, window):
    window.edit_question.trigger()
    window.chat.transcript.messages()[1].detail_button.click()
    last_answer(window).notice.show()
    assert nameless(window) == []


@pytest.mark.parametrize("pane", ["general", "models", "memory", "chat"])
def test_the_settings_name_everything(qtbot, window, pane):
    window.show_settings.trigger()
    window.settings_window.open_pane(pane)
    qtbot.waitUntil(lambda: window.settings_window.isVisible())
    assert nameless(window.settings_window) == []


def test_the_library_names_everything(qtbot, window):
    window.models.trigger()
    qtbot.waitUntil(lambda: len(window.library.rows) > 3, timeout=PATIENCE)
    window.library.field.setText("o")
    qtbot.waitUntil(lambda: window.library.rows[0].isVisible())
    assert nameless(window.library) == []


def test_dialogs_name_everything(window):
    for action in (window.shortcuts, window.about):
        action.trigger()
        dialog = QApplication.activeModalWidget()
        assert nameless(dialog) == []
        dialog.close()


# ---------------------------------------------------------------------------- the keyboard
def stops(qtbot, window):
    """The stops of Tab from the message field, once round; each has the focus when it is handed over."""
    start = window.chat.composer.entry
    start.setFocus()
    yield start
    for _ in range(200):
        qtbot.keyClick(QApplication.focusWidget(), Qt.Key.Key_Tab)
        if QApplication.focusWidget() is start:
            return
        yield QApplication.focusWidget()
    raise AssertionError("Tab does not lead back")


def wanted_stops(window):
    """The widgets that a key can do something with."""
    tab = Qt.FocusPolicy.TabFocus
    return {
        w
        for w in window.findChildren(QWidget)
        if w.isVisible() and w.isEnabled() and w.focusPolicy() & tab == tab and w.focusProxy() is None
    }


def test_tab_reaches_everything(qtbot, window):
    before = wanted_stops(window)
    missing = (before - set(stops(qtbot, window))) & wanted_stops(window)  # some come and go as the view scrolls
    assert not [f"{w} {w.accessibleName()}" for w in missing]


def test_the_focus_can_be_seen_wherever_it_is(qtbot, window):
    bars = [area.verticalScrollBar() for area in (window.chat.transcript, window.monitor, window.sidebar.list)]
    seen = [(stop, [bar.value() for bar in bars], picture(window, stop)) for stop in stops(qtbot, window)]
    QApplication.focusWidget().clearFocus()
    hidden = set()
    for stop, values, with_focus in seen:
        for bar, value in zip(bars, values, strict=True):
            bar.setValue(value)
        if with_focus == picture(window, stop):
            hidden.add(f"{type(stop).__name__} {stop.accessibleName()}")
    assert not hidden


def picture(window, widget) -> QImage:
    """A widget and a few pixels around it."""
    QApplication.processEvents()
    place = QRect(widget.mapTo(window, QPoint()), widget.size()).adjusted(-6, -6, 6, 6)
    return window.grab(place.intersected(window.rect())).toImage()


# ---------------------------------------------------------------------------- contrast
def luminance(colour):
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(first, second):
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [Qt.ColorScheme.Light, Qt.ColorScheme.Dark])
@pytest.mark.parametrize("wanted", [False, True])
def test_texts_stand_out_from_their_grounds(qapp, set_scheme, monkeypatch, scheme, wanted):
    monkeypatch.setattr(module, "wants_contrast", lambda: wanted)
    set_scheme(scheme)
    module.forget()
    shades = colours(qapp.palette())
    least = 7 if wanted else CONTRAST
    for name in ("text", "quiet"):
        for ground in (shades.base, shades.card, qapp.palette().window().color()):
            assert contrast(getattr(shades, name), ground) >= least, name
    for name in ("error", "code_comment", "code_keyword", "code_string", "code_number", "code_name"):
        assert contrast(getattr(shades, name), shades.card) >= CONTRAST, name
    for ground in (shades.found, shades.bubble):
        assert contrast(shades.text, ground) >= CONTRAST
    if wanted:
        assert contrast(shades.hairline, shades.base) >= 3  # of level AA, for the edges of controls


def test_a_wish_for_contrast_is_followed_at_once(qtbot, open_window, monkeypatch):
    window = open_window()
    before = window.subtitle.palette().windowText().color()
    monkeypatch.setattr(module, "wants_contrast", lambda: True)
    window.follow_contrast()
    assert window.subtitle.palette().windowText().color() != before


def test_the_tab_key_comes_to_a_message_s_text_before_its_buttons(window):
    for message in window.chat.transcript.messages():
        stops, widget = [], message.nextInFocusChain()
        while widget is not message:
            if widget in (*message.views(), *message.buttons()):
                stops.append(widget)
            widget = widget.nextInFocusChain()
        assert stops == [*message.views(), *message.buttons()]

from PySide6.QtCore import Qt
from PySide6.QtGui import QTextDocument

from app.chat.welcome import STARTER_EXAMPLES, Welcome
from app.host.engine_host import State
from app.widgets.colours import colours
from engine.errors import PreparedModelError
from tests.helpers.fake_engine import FakeEngine


def test_it_names_the_model_that_is_loaded_now(open_window):
    window = open_window(model="starter")
    welcome = window.chat.welcome
    assert welcome.title.text() == "Starter"
    assert "small talk" in welcome.about.text()
    assert [button.text() for button in welcome.examples] == list(STARTER_EXAMPLES)


def test_another_model_is_asked_other_things(qtbot):
    welcome = Welcome()
    qtbot.addWidget(welcome)
    welcome.describe("Starter", "starter")
    welcome.describe("OPT 6.7B", "/models/opt")
    assert welcome.title.text() == "OPT 6.7B"
    assert "small talk" not in welcome.about.text()
    assert not set(STARTER_EXAMPLES) & {button.text() for button in welcome.examples}
    welcome.examples[0].click()
    with qtbot.waitSignal(welcome.chosen) as chosen:
        welcome.examples[0].click()
    assert chosen.args == [welcome.examples[0].text()]


def test_what_the_starter_is_is_said_with_a_link_in_the_accent_s_colour(open_window, set_scheme):
    line = open_window(model="starter").model_commands.starter_line
    for scheme in (Qt.ColorScheme.Light, Qt.ColorScheme.Dark):
        set_scheme(scheme)
        assert f"color: {colours(line.palette()).accent.name()}" in line.text()
        page = QTextDocument()
        page.setHtml(line.text())
        assert page.toPlainText() == line.accessibleName()


def test_without_a_model_there_is_nothing_to_ask(qtbot, open_window):
    window = open_window(FakeEngine(loads=[None, PreparedModelError("It is gone."), None]), model="starter")
    welcome, line = window.chat.welcome, window.model_commands.starter_line
    assert line.isVisible()
    window.load("starter")
    qtbot.waitUntil(lambda: window.host.state is State.FAILED)
    assert welcome.title.text() == "No model is loaded"
    assert not line.isVisible()
    assert not any(button.isVisible() for button in welcome.examples)
    window.load("starter")
    qtbot.waitUntil(lambda: window.host.state is State.READY)
    assert welcome.title.text() == "Starter"
    assert line.isVisible()
    assert all(button.isVisible() for button in welcome.examples)

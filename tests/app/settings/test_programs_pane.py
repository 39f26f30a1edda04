"""The pane for other programs, pressed as a person presses it."""

import json
import socket
from http.client import HTTPConnection

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QCheckBox, QPushButton, QSpinBox

from app.settings.programs_pane import ProgramsPane

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def main(open_window, tmp_path):
    return open_window(data_dir=tmp_path)


@pytest.fixture
def pane(qtbot, main):
    main.show_settings.trigger()
    window = main.settings_window
    window.open_pane("programs")
    found = window.findChild(ProgramsPane)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found.findChild(QSpinBox).setValue(port)
    return found


def press(qtbot, pane, kind, words):
    button = next(each for each in pane.findChildren(kind) if words in (each.text(), each.accessibleName()))
    qtbot.mouseClick(button, LEFT, pos=QPoint(10, button.height() // 2))


def test_nothing_is_served_until_the_switch_is_pressed(qtbot, main, pane):
    assert main.host.serving.address == ""
    assert pane.connected.text() == "Off"
    press(qtbot, pane, QCheckBox, "Let other programs on this computer use Flashbulb")
    qtbot.waitUntil(lambda: bool(pane.address.text()), timeout=60_000)
    assert pane.address.text() == f"http://127.0.0.1:{pane.port.value()}/v1"
    assert pane.connected.text() == "No program is connected."
    press(qtbot, pane, QPushButton, "Copy the address")
    assert QApplication.clipboard().text() == pane.address.text()
    press(qtbot, pane, QCheckBox, "Let other programs on this computer use Flashbulb")
    qtbot.waitUntil(lambda: pane.connected.text() == "Off", timeout=60_000)
    assert pane.address.text() == ""


def test_the_key_is_there_to_be_copied_once_it_is_needed(qtbot, pane, monkeypatch):
    monkeypatch.setenv("FLASHBULB_SERVER_KEY", "a key of mine")
    press(qtbot, pane, QCheckBox, "Let other programs on this computer use Flashbulb")
    assert not pane.copy_key.isEnabled()
    press(qtbot, pane, QCheckBox, "Programs must give a key")
    qtbot.waitUntil(pane.copy_key.isEnabled, timeout=60_000)
    press(qtbot, pane, QPushButton, "Copy Key")
    assert QApplication.clipboard().text() == "a key of mine"
    assert "mine" not in pane.address.text() + pane.connected.text()


def test_a_port_that_another_program_has_is_said_until_another_is_chosen(qtbot, pane):
    free = pane.port.value()
    assert pane.problem.isHidden()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        pane.port.setValue(taken)
        press(qtbot, pane, QCheckBox, "Let other programs on this computer use Flashbulb")
        qtbot.waitUntil(lambda: not pane.problem.isHidden(), timeout=60_000)
    assert pane.problem.text() == f"Another program has port {taken}: choose another port."
    assert (pane.address.text(), pane.connected.text()) == ("", "Off")
    pane.port.setValue(free)
    qtbot.waitUntil(lambda: bool(pane.address.text()), timeout=60_000)
    assert pane.problem.isHidden()


def ask(pane, words):
    """A chat of a program; the engine of the window says what came of it."""
    connection = HTTPConnection("127.0.0.1", pane.port.value(), timeout=30)
    body = json.dumps({"model": "starter", "messages": [{"role": "user", "content": words}]})
    headers = {"content-type": "application/json", "user-agent": "editor/1.0"}
    connection.request("POST", "/v1/chat/completions", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_what_programs_ask_is_shown_only_while_that_switch_is_on(qtbot, main, pane, tmp_path):
    switch = "Show here what programs ask for"
    assert not pane.overheard.isChecked()
    assert pane.requests.isHidden()
    press(qtbot, pane, QCheckBox, "Let other programs on this computer use Flashbulb")
    qtbot.waitUntil(lambda: bool(pane.address.text()), timeout=60_000)
    assert ask(pane, "a word before") == 200
    press(qtbot, pane, QCheckBox, switch)
    assert not pane.requests.isHidden()
    assert pane.requests.count() == 0
    assert ask(pane, "a quiet <b>secret</b>") == 200
    qtbot.waitUntil(lambda: pane.requests.count() == 1)
    line = pane.requests.item(0).text()
    assert line.startswith("editor · ")
    assert line.endswith("a quiet <b>secret</b>")
    assert " tokens, " in line
    press(qtbot, pane, QCheckBox, switch)
    assert pane.requests.isHidden()
    assert pane.requests.count() == 0
    assert main.host.serving.overhearing.heard == []
    main.settings.write()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"quiet" in path.read_bytes()]

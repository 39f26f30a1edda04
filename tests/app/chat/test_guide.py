"""The first start's words about the machine."""

import sys
from dataclasses import replace
from functools import partial

import pytest
from PySide6.QtCore import Qt

from app.chat import guide
from app.chat.guide import Capability
from app.commands import models as commands
from app.library.jobs import Jobs
from app.library.rows import Row
from app.library.survey import survey
from app.library.verdict import Kind, Verdict
from app.library.window import LibraryWindow
from tests.helpers.chatting import type_and_send, wait_until_ready
from tests.helpers.fake_engine import FakeEngine

PATIENCE = 60_000  # the engine's parts are imported first
GB = 1_000_000_000
FOUND = Capability(
    16 * GB,
    212 * GB,
    None,
    {Kind.IN_MEMORY: ["Starter"], Kind.STREAMS: list("abcdefg"), Kind.TOO_LARGE: [], Kind.UNSUPPORTED: ["x"]},
)
BEST = Row("owner/Best-30B", "Best-30B", size=17 * GB, verdict=Verdict(Kind.STREAMS, 4 * GB, 8 * GB, 11.4))
DOWNLOADS = "import json, sys; print(json.dumps({'stage': 'done', 'folder': f'/models/{sys.argv[1]}'}))"


@pytest.fixture
def machine(monkeypatch):
    """Not the one that the tests run on."""
    monkeypatch.setattr(guide, "look", lambda: FOUND)


def card(window):
    return window.chat.welcome.guide


def wait_for_facts(qtbot, window):
    qtbot.waitUntil(lambda: "memory" in card(window).facts.text(), timeout=PATIENCE)


@pytest.mark.usefixtures("machine")
def test_the_first_start_says_what_this_computer_can_run(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    assert card(window).isVisible()
    wait_for_facts(qtbot, window)
    facts = card(window).facts.text().replace("\u00a0", " ")
    assert facts == "16.0 GB of memory · 212 GB free for models · drive not measured yet"
    texts = [label.text() for label in card(window).lists.values()]
    assert texts == ["Starter", "a, b, c, d, e and 2 more", "none"]


@pytest.mark.parametrize(("drive", "words"), [(3e9, "a second"), (None, "a second on a usual drive")])
def test_the_best_model_for_this_computer_is_one_click_away(qtbot, open_window, tmp_path, monkeypatch, drive, words):
    monkeypatch.setattr(guide, "look", lambda: replace(FOUND, best=BEST, drive=drive))
    jobs = Jobs((sys.executable, "-S", "-c", DOWNLOADS))
    monkeypatch.setattr(commands, "LibraryWindow", partial(LibraryWindow, jobs=jobs))
    engine = FakeEngine()
    window = open_window(engine, data_dir=tmp_path)
    qtbot.waitUntil(card(window).get_button.isVisible)
    text = card(window).best.text().replace("\u00a0", " ")
    assert text == f"Best for this computer: Best-30B · 17.0 GB · about 11 tokens {words}"
    qtbot.mouseClick(card(window).get_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: engine.seen[-1] == "load /models/owner/Best-30B", timeout=PATIENCE)


@pytest.mark.usefixtures("machine")
def test_where_nothing_can_be_recommended_nothing_is(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    wait_for_facts(qtbot, window)
    assert not card(window).get_button.isVisible()
    assert not card(window).best.isVisible()


@pytest.mark.usefixtures("machine")
def test_it_is_shown_once_and_again_from_help(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    qtbot.mouseClick(card(window).close_button, Qt.MouseButton.LeftButton)
    assert not card(window).isVisible()
    window.quit()
    again = open_window(data_dir=tmp_path)
    assert not card(again).isVisible()
    type_and_send(qtbot, again, "Hi")
    wait_until_ready(qtbot, again)
    again.guide.trigger()
    assert card(again).isVisible()
    assert again.chat.conversation.messages == {}
    wait_for_facts(qtbot, again)


@pytest.mark.usefixtures("machine")
def test_the_first_message_puts_it_away(qtbot, open_window, tmp_path):
    window = open_window(data_dir=tmp_path)
    type_and_send(qtbot, window, "Hi")
    wait_until_ready(qtbot, window)
    window.new_chat.trigger()
    assert window.chat.welcome.isVisible()
    assert not card(window).isVisible()


@pytest.mark.usefixtures("machine")
def test_it_leads_to_the_models(qtbot, open_window, tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    window = open_window(data_dir=tmp_path)
    qtbot.mouseClick(card(window).models_button, Qt.MouseButton.LeftButton)
    assert window.library.isVisible()


def test_a_machine_that_cannot_be_looked_at(qtbot, open_window, tmp_path, monkeypatch):
    def fail():
        raise OSError("The disk is gone.")

    monkeypatch.setattr(guide, "look", fail)
    window = open_window(data_dir=tmp_path)
    qtbot.waitUntil(lambda: card(window).facts.text() == "The disk is gone.")


def test_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    found = guide.look()
    first, *_ = survey().rows
    assert found.models[first.verdict.kind][0] == first.title
    assert "Starter" in found.models[Kind.IN_MEMORY][:2]  # what is here comes before what could be had
    assert sum(map(len, found.models.values())) > 10
    assert found.memory > 0
    assert found.free > 0
    assert found.drive is None


@pytest.mark.parametrize(("memory", "best"), [(16, "Qwen3.6-35B-A3B-4bit"), (8, "LFM2-8B-A1B-4bit")])
def test_the_best_one_follows_memory_and_drive(monkeypatch, tmp_path, memory, best):
    """As on a Mac of so many GB, of which six tenths are free, whose drive was not measured."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr("app.library.survey.memory_total", lambda: memory * GB)
    monkeypatch.setattr("app.library.survey.memory_available", lambda: int(0.6 * memory * GB))
    monkeypatch.setattr("engine.system.folders.free_bytes", lambda folder: 500 * GB)
    found = guide.look()
    assert (found.best and found.best.title) == best

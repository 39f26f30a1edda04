"""The first start opens with the assistant, where its package is; the starter stays beside it."""

import engine
from app.chat.welcome import ASSISTANT_EXAMPLES
from app.host.engine_host import State
from app.library.rows import heading
from app.library.survey import survey
from engine.errors import DiskFullError
from engine.system.built_in import ASSISTANT, STARTER
from tests.helpers.fake_engine import FakeEngine

LONG_MS = 120_000


def test_it_opens_with_the_assistant(open_window, with_the_assistant):
    fake = FakeEngine()
    window = open_window(fake)
    assert fake.seen == ["load smollm2"]
    welcome = window.chat.welcome
    assert [button.text() for button in welcome.examples] == list(ASSISTANT_EXAMPLES)
    assert "small assistant" in welcome.about.text()
    assert not window.model_commands.starter_line.isVisible()


def test_the_starter_says_what_it_is_as_long_as_it_is_loaded(qtbot, open_window, with_the_assistant):
    window = open_window(FakeEngine())
    line = window.model_commands.starter_line
    with qtbot.waitSignal(window.host.loaded):
        window.load(STARTER)
    assert line.isVisible()
    assert "only makes small talk, in English" in line.text()
    assert line.mapTo(window, line.rect().bottomLeft()).y() <= window.chat.composer.mapTo(window, line.pos()).y()
    with qtbot.waitSignal(window.host.loaded):
        window.load(ASSISTANT)
    assert not line.isVisible()


def test_both_are_listed(with_the_assistant):
    assert [heading(row) for row in survey().rows[:2]] == [
        "SmolLM2 135M: a small assistant",
        "Starter: shows neurons from flash",
    ]


def test_the_one_that_was_used_last_comes_back_unless_it_is_gone(
    open_window, tmp_path, with_the_assistant, monkeypatch
):
    first = open_window(FakeEngine(), data_dir=tmp_path / "data")
    assert first.settings["models.last"] == ASSISTANT
    first.quit()
    monkeypatch.setattr("engine.system.built_in.ASSISTANT_PACKAGE", "no_package_of_this_name")
    fake = FakeEngine()
    open_window(fake, data_dir=tmp_path / "data")
    assert fake.seen == ["load starter"]


def test_it_is_prepared_once_with_progress(qtbot, open_window, with_the_assistant):
    window = open_window(engine, wait=False)
    told = []
    window.host.preparing.connect(lambda _share: told.append(window.subtitle.text()))
    qtbot.waitUntil(lambda: window.host.state is State.READY, timeout=LONG_MS)
    assert told[0].startswith("being prepared, this once: ")
    assert told[-1] == "being prepared, this once: 100 %"
    assert window.title.text() == "SmolLM2 135M"


def test_no_room_for_it_is_said_and_the_starter_needs_none(qtbot, open_window, with_the_assistant):
    window = open_window(FakeEngine(loads=[DiskFullError("The disk of {folder} is full.", folder="/models")]))
    assert window.host.state is State.FAILED
    with qtbot.waitSignal(window.host.loaded):
        window.load(STARTER)

import pytest
from PySide6.QtCore import QTimer

from app.host.engine_host import State
from app.monitor.panel import MonitorPanel
from engine.errors import FlashbulbError
from engine.settings import Settings
from engine.system import pressure
from tests.helpers.fake_engine import FakeEngine, Gate, token_statistics

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def open_panel(qtbot, make_host):
    def make(engine, **settings):
        host = make_host(engine)
        panel = MonitorPanel(host)
        qtbot.addWidget(panel)
        panel.show()
        with qtbot.waitSignal(host.loaded):
            host.load("starter", Settings(**settings))
        return host, panel

    return make


def words(section):
    return section.words_for_it().replace("\u00a0", " ")


def running(panel):
    return [timer for timer in panel.findChildren(QTimer) if timer.isActive()]


def test_the_plan_is_shown_once_a_model_is_loaded(open_panel):
    _, panel = open_panel(FakeEngine(), memory_budget=16_000_000)
    text = words(panel.memory)
    assert "Neuron pool 4.9 MB" in text
    assert "model's share 12.2 MB of a budget of 16.0 MB" in text
    assert panel.memory.aside.text().replace("\u00a0", " ") == "model 24.0 MB"
    assert "nothing read in the last minute" in words(panel.flash)


def test_without_a_budget_it_says_so(open_panel):
    _, panel = open_panel(FakeEngine())
    assert "no budget set" in words(panel.memory)


def test_nothing_is_told_of_a_model_that_is_gone(qtbot, open_panel):
    host, panel = open_panel(FakeEngine(loads=[None, FlashbulbError("The drive is gone.")]))
    with qtbot.waitSignal(host.load_failed):
        host.reload()
    assert not any(character.isdigit() for character in words(panel.memory))


def test_the_figures_of_an_answer(qtbot, open_panel):
    host, panel = open_panel(FakeEngine(scripts=[["a"] * 3]))
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    panel.refresh()
    tokens = [token_statistics(1), token_statistics(2)]
    milliseconds = sum(t.total_ms for t in tokens) / 2
    share = sum(sum(t.active) for t in tokens) / 2 / (8 * 3072)
    assert words(panel.memory).startswith("312 MB used by Flashbulb")
    assert words(panel.time).startswith(f"{milliseconds:.0f} ms: Flash 1")
    assert words(panel.neurons).startswith(f"8 layers: Active {100 * share:.0f} %, Loaded 1")
    assert "Hit rate" in words(panel.neurons)
    assert "peak" in words(panel.flash) or "nothing" in words(panel.flash)


def test_it_moves_while_an_answer_comes_and_rests_when_hidden(qtbot, open_panel):
    gate = Gate()
    host, panel = open_panel(FakeEngine(scripts=[["a", gate]]))
    assert not running(panel)
    host.generate(HELLO)
    assert running(panel)
    panel.hide()
    assert not running(panel)
    panel.show()
    assert running(panel)
    gate.opened.set()
    qtbot.waitUntil(lambda: host.state is State.READY)


def test_what_is_seen_is_also_said(open_panel):
    _, panel = open_panel(FakeEngine())
    for section in panel.sections:
        assert section.accessibleName()
        assert section.toolTip()
        assert section.words_for_it()


def test_the_plots_paint_any_amount_of_data(qtbot, open_panel):
    host, panel = open_panel(FakeEngine(scripts=[["a"] * 200]))
    assert not panel.grab().isNull()
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    panel.refresh()
    image = panel.grab().toImage()
    colours = {image.pixel(x, y) for x in range(0, image.width(), 2) for y in range(0, image.height(), 2)}
    assert len(colours) > 20


@pytest.mark.parametrize(("level", "words_of_it"), [(2, "is short of memory"), (4, "critically short of memory")])
def test_the_system_s_memory_pressure_is_said(open_panel, monkeypatch, level, words_of_it):
    _, panel = open_panel(FakeEngine())
    assert not panel.memory.alarm.isVisible()
    monkeypatch.setattr(pressure, "memory_pressure", lambda: pressure.Pressure(level))
    panel.refresh()
    assert panel.memory.alarm.isVisible()
    assert words_of_it in words(panel.memory)
    assert running(panel)  # to see when it is over
    monkeypatch.setattr(pressure, "memory_pressure", lambda: pressure.Pressure.NORMAL)
    panel.refresh()
    assert not panel.memory.alarm.isVisible()
    assert not running(panel)


def test_a_pool_that_shrank_is_shown_as_it_is_now(qtbot, open_panel):
    gate = Gate()
    engine = FakeEngine(scripts=[["a", gate, "b"]])
    host, panel = open_panel(engine)
    host.generate(HELLO)
    qtbot.waitUntil(gate.reached.is_set)
    engine.model.give_back()
    with qtbot.waitSignal(host.gave_back):
        gate.opened.set()
    assert "Neuron pool 2.5 MB" in words(panel.memory)
    assert "gave some back" in words(panel.memory)
    with qtbot.waitSignal(host.loaded):
        host.reload()
    panel.refresh()
    assert "gave some back" not in words(panel.memory)

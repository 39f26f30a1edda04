import pytest
from PySide6.QtCore import QTimer

from app.engine_host import State
from app.monitor.panel import MonitorPanel
from tests.app.fake_engine import FakeEngine, Gate, token_statistics

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def open_panel(qtbot, make_host):
    def make(engine, **settings):
        host = make_host(engine)
        panel = MonitorPanel(host)
        qtbot.addWidget(panel)
        panel.show()
        with qtbot.waitSignal(host.loaded):
            host.load("starter", **settings)
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

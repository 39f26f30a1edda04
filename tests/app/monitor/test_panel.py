import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel, QWidget

from app.host.engine_host import State
from app.host.model_info import ModelInfo
from app.monitor.panel import MonitorPanel, parts_of
from app.monitor.section import Legend
from engine.errors import FlashbulbError
from engine.settings import Settings
from engine.statistics import PromptProgress
from engine.system import pressure
from tests.helpers.fake_engine import MB, FakeEngine, Gate, expert_statistics, token_statistics

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
    assert "Resident 5.2 MB" in text
    assert "of a budget of 16.0 MB" in text
    assert panel.memory.aside.text().replace("\u00a0", " ") == "model 24.0 MB"
    assert "nothing read in the last minute" in words(panel.flash)


def test_without_a_budget_it_says_so(open_panel):
    _, panel = open_panel(FakeEngine())
    assert "of 12.2 MB (automatic budget)" in words(panel.memory)


@given(
    used=st.floats(1, 1e11),
    at_load=st.floats(1, 1e11),
    planned=st.dictionaries(
        st.sampled_from(
            ["resident", "predictors", "exact_selection", "pool", "kv_cache", "kept_contexts", "workspace"]
        ),
        st.floats(0, 1e11),
    ),
    held=st.floats(0, 1),
    filled=st.floats(0, 1e11),
    streams=st.sampled_from(["neuron", "expert", "block", ""]),
)
def test_the_parts_of_memory_sum_to_what_is_used(used, at_load, planned, held, filled, streams):
    sizes = {"footprint_bytes": at_load, "filled_bytes": filled, "flash_bytes": 10**10}
    model = SimpleNamespace(planned=planned, streams=streams, **sizes)
    latest = replace(token_statistics(), resident=(round(1000 * held),), bundles=1000)
    for token in (None, latest):
        parts = parts_of(used, model, token)
        assert list(parts) == ["resident", "pool", "predictors", "kv_cache", "workspace", "app"]
        assert sum(parts.values()) == pytest.approx(used)
        assert all(value >= -1e-3 for value in parts.values())
        assert parts["pool"] <= planned.get("pool", 0) + 1e-3


@pytest.mark.parametrize("streams", ["neuron", "expert", "block", ""])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_conversation_has_its_room_and_the_application_the_rest(streams, at_once):
    pool, resident = 90 * MB, 10 * MB
    loaded = FakeEngine(streams=streams).load("starter", Settings(read_at_once=at_once))
    items = {"pool": pool, "resident": resident, "kv_cache": 9 * MB}
    loaded.flash_bytes, loaded.budget = pool, SimpleNamespace(items=items)
    at_load = 200 * MB + resident + (pool if at_once else 0)
    model = replace(ModelInfo.of(loaded), footprint_bytes=at_load)
    assert parts_of(at_load, model, None)["kv_cache"] == 0
    latest = replace(token_statistics(), resident=(1000,), bundles=1000)
    for app in (200 * MB, 180 * MB):  # which has given some back
        parts = parts_of(app + resident + pool + 9 * MB, model, latest)
        assert (parts["kv_cache"], parts["app"], parts["pool"]) == pytest.approx((9 * MB, app, pool))


def test_a_sentence_says_what_the_figures_mean(qtbot, open_panel):
    host, panel = open_panel(FakeEngine(scripts=[["a"] * 3, ["a"] * 9]))
    assert panel.sentence.text() == "While the model answers, you see here what it reads and holds."
    said = set()
    for _ in range(2):
        with qtbot.waitSignal(host.finished):
            host.generate(HELLO)
        panel.refresh()
        means = host.recent_tokens.means()
        active = means["active_neurons"] / (8 * 3072)
        text = panel.sentence.text().replace("\u00a0", " ")
        assert text.startswith(f"Each word uses {100 * active:.0f} % of the model's neurons; ")
        assert text.endswith(" of those were already in memory.")
        said.add(text)
    assert len(said) == 2  # it changes with the figures


def test_the_last_answer_s_means_stay_while_nothing_happens(qtbot, open_panel, monkeypatch):
    host, panel = open_panel(FakeEngine(scripts=[["a"] * 3]))
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 30)
    panel.refresh()
    assert "in the last answer" in words(panel.flash)
    assert not words(panel.flash).startswith("0 MB/s")
    assert "peak" in words(panel.flash)


@pytest.mark.parametrize("height", [200, 400, 700, 1400])
@pytest.mark.parametrize("points", [9, 14])
def test_nothing_is_cut_off_at_any_size(qtbot, qapp, open_panel, height, points):
    host, panel = open_panel(FakeEngine(scripts=[["a"] * 200]))
    font = panel.font()
    font.setPointSize(points)
    panel.setFont(font)
    with qtbot.waitSignal(host.finished):
        host.generate(HELLO)
    panel.resize(panel.width(), height)
    qapp.processEvents()
    panel.refresh()
    qapp.processEvents()
    assert panel.widget().width() <= panel.viewport().width()
    assert panel.widget().minimumSizeHint().width() <= panel.viewport().width()


def test_tooltips_wrap(open_panel):
    _, panel = open_panel(FakeEngine())
    tips = [widget.toolTip() for widget in panel.findChildren(QWidget) if widget.toolTip()]
    assert len(tips) > 10
    assert all(tip.startswith("<qt>") for tip in tips)  # which is what Qt wraps


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


def test_what_a_chat_that_has_grown_takes_is_said_until_it_is_given_back(qtbot, open_panel):
    engine = FakeEngine(streams="block")
    host, panel = open_panel(engine)

    def tell(taken):
        engine.model.taken_bytes = taken
        with qtbot.waitSignal(host.memory_changed):
            host.move_budget(round(20 * MB + taken))  # of which the model tells

    assert not panel.memory.moved.isVisible()
    tell(3 * MB)
    assert "it takes 3.0 MB that weights had" in words(panel.memory)
    assert panel.memory.moved.isVisible()
    tell(0.1 * MB)  # of 24
    assert not panel.memory.moved.isVisible()
    assert "has grown" not in words(panel.memory)


def test_how_far_a_long_prompt_is_is_told(qtbot, open_panel):
    gate = Gate()
    host, panel = open_panel(FakeEngine(scripts=[[PromptProgress(1200, 4000, 75.4), gate, "a"]]))
    with qtbot.waitSignal(host.prefilling):
        host.generate(HELLO)
    panel.refresh()
    assert panel.sentence.text() == "Processing your message: 1,200 of 4,000 tokens, about 75\u00a0s left"
    with qtbot.waitSignal(host.finished):
        gate.opened.set()
    panel.refresh()
    assert "Processing" not in panel.sentence.text()


def test_a_pool_that_shrank_is_shown_as_it_is_now(qtbot, open_panel):
    gate = Gate()
    engine = FakeEngine(scripts=[["a", gate, "b"]])
    host, panel = open_panel(engine)
    host.generate(HELLO)
    qtbot.waitUntil(gate.reached.is_set)
    engine.model.give_back()
    with qtbot.waitSignal(host.memory_changed):
        gate.opened.set()
    assert "(automatic budget)" in words(panel.memory)
    assert "gave back" in words(panel.memory)
    with qtbot.waitSignal(host.loaded):
        host.reload()
    panel.refresh()
    assert "gave back" not in words(panel.memory)


# ------------------------------------------------------------------------------------------------ experts
def with_experts(host, panel, count=30):
    for index in range(count):
        host.recent_tokens.add(time.monotonic(), expert_statistics(index))
    panel.refresh()


def test_of_a_model_of_experts_the_panel_speaks_of_experts(open_panel):
    host, panel = open_panel(FakeEngine(streams="expert"))
    assert panel.neurons.isHidden()  # also before the first answer
    assert not panel.experts.isHidden()
    assert "neuron" not in panel.as_text().casefold()
    with_experts(host, panel)
    text = words(panel.experts)
    assert text.startswith("48 layers")
    assert "Active 8 of 128" in text
    assert "In memory 45" in text
    assert f"Hit rate {100 * host.recent_tokens.means()['hit_rate']:.0f} %" in text.replace("\u202f", " ")
    assert panel.neurons.isHidden()
    assert "Expert pool" in words(panel.memory)
    assert "Predictors" not in words(panel.memory)
    assert "neuron" not in panel.as_text().casefold()
    assert panel.sentence.text().startswith("Each word uses 8 of 128 experts a layer;")


def test_of_a_model_that_is_all_in_memory_nothing_is_told_that_streams(open_panel):
    host, panel = open_panel(FakeEngine(streams=""))
    token = replace(expert_statistics(), active=(), loaded=(), resident=(), bundles=0)
    for _ in range(2):  # before the first token, and after
        assert all(section.isHidden() for section in (panel.neurons, panel.experts, panel.flash))
        assert panel.time.legend.isHidden()
        assert "Resident 24.0 MB" in words(panel.memory)
        assert "App and libraries" in words(panel.memory)
        assert not any(word in words(panel.memory) for word in ("pool", "Predictors"))
        host.recent_tokens.add(time.monotonic(), token)
        panel.refresh()
    assert panel.sentence.text() == "Each word uses the whole model; all of it is in memory."


def test_of_a_dense_model_the_panel_says_what_is_read_for_each_word(open_panel):
    host, panel = open_panel(FakeEngine(streams="block"))
    token = replace(
        token_statistics(),
        kind="block",
        active=(8, 8),
        loaded=(6, 8),
        resident=(2, 0),
        bundles=8,
        bytes_read=14 * 10**6,
    )
    host.recent_tokens.add(time.monotonic(), token)
    panel.refresh()
    assert panel.sentence.text() == "Each word uses the whole model; 14.0\u00a0MB of it are read from flash each time."
    assert panel.neurons.isHidden()
    assert panel.experts.isHidden()
    assert not panel.flash.isHidden()
    assert "Weights kept" in words(panel.memory)
    assert "neuron" not in panel.as_text().casefold()


@pytest.mark.parametrize(
    ("streams", "name"),
    [("neuron", "Neuron pool"), ("expert", "Expert pool"), ("block", "Weights kept"), ("", "Weights")],
)
def test_the_pool_and_its_tooltip_are_called_by_what_it_holds(open_panel, streams, name):
    host, panel = open_panel(FakeEngine(streams=streams))
    host.model = replace(host.model, planned={"resident": 24 * 10**6, "pool": 9 * 10**6})
    panel.refresh()
    label = next(label for label in panel.memory.findChildren(QLabel) if label.text() == name)
    assert name.split()[0].casefold() in label.toolTip().casefold()


def test_the_map_of_experts_shows_which_are_used(open_panel):
    host, panel = open_panel(FakeEngine(streams="expert"))
    token = replace(expert_statistics(layers=3, experts=16), experts=((0, 15), (3, 4), (3, 4)))
    for _ in range(2):
        host.recent_tokens.add(time.monotonic(), token)
    host.recent_tokens.add(time.monotonic(), replace(token, experts=((0, 1), (3, 4), (3, 4))))
    panel.refresh()
    columns = panel.experts.map._columns
    assert len(columns) == 16
    assert columns[0] == pytest.approx([1, 0, 0])
    assert columns[15] == pytest.approx([2 / 3, 0, 0])
    assert columns[3] == columns[4] == pytest.approx([0, 1, 1])
    assert " ".join(panel.experts.scale.text().split()) == "fullest colour: used by 100 % of the tokens"


def test_a_map_of_very_many_experts_joins_neighbours(open_panel):
    host, panel = open_panel(FakeEngine(streams="expert"))
    token = replace(expert_statistics(layers=1, experts=512), experts=((0, 3, 511),))
    host.recent_tokens.add(time.monotonic(), token)
    panel.refresh()
    columns = panel.experts.map._columns
    assert len(columns) == 128
    assert [index for index, column in enumerate(columns) if column[0]] == [0, 127]


def test_what_a_legend_leaves_out_leaves_no_hole(qtbot):
    legend = Legend([(name, "", "") for name in "abcd"])
    qtbot.addWidget(legend)
    legend.show()
    legend.set_values("1", None, "3", "4")
    assert legend.text() == "a 1, c 3, d 4"
    first, second = [label for label in legend.findChildren(QLabel) if label.isVisible() and label.text() in "ac"]
    qtbot.waitUntil(lambda: second.x() > first.x())
    assert first.y() == second.y()
    legend.set_values("1", "2", "3", "4")
    assert legend.text() == "a 1, b 2, c 3, d 4"


def test_nothing_is_cut_off_however_wide_the_figures_become(qtbot, open_panel):
    _, panel = open_panel(FakeEngine())
    column = panel.widget()
    for name in ("252 MB", "App and libraries, and whatever else there is in here"):
        panel.memory.legend.rename(5, name)
        qtbot.waitUntil(lambda: panel.viewport().width() >= column.minimumSizeHint().width())
        assert panel.viewport().width() >= column.width()


def test_no_rate_is_above_the_peak(qtbot, open_panel):
    host, panel = open_panel(FakeEngine())
    now = time.monotonic()
    step = replace(token_statistics(), bytes_read=30_000_000, reads=100, io_ms=150.0, memory_ms=0.0, compute_ms=50.0)
    host.recent_tokens.add(now - 4.0, step, prefill=True)
    host.recent_tokens.add(now - 3.8, step)
    panel.flash.refresh(host.recent_tokens, now)
    assert "in the last answer" in words(panel.flash)
    shown, peak = panel.flash.number.text().replace("\u00a0", " "), panel.flash.caption.text().replace("\u00a0", " ")
    assert float(shown.split()[0]) <= float(peak.split()[1])

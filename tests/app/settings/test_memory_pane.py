"""Memory & Speed with a drive that was measured, and measuring it, by a small program in the place of the real one.

It speaks of experts where there are experts, and of neither where all of a model is in memory.
"""

import sys

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from app.host.engine_host import State
from engine.flash.profile import profile_path
from tests.helpers.drives import profile
from tests.helpers.fake_engine import MB, FakeEngine, FakeOutlook, Gate

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 30_000
HEAD = """
import json, signal, sys, time
def say(**line): print(json.dumps(line), flush=True)
say(stage="measuring", share=0.25, note="4 KiB")
"""
MEASURES = HEAD + 'say(stage="measuring", share=1, note=""); say(stage="done")'
WAITS = HEAD + "time.sleep(60)"
FAILS = HEAD + 'say(stage="failed", error="There is too little room."); sys.exit(1)'


@pytest.fixture
def open_pane(open_window):
    def make(engine):
        main = open_window(engine)
        main.show_settings.trigger()
        main.settings_window.open_pane("memory")
        return main, main.settings_window.memory

    return make


def use(pane, program):
    pane.drive._command = (sys.executable, "-S", "-c", program)


def test_the_curve_follows_the_sliders(open_pane):
    _, pane = open_pane(FakeEngine(profile=profile()))
    assert pane.budget.outcome.text() == "about 75 tokens a second"  # 20 / 6 + 10 ms
    pane.automatic.click()
    pane.budget.slider.setValue(0)
    slow = pane.budget.curve.accessibleDescription()
    assert "with 9.0\u00a0MB" in slow
    assert pane.budget.outcome.text() in slow
    assert "room for a window of about 1.7 only" in pane.window_size.words.text()
    pane.budget.slider.setValue(pane.budget.slider.maximum())
    pane.window_size.slider.setValue(20)
    assert pane.budget.outcome.text() == "about 91 tokens a second"
    assert pane.window_size.words.text() == "Every neuron has room in memory: the window makes no difference."
    points, chosen = pane.window_size.curve._points, pane.window_size.curve._chosen
    assert points[0][0] == 0
    assert points[-1][0] == 1
    assert [value for _, value in points] == sorted(value for _, value in points)
    assert chosen in points


def test_what_is_measured_is_marked_where_it_was_measured(qtbot, open_pane):
    main, pane = open_pane(FakeEngine(scripts=[["a", "b", "c", "d"]], profile=profile()))
    assert pane.budget.curve._measured is None
    main.chat.send("Hello")
    qtbot.waitUntil(lambda: main.host.state is State.READY and pane.budget.curve._measured is not None)
    speed = 1000 / main.host.recent_tokens.means()["total_ms"]
    share = (12.2 * MB - 9 * MB) / (18 * MB)
    assert pane.budget.curve._measured == (pytest.approx(share, abs=1e-3), pytest.approx(speed))
    assert f"{speed:.0f} measured" in pane.budget.outcome.text()
    pane.window_size.slider.setValue(9)
    assert "measured with what is loaded" in pane.budget.outcome.text()


def test_what_is_measured_has_its_unit_where_nothing_can_be_predicted(qtbot, open_pane):
    main, pane = open_pane(FakeEngine(scripts=[["a", "b", "c", "d"]]))
    main.chat.send("Hello")
    qtbot.waitUntil(lambda: main.host.state is State.READY and bool(pane.budget.outcome.text()))
    assert pane.budget.outcome.text().endswith(" tokens a second measured")


def test_nothing_is_promised_of_all_neurons_or_of_an_unknown_drive(open_pane):
    _, pane = open_pane(FakeEngine(profile=profile()))
    pane.selection.setCurrentIndex(pane.selection.findData("dense"))
    assert pane.budget.outcome.text() == ""
    assert pane.budget.curve._points == []
    _, pane = open_pane(FakeEngine())
    assert pane.budget.outcome.text() == ""
    assert "not known yet" in pane.drive.words.text()
    assert pane.drive.button.text() == "Measure This Drive"


def test_the_drive_is_measured_and_the_curve_appears(qtbot, monkeypatch, tmp_path, open_pane):
    models = tmp_path / "models"  # which is not there before the first download
    monkeypatch.setenv("FLASHBULB_MODELS", str(models))
    main, pane = open_pane(FakeEngine())
    from engine.flash.profile import profile_path

    use(pane, MEASURES)
    profile().save(profile_path(main.host.model.drive_folder))  # which the program would have left
    with qtbot.waitSignal(pane.drive.measured, timeout=PATIENCE):
        qtbot.mouseClick(pane.drive.button, LEFT)
        assert pane.drive.button.text() == "Cancel"
        assert models.is_dir()
    assert pane.budget.outcome.text() == "about 75 tokens a second"
    assert "32 threads read best" in pane.drive.words.text()
    assert pane.threads.text() == "Automatic (32)"


def test_measuring_can_be_cancelled(qtbot, open_pane):
    _, pane = open_pane(FakeEngine())
    use(pane, WAITS)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: pane.drive.bar.value() == 250, timeout=PATIENCE)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: not pane.drive.running, timeout=PATIENCE)
    assert "not known yet" in pane.drive.words.text()
    assert pane.drive.button.isEnabled()


def test_a_failure_says_why(qtbot, open_pane):
    _, pane = open_pane(FakeEngine())
    use(pane, FAILS)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: pane.drive.words.text() == "There is too little room.", timeout=PATIENCE)


def test_measuring_makes_way_for_an_answer_and_does_not_begin_beside_one(qtbot, open_pane):
    gate = Gate()
    main, pane = open_pane(FakeEngine(scripts=[["a", gate, "b"]]))
    use(pane, WAITS)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: pane.drive.bar.value() == 250, timeout=PATIENCE)
    main.chat.send("Hello")
    qtbot.waitUntil(lambda: not pane.drive.running, timeout=PATIENCE)
    assert not pane.drive.button.isEnabled()
    assert "at work" in pane.drive.words.text()
    gate.opened.set()
    qtbot.waitUntil(lambda: main.host.state is State.READY)
    assert pane.drive.button.isEnabled()
    assert "was stopped" in pane.drive.words.text()


def test_closing_the_window_ends_it(qtbot, open_pane):
    main, pane = open_pane(FakeEngine())
    use(pane, WAITS)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: pane.drive.bar.value() == 250, timeout=PATIENCE)
    main.quit()
    assert not pane.drive.running


def test_a_window_is_not_asked_for_where_it_makes_no_difference(open_pane):
    _, pane = open_pane(FakeEngine(profile=profile()))
    pane.selection.setCurrentIndex(pane.selection.findData("dense"))
    assert not pane.window_size.slider.isEnabled()
    assert "makes no difference" in pane.window_size.words.text()
    assert "no faster" in pane.budget.words.text()
    pane.selection.setCurrentIndex(pane.selection.findData("predictor"))
    assert pane.window_size.slider.isEnabled()


def test_how_far_measuring_is_is_said(qtbot, open_pane):
    _, pane = open_pane(FakeEngine())
    use(pane, WAITS)
    qtbot.mouseClick(pane.drive.button, LEFT)
    qtbot.waitUntil(lambda: "25\u00a0% done" in pane.drive.words.text(), timeout=PATIENCE)
    pane.drive.cancel()
    qtbot.waitUntil(lambda: not pane.drive.running, timeout=PATIENCE)


@pytest.mark.parametrize(("before", "after", "asked"), [(8, 32, True), (32, 32, False)])
def test_another_number_of_threads_that_reads_best_asks_for_a_reload(open_pane, before, after, asked):
    main, pane = open_pane(FakeEngine(profile=profile((1, before))))
    assert not pane.needs_reload()
    path = profile_path(main.host.model.drive_folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile((1, after)).save(path)
    main.host.renew_profile()
    pane.drive.measured.emit()
    assert pane.reload.isVisible() is asked
    pane.threads.setValue(8)  # chosen by hand, it depends on no drive
    assert pane.needs_reload()
    pane.reload.click()
    assert not pane.needs_reload() or main.host.state is State.LOADING


def texts(pane):
    """All that is to be read in it."""
    shown = [widget.text() for widget in pane.findChildren(QLabel) if widget.isVisible()]
    return " ".join([*shown, pane.automatic.text(), pane.budget.curve.toolTip()])


@pytest.mark.parametrize("kind", ["expert", ""])
def test_controls_that_mean_nothing_are_not_there(open_pane, kind):
    _, pane = open_pane(FakeEngine(streams=kind))
    for control in (pane.window_size, pane.selection, pane.threshold):
        assert not control.isVisible()
    for control in (pane.budget, pane.threads, pane.drive):
        assert control.isVisible()
    assert "euron" not in texts(pane)
    assert "redictor" not in texts(pane)


def test_it_tells_what_share_of_the_experts_has_room(open_pane):
    window, pane = open_pane(FakeEngine(streams="expert"))
    assert pane.automatic.text().endswith("else half of the experts)")
    window.settings["memory.budget"] = 15 * MB
    assert "of the experts have room in memory" in pane.budget.words.text()
    window.settings["memory.budget"] = FakeOutlook.full
    assert pane.budget.words.text().startswith("Every expert has room in memory")


def test_what_was_chosen_for_neurons_says_nothing_of_experts(open_pane):
    window, pane = open_pane(FakeEngine(streams="expert"))
    window.settings["memory.selection"] = "dense"
    assert "All neurons" not in texts(pane)
    assert "measure the drive" in pane.budget.curve.toolTip().casefold()


def test_a_model_that_is_in_memory_as_a_whole_says_so(open_pane):
    _, pane = open_pane(FakeEngine(streams=""))
    assert not pane.budget.slider.isVisible()  # there is nothing to choose between
    assert pane.automatic.text() == "Automatic (all in memory)"
    assert pane.budget.words.text() == (
        "All of the model is in memory: a larger budget makes no difference. A conversation has room for 512 tokens."
    )


def test_the_loaded_model_follows_the_slider_without_being_loaded_again(qtbot, open_pane):
    engine = FakeEngine()
    window, pane = open_pane(engine)
    loads = engine.seen.count("load starter")
    with qtbot.waitSignal(window.host.memory_changed):
        pane.budget.slider.setValue(pane.budget.slider.value() // 2 + 200)
    chosen = window.settings["memory.budget"]
    assert engine.seen[-1] == f"budget {chosen}"
    assert window.host.model.memory_budget == chosen
    assert not pane.needs_reload()
    with qtbot.waitSignal(window.host.memory_changed):
        pane.automatic.click()
    assert engine.seen[-1] == "budget None"
    assert engine.seen.count("load starter") == loads
    window.settings["memory.window"] = 9
    assert pane.needs_reload()


def test_a_budget_that_the_loaded_model_cannot_follow_is_said(qtbot, open_pane):
    window, pane = open_pane(FakeEngine())
    with qtbot.waitSignal(window.host.budget_refused):
        window.host.move_budget(1_000_000)
    assert "too small" in pane.budget.words.text()


def test_the_controls_of_neurons_come_back_with_them(qtbot, open_pane):
    engine = FakeEngine(streams="expert")
    window, pane = open_pane(engine)
    engine.streams = "neuron"
    with qtbot.waitSignal(window.host.loaded):
        window.model_commands.reload()
    assert pane.window_size.isVisible()
    assert pane.selection.isVisible()

"""Memory & Speed speaks of experts where there are experts, and of neither where all of a model is in memory."""

import pytest
from PySide6.QtWidgets import QLabel

from tests.helpers.fake_engine import MB, FakeEngine, FakeOutlook


def pane_of(open_window, kind):
    window = open_window(FakeEngine(streams=kind))
    window.show_settings.trigger()
    window.settings_window.open_pane("memory")
    return window, window.settings_window.memory


def texts(pane):
    """All that is to be read in it."""
    shown = [widget.text() for widget in pane.findChildren(QLabel) if widget.isVisible()]
    return " ".join([*shown, pane.automatic.text(), pane.budget.curve.toolTip()])


@pytest.mark.parametrize("kind", ["expert", ""])
def test_controls_that_mean_nothing_are_not_there(open_window, kind):
    _, pane = pane_of(open_window, kind)
    for control in (pane.window_size, pane.selection, pane.threshold):
        assert not control.isVisible()
    for control in (pane.budget, pane.threads, pane.drive):
        assert control.isVisible()
    assert "euron" not in texts(pane)
    assert "redictor" not in texts(pane)


def test_it_tells_what_share_of_the_experts_has_room(open_window):
    window, pane = pane_of(open_window, "expert")
    assert pane.automatic.text().endswith("else half of the experts)")
    window.settings["memory.budget"] = 15 * MB
    assert "of the experts have room in memory" in pane.budget.words.text()
    window.settings["memory.budget"] = FakeOutlook.full
    assert pane.budget.words.text().startswith("Every expert has room in memory")


def test_what_was_chosen_for_neurons_says_nothing_of_experts(open_window):
    window, pane = pane_of(open_window, "expert")
    window.settings["memory.selection"] = "dense"
    assert "All neurons" not in texts(pane)
    assert "measure the drive" in pane.budget.curve.toolTip().casefold()


def test_a_model_that_is_in_memory_as_a_whole_says_so(open_window):
    _, pane = pane_of(open_window, "")
    assert not pane.budget.slider.isVisible()  # there is nothing to choose between
    assert pane.automatic.text() == "Automatic (all in memory)"
    assert pane.budget.words.text() == "All of the model is in memory: a larger budget makes no difference."


def test_the_controls_of_neurons_come_back_with_them(qtbot, open_window):
    engine = FakeEngine(streams="expert")
    window = open_window(engine)
    window.show_settings.trigger()
    window.settings_window.open_pane("memory")
    engine.streams = "neuron"
    with qtbot.waitSignal(window.host.loaded):
        window.model_commands.reload()
    assert window.settings_window.memory.window_size.isVisible()
    assert window.settings_window.memory.selection.isVisible()

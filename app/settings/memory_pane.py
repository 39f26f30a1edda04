"""Memory & Speed: how much memory a model may take, how its neurons are kept and chosen, and how fast that would be.

Of a model of experts, whose router chooses them, there is only the memory to be said; of one that is all in memory, not
even that makes a difference.
"""

from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QFont, QHideEvent, QShowEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton, QSlider, QSpinBox, QVBoxLayout, QWidget

from app.host.engine_host import EngineHost, State
from app.settings.curve import Curve
from app.settings.draft_model_choice import DraftModelChoice
from app.settings.drive_test import DriveTest
from app.settings.forecast import Forecast
from app.settings.panes import Pane
from app.settings.registry import BY_KEY, Preferences
from app.widgets import units
from app.widgets.labels import Label, at_both_ends, quiet, set_tip
from app.widgets.language import sentences
from engine.planning.measured import ContextLoss
from engine.settings import Drafting, Selection
from engine.system.machine import memory_total

BUDGET_STEPS = 1000  # of the budget's slider
SHIFT_STEPS = 2  # of the threshold's slider, a unit of it
SYSTEM_SHARE = 0.25  # of the machine's memory, which a budget does not reach
MOVING_MS = 150  # for a slider to rest, until the loaded model follows it
MEASURED_CONTEXT = ContextLoss(1511, -2.9e-6, 0.988), "SmolLM2"  # where the loaded model's own was not measured
MEASURING_MS = 500  # between looks at what is measured, while an answer comes


class ValueSlider(QWidget):
    """One strong value, what it would bring, a slider, and what its ends mean."""

    def __init__(self, lines: int = 2, parent: QWidget | None = None):
        super().__init__(parent)
        self.value, self.outcome = Label(weight=QFont.Weight.DemiBold), Label()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.low, self.high = quiet(), quiet()
        self.words = quiet()
        self.words.setWordWrap(True)
        self.words.setMinimumHeight(lines * self.words.fontMetrics().lineSpacing())  # whatever they say
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.value.setMinimumHeight(self.value.sizeHint().height())
        for end in (self.low, self.high):
            end.setMinimumHeight(end.fontMetrics().lineSpacing())
        self.slider.setMinimumHeight(self.slider.sizeHint().height())
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(3)
        self.column.addLayout(at_both_ends(self.value, self.outcome))
        self.column.addWidget(self.slider)
        self.column.addLayout(at_both_ends(self.low, self.high))
        self.column.addWidget(self.words)


class CurvedSlider(ValueSlider):
    """Over the slider, a curve of what its values would bring."""

    def __init__(self, lines: int = 2, parent: QWidget | None = None):
        super().__init__(lines, parent)
        self.curve = Curve()
        self.column.insertWidget(self.column.indexOf(self.slider), self.curve)


class MemoryPane(Pane):
    """`reload_asked`: the model is to be loaded again, with what was chosen here."""

    reload_asked = Signal()

    def __init__(self, settings: Preferences, host: EngineHost, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self._host = host
        self._showing = False
        self._measuring = QTimer(self, singleShot=True, interval=MEASURING_MS)
        self._measuring.timeout.connect(self._show_values)
        self._moving = QTimer(self, singleShot=True, interval=MOVING_MS)
        self._moving.timeout.connect(self._move_budget)
        self._refused = ""  # why the loaded model cannot do with the budget that was chosen
        self.budget = CurvedSlider()
        self.budget.slider.setRange(0, BUDGET_STEPS)
        self.budget.slider.setPageStep(BUDGET_STEPS // 20)
        self.budget.slider.setAccessibleName(self.tr("Memory budget"))
        self.automatic = QCheckBox()
        self.window_size = self._window_slider()
        self.selection = QComboBox()
        self.selection.setMaximumWidth(180)
        for key, name in (
            (Selection.PREDICTOR, self.tr("Predicted")),
            (Selection.EXACT, self.tr("Exact")),
            (Selection.DENSE, self.tr("All neurons")),
        ):
            self.selection.addItem(name, key.value)
        self.threshold = self._threshold_slider()
        self.drafts, self.draft_model = self._drafts_choice(), DraftModelChoice(host)
        self.threads = QSpinBox(minimum=0, maximum=BY_KEY["memory.reader_threads"].whole_bounds[1])
        self.threads.setMaximumWidth(180)
        self.drive = DriveTest(host)
        self.add_row(self.tr("Memory budget"), _column(self.budget, self.automatic))
        self._of_neurons = self._add_neurons()
        self.small_context = QCheckBox(self.tr("Keep it in 8 bits"))
        self.context_words = quiet()
        self.context_words.setWordWrap(True)
        self._of_checkpoints = self.add_row(self.tr("Context"), _column(self.small_context, self.context_words))
        self.add_row(
            self.tr("Drafts"),
            self.drafts,
            self.tr("Words that may come next are guessed, and the model checks several at once, where that is "
                    "measured to be faster. Answers stay the same. From the text: as it went on after the same words "
                    "before.")
        )  # fmt: skip
        self.add_row(
            self.tr("Small helper model"),
            self.draft_model,
            self.tr("A much smaller model of the same family, if there is one on this computer, guesses too. It takes "
                    "some of the memory budget, and gives it back where it does not make answers faster.")
        )  # fmt: skip
        self.add_row(self.tr("Reader threads"), self.threads, self.tr("Reads that are under way at the same time."))
        self.add_row(self.tr("Drive"), self.drive)
        self._add_reload()
        self._connect()
        self._show_values()

    def _add_neurons(self) -> tuple[QWidget, ...]:
        """Rows that only have a meaning where neurons are streamed."""
        window = self.add_row(self.tr("Window"), self.window_size)
        selection = self.add_row(
            self.tr("Selection"),
            self.selection,
            self.tr("Predictors guess which neurons a token needs. Exact selection computes it, from weights that stay "
                    "in memory. All neurons: the reference, which reads everything for every token."),
        )  # fmt: skip
        return (*window, *selection, *self.add_row(self.tr("Predictors"), self.threshold))

    def _drafts_choice(self) -> QComboBox:
        control = QComboBox()
        control.setMaximumWidth(180)
        for key, name in ((Drafting.LOOKUP, self.tr("From the text")), (Drafting.NONE, self.tr("Off"))):
            control.addItem(name, key.value)
        return control

    def _window_slider(self) -> CurvedSlider:
        (shortest, longest), control = BY_KEY["memory.window"].whole_bounds, CurvedSlider(lines=3)
        control.slider.setRange(shortest, longest)
        control.slider.setAccessibleName(self.tr("Window"))
        control.low.setText(f"{shortest}")
        control.high.setText(f"{longest}")
        return control

    def _threshold_slider(self) -> ValueSlider:
        (lowest, highest), control = BY_KEY["memory.threshold_shift"].bounds, ValueSlider()
        control.slider.setRange(round(SHIFT_STEPS * lowest), round(SHIFT_STEPS * highest))
        control.slider.setPageStep(SHIFT_STEPS)
        control.slider.setTickInterval(round(SHIFT_STEPS * highest))
        control.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        control.slider.setAccessibleName(self.tr("Predictor threshold"))
        control.low.setText(self.tr("more accurate"))
        control.high.setText(self.tr("faster"))
        return control

    def shutdown(self) -> None:
        """End what runs in the background."""
        self._measuring.stop()
        self._moving.stop()
        self.drive.shutdown()
        self.draft_model.shutdown()

    def hideEvent(self, event: QHideEvent) -> None:
        self._measuring.stop()
        super().hideEvent(event)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._show_values()

    def _add_reload(self) -> None:
        self.reload_words = quiet(self.tr("Takes effect when the model is loaded again."))
        self.reload = QPushButton(self.tr("Reload Now"))
        self.reload.clicked.connect(self.reload_asked)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.reload_words)
        row.addWidget(self.reload)
        self._row = QWidget()
        self._row.setLayout(row)
        policy = self._row.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self._row.setSizePolicy(policy)
        self.form.addWidget(self._row, self.form.rowCount(), 0, 1, 2)

    def _connect(self) -> None:
        self.budget.slider.valueChanged.connect(self._on_budget)
        self.automatic.toggled.connect(self._on_automatic)
        self.window_size.slider.valueChanged.connect(self._on_window)
        self.selection.currentIndexChanged.connect(self._on_selection)
        self.drafts.currentIndexChanged.connect(self._on_drafts)
        self.draft_model.chosen.connect(self._on_draft_model)
        self.small_context.toggled.connect(self._on_small_context)
        self.threads.valueChanged.connect(self._on_threads)
        self.threshold.slider.valueChanged.connect(self._on_threshold)
        self.drive.measured.connect(self._show_values)
        self._host.text_arrived.connect(self._on_text)
        self._settings.changed.connect(self._show_values)
        self._host.state_changed.connect(self._show_values)
        self._host.memory_changed.connect(self._show_values)
        self._host.budget_refused.connect(self._on_refused)

    # ------------------------------------------------------------------ what would be
    def forecast(self) -> Forecast | None:
        """Of the loaded model with what is chosen; None without a model."""
        if self._host.model is None:
            return None
        return Forecast(self._host.model, self._settings.engine_settings(), _most())

    def limits(self) -> tuple[int, int]:
        """The smallest budget that works, and the largest that makes sense here, in bytes."""
        forecast = self.forecast()
        return forecast.limits if forecast else (round(0.05 * _most()), _most())

    def _budget_at(self, step: int) -> int:
        smallest, largest = self.limits()
        return smallest + round((largest - smallest) * step / BUDGET_STEPS)

    def _share_of(self, budget: float) -> float:
        smallest, largest = self.limits()
        return max(0.0, min(1.0, (budget - smallest) / (largest - smallest)))

    @property
    def _kind(self) -> str:
        """The bundle that the loaded model streams, empty for none. Without a model, the one with most to choose."""
        return self._host.model.streams if self._host.model else "neuron"

    @property
    def _reads_all(self) -> bool:
        """True if every neuron is read for every token."""
        return self._kind == "neuron" and Selection(self._settings["memory.selection"]).streams_all

    # ------------------------------------------------------------------ showing
    def _show_kind(self) -> None:
        """Only the controls and the words that mean something of the loaded model."""
        for widget in self._of_neurons:
            widget.setVisible(self._kind == "neuron")
        for widget in self._of_checkpoints:
            widget.setVisible(self._kind != "neuron")
        words = {
            "neuron": self.tr("Automatic (all in memory where it fits, else half of the FFN weights)"),
            "expert": self.tr("Automatic (all in memory where it fits, else half of the experts)"),
            "block": self.tr("Automatic (all in memory where it fits, else half of the weights)"),
            "": self.tr("Automatic (all in memory)"),
        }
        self.automatic.setText(words[self._kind])
        self.automatic.setAccessibleName(self.automatic.text())

    def _show_values(self) -> None:
        self._showing = True
        self._show_kind()
        for curve in (self.budget.curve, self.window_size.curve):
            curve.say_instead(self._why_no_curve())
        values, forecast = self._settings.section("memory"), self.forecast()
        self._show_budget(values["budget"], forecast)
        self._show_window(values["window"], forecast)
        self.selection.setCurrentIndex(self.selection.findData(values["selection"]))
        self._show_threshold(values["threshold_shift"], values["selection"])
        self.drafts.setCurrentIndex(self.drafts.findData(values["drafts"]))
        self.draft_model.show_choice(values["draft_model"])
        self.draft_model.setEnabled(Drafting(values["drafts"]) is not Drafting.NONE)
        self.small_context.setChecked(bool(values["small_context"]))
        self.context_words.setText(self._words_of_small_context())
        self._show_threads(values["reader_threads"])
        self.drive.refresh()
        self._row.setVisible(self.needs_reload())
        self.reload.setEnabled(self._host.state in (State.READY, State.FAILED))
        self._showing = False

    def _why_no_curve(self) -> str:
        if self._host.model is None:
            return ""
        if self._reads_all:
            return self.tr("All neurons are read for every token")
        return self.tr("Measure the drive to see here how fast it would be")

    def _show_budget(self, budget: int | None, forecast: Forecast | None) -> None:
        smallest, largest = self.limits()
        self.automatic.setChecked(budget is None)
        self.budget.slider.setEnabled(budget is not None)
        makes_a_difference = budget is not None or self._host.model is None or bool(self._host.model.streams)
        for part in (self.budget.slider, self.budget.curve, self.budget.low, self.budget.high):
            part.setVisible(makes_a_difference)
        if forecast is None:
            chosen = budget or self._budget_at(BUDGET_STEPS // 2)
            self.budget.low.setText(units.size(smallest))
            self.budget.high.setText(self.tr("{0}, the most for this machine").format(units.size(largest)))
            self.budget.words.setText(self.tr("No model is loaded: its own smallest budget is not known."))
        else:
            chosen, name = forecast.budget, forecast.model.name
            self.budget.low.setText(self.tr("{0}, the smallest for {1}").format(units.size(smallest), name))
            everything = largest < forecast.most
            high = (
                self.tr("{0}, everything with a long chat") if everything else self.tr("{0}, the most for this machine")
            )
            self.budget.high.setText(high.format(units.size(largest)))
            self.budget.words.setText(self._words_of_budget(chosen, forecast))
        self.budget.slider.setValue(round(BUDGET_STEPS * self._share_of(chosen)))
        self.budget.value.setText(units.size(chosen))
        self._show_speed(chosen, forecast)

    def _show_speed(self, budget: int, forecast: Forecast | None) -> None:
        """The curve over budgets, and in words what stands out in it."""
        prediction, measured = forecast.prediction if forecast else None, self._measured()
        parts: list[str] = []
        if prediction:
            parts.append(self.tr("about {0} tokens a second").format(units.number(prediction.tokens_per_second)))
        if measured:
            speed = units.number(measured) if parts else self.tr("{0} tokens a second").format(units.number(measured))
            words = self.tr("{0} measured with what is loaded") if self.needs_reload() else self.tr("{0} measured")
            parts.append(words.format(speed))
        self.budget.outcome.setText(", ".join(parts))
        points = [(share, p.tokens_per_second) for share, p in forecast.by_budget()] if forecast else []
        chosen = (self._share_of(budget), prediction.tokens_per_second) if prediction else None
        loaded = self._host.model
        mark = (self._share_of(loaded.planned_bytes), measured) if loaded and measured and points else None
        self.budget.curve.show_curve(points, chosen, mark)
        _describe(self.budget.curve, self.tr("Predicted speed by memory budget"), self._in_words(points, parts))

    def _in_words(self, points: list[tuple[float, float]], parts: list[str]) -> str:
        """A curve for those who do not see it: its ends, and what is chosen."""
        if not points:
            return self._why_no_curve()
        smallest, largest = self.limits()
        return self.tr("{0} tokens a second with {1}, {2} with {3}; chosen: {4}").format(
            units.number(points[0][1]), units.size(smallest), units.number(points[-1][1]), units.size(largest),
            ", ".join(parts),
        )  # fmt: skip

    def _show_window(self, window: int, forecast: Forecast | None) -> None:
        control = self.window_size
        control.slider.setValue(window)
        control.value.setText(self.tr("%Ln token(s)", "", window))
        low, high = control.slider.minimum(), control.slider.maximum()
        prediction = forecast.prediction if forecast else None
        curve = forecast.by_window(low, high) if forecast else []
        points = [(share, p.tokens_per_second) for share, p in curve]
        held = [(share, float(p.dram_bytes)) for share, p in curve]
        chosen = ((window - low) / (high - low), prediction.tokens_per_second) if prediction else None
        control.curve.show_curve(points, chosen, second=held)
        control.outcome.setText(self.tr("— speed   ╌ memory") if prediction else "")
        control.slider.setEnabled(not self._reads_all)
        control.words.setText(self._words_of_window(window, forecast))
        _describe(control.curve, self.tr("Predicted speed and memory by window"), control.words.text())

    def _words_of_small_context(self) -> str:
        """The use of keeping the context in 8 bits, and its cost as measured: of the loaded model, else of another."""
        about = self.tr("Room for a longer conversation, or more of the model in memory, where a model's attention can "
                        "do that; others stay as they are.")  # fmt: skip
        model = self._host.model
        loss, name = (model.context_loss, model.name) if model and model.context_loss else MEASURED_CONTEXT
        cost = self.tr("Answers lose some precision: measured with {0}, perplexity changes by {1}, and {2} of the "
                       "likeliest words stay the same.")  # fmt: skip
        return sentences(about, cost.format(name, units.signed_percent(loss.loss), units.percent(loss.agreement)))

    def _words_of_window(self, window: int, forecast: Forecast | None) -> str:
        if self._reads_all:
            return self.tr("All neurons are read for every token: the window makes no difference.")
        if forecast and forecast.holds_everything:
            return self.tr("Every neuron has room in memory: the window makes no difference.")
        prediction = forecast.prediction if forecast else None
        if prediction is None:
            return self.tr("Neurons that any of the last tokens used stay in memory. A longer window reads less from "
                           "flash, and needs a larger budget to have room.")  # fmt: skip
        found = self.tr("{0} of what a token needs is in memory already, and {1} are read for it.").format(
            units.percent(prediction.hit_rate), units.size(prediction.bytes_read)
        )
        if prediction.window < window - 0.05:
            room = self.tr("The budget has room for a window of about {0} only.")
            return sentences(found, room.format(units.number(prediction.window)))
        return found

    def _words_of_budget(self, budget: int, forecast: Forecast) -> str:
        """Words on what a budget holds, as planned by the engine's own rules."""
        model, (smallest, _) = forecast.model, forecast.limits
        if self._refused:
            return self._refused
        if budget < smallest:
            return self.tr("Too small: {0} needs {1}.").format(model.name, units.size(smallest))
        room = self.tr("A conversation has room for {0} tokens.").format(units.whole(forecast.longest_context))
        return sentences(self._words_of_memory(forecast), room)

    def _words_of_memory(self, forecast: Forecast) -> str:
        if not self._kind:
            return self.tr("All of the model is in memory: a larger budget makes no difference.")
        if self._reads_all:
            return self.tr("All neurons are read for every token: more memory makes that no faster.")
        return self._words_of_pool(forecast)

    def _words_of_pool(self, forecast: Forecast) -> str:
        pool, flash = forecast.planned.get("pool", 0), forecast.model.flash_bytes
        if forecast.holds_everything:
            whole = {
                "neuron": self.tr("Every neuron has room in memory, in {0} of it."),
                "expert": self.tr("Every expert has room in memory, in {0} of it."),
                "block": self.tr("All weights have room in memory, in {0} of it."),
            }
            return whole[self._kind].format(units.size(pool))
        some = {
            "neuron": self.tr("{0} of the neurons have room in memory, in {1} of it; the rest stays on flash."),
            "expert": self.tr("{0} of the experts have room in memory, in {1} of it; the rest stays on flash."),
            "block": self.tr("{0} of the weights have room in memory, in {1} of it; the rest is read for every token."),
        }[self._kind]
        return some.format(units.percent(pool / flash if flash else 1.0), units.size(pool)) + self._hits(forecast)

    def _hits(self, forecast: Forecast) -> str:
        """Words on what that means for a token of experts; neurons have the window's words for it."""
        prediction = forecast.prediction
        if self._kind != "expert" or prediction is None:
            return ""
        return " " + self.tr("{0} of what a token needs is in memory already, and {1} are read for it.").format(
            units.percent(prediction.hit_rate), units.size(prediction.bytes_read)
        )

    def _show_threshold(self, shift: float, selection: str) -> None:
        self.threshold.setEnabled(Selection(selection).predicts)
        self.threshold.slider.setValue(round(SHIFT_STEPS * shift))
        usual = shift == 0
        self.threshold.value.setText(self.tr("Default") if usual else self.tr("Threshold {0}").format(f"{shift:+.1f}"))
        model = self._host.model
        if not usual:
            self.threshold.words.setText(
                self.tr("In logits. What predicting costs was measured at the default threshold only, and predictions "
                        "of speed are made for it.")
            )  # fmt: skip
        elif model and model.settings.selection.predicts and model.loss is not None:
            self.threshold.words.setText(
                self.tr("As set while the model was prepared: {0} perplexity against exact selection, measured then.")
                .format(units.signed_percent(model.loss))
            )  # fmt: skip
        else:
            self.threshold.words.setText(self.tr("As set while the model was prepared."))

    def _show_threads(self, threads: int | None) -> None:
        profile = self._host.model.outlook.profile if self._host.model else None
        best = profile.threads if profile else None
        self.threads.setSpecialValueText(
            self.tr("Automatic ({0})").format(best) if best else self.tr("Automatic")
        )  # shown at the minimum, 0
        self.threads.setValue(threads or 0)

    def _measured(self) -> float | None:
        """Tokens a second of the recent tokens, as they were with what is loaded."""
        total = self._host.recent_tokens.means().get("total_ms")
        return 1000 / total if total and self._host.model else None

    def needs_reload(self) -> bool:
        """True if the loaded model was loaded with other values."""
        model = self._host.model
        if model is None:
            return self._host.state is State.FAILED
        chosen = self._settings.engine_settings()
        if not self._refused:  # the loaded model follows its budget
            chosen = replace(chosen, memory_budget=model.memory_budget)
        return model.settings != chosen or (chosen.reader_threads is None and model.advice_changed)

    # ------------------------------------------------------------------ changing
    def _set(self, name: str, value: object) -> None:
        if not self._showing:
            self._settings[f"memory.{name}"] = value

    def _on_budget(self, step: int) -> None:
        self._set("budget", self._budget_at(step))
        self._moving.start()

    def _on_automatic(self, on: bool) -> None:
        self._set("budget", None if on else self._budget_at(self.budget.slider.value()))
        self._moving.start()

    def _move_budget(self) -> None:
        """Let the loaded model follow, once the slider rests."""
        self._refused = ""
        if self._host.model and self._host.model.memory_budget != self._settings.engine_settings().memory_budget:
            self._host.move_budget(self._settings.engine_settings().memory_budget)

    def _on_refused(self, why: str) -> None:
        self._refused = why
        self._show_values()

    def _on_window(self, tokens: int) -> None:
        self._set("window", tokens)

    def _on_selection(self) -> None:
        self._set("selection", self.selection.currentData())

    def _on_small_context(self, on: bool) -> None:
        self._set("small_context", on)

    def _on_drafts(self) -> None:
        self._set("drafts", self.drafts.currentData())

    def _on_draft_model(self, name: str) -> None:
        self._set("draft_model", name)

    def _on_threshold(self, step: int) -> None:
        self._set("threshold_shift", step / SHIFT_STEPS)

    def _on_threads(self, count: int) -> None:
        self._set("reader_threads", count or None)

    def _on_text(self) -> None:
        if self.isVisible() and not self._measuring.isActive():
            self._measuring.start()


def _column(*widgets: QWidget) -> QWidget:
    """Widgets one under the other."""
    both = QWidget()
    column = QVBoxLayout(both)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
    return both


def _most() -> int:
    return round((1 - SYSTEM_SHARE) * memory_total())


def _describe(widget: QWidget, name: str, words: str) -> None:
    widget.setAccessibleName(name)
    widget.setAccessibleDescription(words)
    set_tip(widget, words)

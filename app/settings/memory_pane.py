"""Memory & Speed: how much memory a model may take, and how its neurons are kept and chosen."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton, QSlider, QSpinBox, QVBoxLayout, QWidget

from app import units
from app.engine_host import EngineHost, ModelInfo, State
from app.labels import Label, quiet
from app.machine import memory_total
from app.settings.panes import Pane
from app.settings.registry import BY_KEY, Settings

STEPS = 1000  # of the budget's slider
LEFT_TO_SYSTEM = 0.25  # of the machine's memory, which a budget does not reach


class ValueSlider(QWidget):
    """One strong value, a slider, and what its ends mean."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.value = Label(weight=QFont.Weight.DemiBold)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.low, self.high = quiet(), quiet()
        self.words = quiet()
        self.words.setWordWrap(True)
        self.words.setMinimumHeight(2 * self.words.fontMetrics().lineSpacing())  # whatever they say
        self.words.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.value.setMinimumHeight(self.value.sizeHint().height())
        for end in (self.low, self.high):
            end.setMinimumHeight(end.fontMetrics().lineSpacing())
        self.slider.setMinimumHeight(self.slider.sizeHint().height())
        ends = QHBoxLayout()
        ends.addWidget(self.low)
        ends.addStretch()
        ends.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.value)
        layout.addWidget(self.slider)
        layout.addLayout(ends)
        layout.addWidget(self.words)


class MemoryPane(Pane):
    """`reload_asked`: the model is to be loaded again, with what was chosen here."""

    reload_asked = Signal()

    def __init__(self, settings: Settings, host: EngineHost, parent: QWidget | None = None):
        super().__init__(settings, parent)
        self._host = host
        self._showing = False
        self.budget = ValueSlider()
        self.budget.slider.setRange(0, STEPS)
        self.budget.slider.setPageStep(STEPS // 20)
        self.budget.slider.setAccessibleName(self.tr("Memory budget"))
        self.automatic = QCheckBox(self.tr("Choose for me: room for half of the FFN weights"))
        self.automatic.setAccessibleName(self.automatic.text())
        budget = QWidget()
        column = QVBoxLayout(budget)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.budget)
        column.addWidget(self.automatic)
        window = BY_KEY["memory.window"]
        self.window_size = ValueSlider()
        self.window_size.slider.setRange(int(window.minimum), int(window.maximum))
        self.window_size.slider.setAccessibleName(self.tr("Window"))
        self.window_size.low.setText(f"{window.minimum}")
        self.window_size.high.setText(f"{window.maximum}")
        self.window_size.words.setText(
            self.tr("Neurons that any of the last tokens used stay in memory. A longer window reads less from flash, "
                    "and needs a larger budget to have room.")
        )  # fmt: skip
        self.selection = QComboBox()
        for key, name in (
            ("predictor", self.tr("Predicted")),
            ("exact", self.tr("Exact")),
            ("dense", self.tr("All neurons")),
        ):
            self.selection.addItem(name, key)
        self.threads = QSpinBox(minimum=1, maximum=int(BY_KEY["memory.reader_threads"].maximum))
        self.threads.setMaximumWidth(90)
        self.add_row(self.tr("Memory budget"), budget)
        self.add_row(self.tr("Window"), self.window_size)
        self.add_row(
            self.tr("Selection"),
            self.selection,
            self.tr("Predictors guess which neurons a token needs. Exact selection computes it, from weights that stay "
                    "in memory. All neurons: the reference, which reads everything for every token."),
        )  # fmt: skip
        self.add_row(self.tr("Reader threads"), self.threads, self.tr("Reads that are under way at the same time."))
        self._add_reload()
        self._connect()
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
        self.threads.valueChanged.connect(self._on_threads)
        self._settings.changed.connect(self._show_values)
        self._host.state_changed.connect(self._show_values)

    # ------------------------------------------------------------------ the budget's range
    def limits(self) -> tuple[int, int]:
        """The smallest budget that works, and the largest that makes sense here, in bytes."""
        model, most = self._host.model, round((1 - LEFT_TO_SYSTEM) * memory_total())
        if model is None:
            return round(0.05 * most), most
        return model.smallest_budget, max(min(model.full_budget, most), model.smallest_budget + 1)

    def _budget_at(self, step: int) -> int:
        smallest, largest = self.limits()
        return smallest + round((largest - smallest) * step / STEPS)

    def _step_of(self, budget: int) -> int:
        smallest, largest = self.limits()
        return round(STEPS * (budget - smallest) / (largest - smallest))

    # ------------------------------------------------------------------ showing
    def _show_values(self) -> None:
        self._showing = True
        values, model = self._settings.section("memory"), self._host.model
        self._show_budget(values["budget"], model)
        self.window_size.slider.setValue(values["window"])
        self.window_size.value.setText(self.tr("%n token(s)", "", values["window"]))
        self.selection.setCurrentIndex(self.selection.findData(values["selection"]))
        self.threads.setValue(values["reader_threads"])
        self._row.setVisible(self.needs_reload())
        self.reload.setEnabled(self._host.state in (State.READY, State.FAILED))
        self._showing = False

    def _show_budget(self, budget: int | None, model: ModelInfo | None) -> None:
        smallest, largest = self.limits()
        chosen = budget or (model.planned_bytes if model else self._budget_at(STEPS // 2))
        self.automatic.setChecked(budget is None)
        self.budget.slider.setEnabled(budget is not None)
        self.budget.slider.setValue(self._step_of(chosen))
        self.budget.value.setText(units.size(chosen))
        if model is None:
            self.budget.low.setText(units.size(smallest))
            self.budget.high.setText(self.tr("{0}, the most for this machine").format(units.size(largest)))
            self.budget.words.setText(self.tr("No model is loaded: its own smallest budget is not known."))
            return
        self.budget.low.setText(self.tr("{0}, the smallest for {1}").format(units.size(smallest), model.name))
        everything = largest >= model.full_budget
        high = self.tr("{0}, everything in memory") if everything else self.tr("{0}, the most for this machine")
        self.budget.high.setText(high.format(units.size(largest)))
        self.budget.words.setText(self._words(chosen, model))

    def _words(self, budget: int, model: ModelInfo) -> str:
        """What a budget holds, as planned by the engine's own rules."""
        if budget < model.smallest_budget:
            return self.tr("Too small: {0} needs {1}.").format(model.name, units.size(model.smallest_budget))
        fixed = model.planned_bytes - model.planned.get("neuron_pool", 0)
        pool = max(0, min(budget - fixed, model.flash_bytes))
        share = pool / model.flash_bytes if model.flash_bytes else 1.0
        return self.tr("The neuron pool gets {0}: room for {1} of the neurons. All else takes {2}.").format(
            units.size(pool), units.percent(share), units.size(fixed)
        )

    def needs_reload(self) -> bool:
        """Whether the loaded model was loaded with other values."""
        model, values = self._host.model, self._settings.section("memory")
        if model is None:
            return self._host.state is State.FAILED
        loaded = (model.memory_budget, model.window, model.selection, model.reader_threads)
        return loaded != tuple(values[name] for name in ("budget", "window", "selection", "reader_threads"))

    # ------------------------------------------------------------------ changing
    def _set(self, name: str, value) -> None:
        if not self._showing:
            self._settings[f"memory.{name}"] = value

    def _on_budget(self, step: int) -> None:
        self._set("budget", self._budget_at(step))

    def _on_automatic(self, on: bool) -> None:
        self._set("budget", None if on else self._budget_at(self.budget.slider.value()))

    def _on_window(self, tokens: int) -> None:
        self._set("window", tokens)

    def _on_selection(self) -> None:
        self._set("selection", self.selection.currentData())

    def _on_threads(self, count: int) -> None:
        self._set("reader_threads", count)

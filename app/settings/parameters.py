"""The parameters of a conversation's answers: those that differ from the defaults, beside the composer."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.host.model_info import ModelInfo
from app.settings.registry import BY_KEY, Preferences
from app.widgets import units
from app.widgets.card import paint_card
from app.widgets.colours import colours, is_dark
from app.widgets.fields import TakesText
from app.widgets.fitting import FittingArea
from app.widgets.labels import quiet, set_tip
from app.widgets.language import tr

NUMBER_NAMES = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "max_tokens",
)
STEPS = {"top_k": 1, "max_tokens": 64}  # of the others:
USUAL_STEP = 0.05
EFFORTS = ("low", "medium", "high")
PROMPT_LINES = 3
RADIUS = 14  # pixels
Parameters = dict[str, Any]  # of a conversation: those that differ from the defaults, by name


def options_of(parameters: Parameters, settings: Preferences) -> dict[str, Any]:
    """The options of a conversation's answers: its own values where it has valid ones, else the defaults."""
    defaults = settings.section("chat")
    own = {k: v for k, v in parameters.items() if k in defaults and BY_KEY[f"chat.{k}"].accepts(v)}
    return defaults | own


def template_options(parameters: Parameters) -> dict[str, Any]:
    """Options that a model is told beside the messages: how to think, and whether without its chat template."""
    thinking, effort = parameters.get("enable_thinking"), parameters.get("reasoning_effort")
    return {
        "enable_thinking": thinking if isinstance(thinking, bool) else None,
        "reasoning_effort": effort if isinstance(effort, str) and effort in EFFORTS else None,
        "plain_format": parameters.get("plain_format") is True,
    }


class NumberField(QWidget):
    """A number with its name. Below the least one stands the model's default, where nothing needs to be chosen."""

    changed = Signal(str, object)

    def __init__(self, name: str, title: str, parent: QWidget | None = None):
        super().__init__(parent)
        setting = BY_KEY[f"chat.{name}"]
        self._name = name
        (self._least, greatest), self._optional = setting.bounds, setting.optional
        step = STEPS.get(name, USUAL_STEP)
        lowest = self._least - step if setting.optional else self._least
        self.box: QDoubleSpinBox | QSpinBox
        if setting.kind is float:
            self.box = QDoubleSpinBox(decimals=2, minimum=lowest, maximum=greatest, singleStep=step)
        else:
            self.box = QSpinBox(minimum=int(lowest), maximum=int(greatest), singleStep=int(step))
        self.box.setAccessibleName(title)
        set_tip(self.box, tr(setting.about))
        self.box.setKeyboardTracking(False)
        self.box.valueChanged.connect(self._on_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(quiet(title))
        layout.addWidget(self.box)
        self.set_default(None)

    def set_default(self, value: float | None, advised: bool = False) -> None:
        """The value where none is chosen, None while no model is loaded. advised: by the model's makers."""
        if not self._optional:
            return
        words = self.tr("model's default {0}") if advised else self.tr("Flashbulb's default {0}")
        given = self.tr("model's default") if value is None else words.format(units.plain(value))
        self.box.setSpecialValueText(given)

    def set_value(self, value: float | None) -> None:
        self.box.blockSignals(True)
        self.box.setValue(self.box.minimum() if value is None else value)  # type: ignore[arg-type]
        self.box.blockSignals(False)

    def _on_changed(self, value: float) -> None:
        if self._optional and value < self._least - USUAL_STEP / 100:
            self.changed.emit(self._name, None)
        else:
            self.changed.emit(self._name, round(max(value, self._least), 4) if isinstance(value, float) else value)


class PromptField(TakesText, QPlainTextEdit):
    """The system prompt."""


class ParametersForm(QWidget):
    """System prompt and sampling. `changed` carries a name and its value."""

    changed = Signal(str, object)

    def __init__(self, columns: int = 3, parent: QWidget | None = None):
        super().__init__(parent)
        titles = {
            "temperature": self.tr("Temperature"),
            "top_p": self.tr("Top p"),
            "top_k": self.tr("Top k (0: all)"),
            "min_p": self.tr("Min p"),
            "repetition_penalty": self.tr("Repetition penalty"),
            "presence_penalty": self.tr("Presence penalty"),
            "frequency_penalty": self.tr("Frequency penalty"),
            "max_tokens": self.tr("Maximum answer length (tokens)"),
        }
        self.prompt = PromptField(tabChangesFocus=True)
        self.prompt.setPlaceholderText(self.tr("What the model is told before the chat begins"))
        self.prompt.setAccessibleName(self.tr("System prompt"))
        self.prompt.setFixedHeight(PROMPT_LINES * self.prompt.fontMetrics().lineSpacing() + 14)
        self.prompt.textChanged.connect(self._on_prompt)
        self.fields = {name: NumberField(name, titles[name]) for name in NUMBER_NAMES}
        self.seeded = QCheckBox(self.tr("Seed"))
        set_tip(self.seeded, tr(BY_KEY["chat.seed"].about))
        self.seed = QSpinBox(maximum=BY_KEY["chat.seed"].whole_bounds[1])
        self.seed.setKeyboardTracking(False)
        self.seed.setAccessibleName(self.tr("Seed"))
        for signal in (self.seeded.toggled, self.seed.valueChanged):
            signal.connect(self._on_seed)
        seeds = QVBoxLayout()
        seeds.setSpacing(0)
        seeds.addWidget(self.seeded)
        seeds.addWidget(self.seed)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(8)
        for index, field in enumerate(self.fields.values()):
            field.changed.connect(self.changed)
            grid.addWidget(field, *divmod(index, columns))
        grid.addLayout(seeds, *divmod(len(self.fields), columns))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(quiet(self.tr("System prompt")))
        layout.addWidget(self.prompt)
        layout.addLayout(grid)

    def show_defaults(self, sampling: Mapping[str, float], advised: Collection[str]) -> None:
        """Show what is used where nothing is chosen, by name. advised: names of what the model's makers advise."""
        for name, field in self.fields.items():
            field.set_default(sampling.get(name), name in advised)

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Values by name, all of them."""
        widgets = (self.prompt, self.seeded, self.seed)
        for widget in widgets:
            widget.blockSignals(True)
        if self.prompt.toPlainText() != values["system_prompt"]:
            self.prompt.setPlainText(values["system_prompt"])
        for name, field in self.fields.items():
            field.set_value(values[name])
        self.seeded.setChecked(values["seed"] is not None)
        self.seed.setValue(values["seed"] or 0)
        self.seed.setEnabled(values["seed"] is not None)
        for widget in widgets:
            widget.blockSignals(False)

    def _on_prompt(self) -> None:
        self.changed.emit("system_prompt", self.prompt.toPlainText())

    def _on_seed(self) -> None:
        self.seed.setEnabled(self.seeded.isChecked())
        self.changed.emit("seed", self.seed.value() if self.seeded.isChecked() else None)


class ReasoningForm(QWidget):
    """The wanted way of reasoning, as far as the chat template can be told. `changed` carries a name and its value."""

    changed = Signal(str, object)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        usual = self.tr("as the model does by itself")
        self.thinking = _choices((usual, None), (self.tr("on"), True), (self.tr("off"), False))
        self.effort = _choices(
            (usual, None), (self.tr("low"), "low"), (self.tr("medium"), "medium"), (self.tr("high"), "high")
        )
        self.plain_format = QCheckBox(self.tr("Plain format, without the model's chat template"))
        self._names = {name: quiet(title) for name, title in (
            ("enable_thinking", self.tr("Thinking")), ("reasoning_effort", self.tr("Reasoning effort")))}  # fmt: skip
        self._boxes = {"enable_thinking": self.thinking, "reasoning_effort": self.effort}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for name, box in self._boxes.items():
            box.setAccessibleName(self._names[name].text())
            box.activated.connect(partial(self._on_chosen, name))
            row.addWidget(self._names[name])
            row.addWidget(box)
        row.addWidget(self.plain_format)
        row.addStretch()
        self.plain_format.clicked.connect(self._on_plain_format)

    def show_values(self, parameters: Parameters, controls: Collection[str]) -> None:
        """A conversation's parameters, and the options that the model's template knows."""
        values = template_options(parameters)
        for name, box in self._boxes.items():
            box.setCurrentIndex(box.findData(values[name]))
            for widget in (box, self._names[name]):
                widget.setVisible(name in controls)
        self.plain_format.setChecked(values["plain_format"])
        self.plain_format.setVisible(values["plain_format"])  # it is offered where a template fails
        self.setVisible(bool(controls) or values["plain_format"])

    def _on_chosen(self, name: str, _index: int) -> None:
        self.changed.emit(name, self._boxes[name].currentData())

    def _on_plain_format(self, checked: bool) -> None:
        self.changed.emit("plain_format", checked or None)


def _choices(*choices: tuple[str, object]) -> QComboBox:
    box = QComboBox()
    for words, value in choices:
        box.addItem(words, value)
    return box


class ParametersPanel(QWidget):
    """The card above the composer. Works on a conversation's `parameters`: those that differ from the defaults."""

    changed = Signal()

    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(parent)
        self._settings = settings
        self._parameters: Parameters = {}
        self._controls: Collection[str] = ()
        self.reasoning = ReasoningForm()
        self.reasoning.changed.connect(self._on_reasoning)
        self.form = ParametersForm()
        self.form.changed.connect(self._on_changed)
        self.reset = QPushButton(self.tr("Use Defaults"))
        self.reset.clicked.connect(self._on_reset)
        row = QHBoxLayout()
        row.addWidget(quiet(self.tr("For this chat. Defaults are in Settings.")), 1)
        row.addWidget(self.reset)
        fields = QWidget()
        column = QVBoxLayout(fields)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.form)
        column.addWidget(self.reasoning)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.addWidget(FittingArea(fields))
        layout.addLayout(row)
        self._refresh()
        settings.changed.connect(self._on_defaults)

    def show_parameters(self, parameters: Parameters) -> None:
        """Show, and from now on change, a conversation's parameters."""
        self._parameters = parameters
        self._refresh()

    def show_model(self, model: ModelInfo) -> None:
        """Show the loaded model's sampling where none is chosen, and the options of reasoning that it has."""
        self._controls = model.reasoning_controls
        self.form.show_defaults(model.sampling, model.advised)
        self._refresh()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        paint_card(self, shades.hairline, shades.card if is_dark(self.palette()) else shades.base, RADIUS)

    def _on_changed(self, name: str, value: object) -> None:
        if value == self._settings[f"chat.{name}"]:
            self._parameters.pop(name, None)
        else:
            self._parameters[name] = value
        self.reset.setEnabled(bool(self._parameters))
        self.changed.emit()

    def _on_reasoning(self, name: str, value: object) -> None:
        if value is None:
            self._parameters.pop(name, None)
        else:
            self._parameters[name] = value
        self._refresh()
        self.changed.emit()

    def _on_reset(self) -> None:
        self._parameters.clear()
        self._refresh()
        self.changed.emit()

    def _on_defaults(self, key: str, _value: object) -> None:
        if key.startswith("chat."):
            self._refresh()

    def _refresh(self) -> None:
        self.form.show_values(options_of(self._parameters, self._settings))
        self.reasoning.show_values(self._parameters, self._controls)
        self.reset.setEnabled(bool(self._parameters))

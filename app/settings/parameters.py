"""How this conversation is answered: what differs from the defaults, beside the composer where it is needed."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from app.settings.registry import BY_KEY, Preferences
from app.widgets.card import paint_card
from app.widgets.colours import colours, is_dark
from app.widgets.fields import TakesText
from app.widgets.labels import quiet, set_tip
from app.widgets.language import tr

NUMBERS = ("temperature", "top_p", "top_k", "repetition_penalty", "max_tokens")
STEPS = {"temperature": 0.05, "top_p": 0.05, "repetition_penalty": 0.05, "max_tokens": 64}
PROMPT_LINES = 3
RADIUS = 14


def options_of(parameters: dict, settings: Preferences) -> dict:
    """What a conversation's answers are made with: its own values where it has valid ones, else the defaults."""
    defaults = settings.section("chat")
    own = {k: v for k, v in parameters.items() if k in defaults and BY_KEY[f"chat.{k}"].accepts(v)}
    return defaults | own


class NumberField(QWidget):
    """A number with its name; `key` is that of its setting."""

    changed = Signal(str, object)

    def __init__(self, name: str, title: str, parent: QWidget | None = None):
        super().__init__(parent)
        setting = BY_KEY[f"chat.{name}"]
        self._name = name
        self.box = QDoubleSpinBox(decimals=2) if setting.kind is float else QSpinBox()
        self.box.setRange(setting.minimum, setting.maximum)
        self.box.setSingleStep(STEPS.get(name, 1))
        self.box.setAccessibleName(title)
        set_tip(self.box, tr(setting.about))
        self.box.setKeyboardTracking(False)
        self.box.valueChanged.connect(self._on_changed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(quiet(title))
        layout.addWidget(self.box)

    def set_value(self, value) -> None:
        self.box.blockSignals(True)
        self.box.setValue(value)
        self.box.blockSignals(False)

    def _on_changed(self, value) -> None:
        self.changed.emit(self._name, round(value, 4) if isinstance(value, float) else value)


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
            "repetition_penalty": self.tr("Repetition penalty"),
            "max_tokens": self.tr("Maximum answer length (tokens)"),
        }
        self.prompt = PromptField(tabChangesFocus=True)
        self.prompt.setPlaceholderText(self.tr("What the model is told before the chat begins"))
        self.prompt.setAccessibleName(self.tr("System prompt"))
        self.prompt.setFixedHeight(PROMPT_LINES * self.prompt.fontMetrics().lineSpacing() + 14)
        self.prompt.textChanged.connect(self._on_prompt)
        self.fields = {name: NumberField(name, titles[name]) for name in NUMBERS}
        self.seeded = QCheckBox(self.tr("Seed"))
        set_tip(self.seeded, tr(BY_KEY["chat.seed"].about))
        self.seed = QSpinBox(maximum=int(BY_KEY["chat.seed"].maximum), keyboardTracking=False)
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

    def show_values(self, values: dict) -> None:
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


class ParametersPanel(QWidget):
    """The card above the composer. Works on a conversation's `parameters`: those that differ from the defaults."""

    changed = Signal()

    def __init__(self, settings: Preferences, parent: QWidget | None = None):
        super().__init__(parent)
        self._settings = settings
        self._parameters: dict = {}
        self.form = ParametersForm()
        self.form.changed.connect(self._on_changed)
        self.reset = QPushButton(self.tr("Use Defaults"))
        self.reset.clicked.connect(self._on_reset)
        row = QHBoxLayout()
        row.addWidget(quiet(self.tr("For this chat. Defaults are in Settings.")), 1)
        row.addWidget(self.reset)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.addWidget(self.form)
        layout.addLayout(row)
        settings.changed.connect(self._on_defaults)

    def show_parameters(self, parameters: dict) -> None:
        """Show, and from now on change, a conversation's parameters."""
        self._parameters = parameters
        self._refresh()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        paint_card(self, shades.hairline, shades.card if is_dark(self.palette()) else shades.base, RADIUS)

    def _on_changed(self, name: str, value) -> None:
        if value == self._settings[f"chat.{name}"]:
            self._parameters.pop(name, None)
        else:
            self._parameters[name] = value
        self.reset.setEnabled(bool(self._parameters))
        self.changed.emit()

    def _on_reset(self) -> None:
        self._parameters.clear()
        self._refresh()
        self.changed.emit()

    def _on_defaults(self, key: str, _value) -> None:
        if key.startswith("chat."):
            self._refresh()

    def _refresh(self) -> None:
        self.form.show_values(options_of(self._parameters, self._settings))
        self.reset.setEnabled(bool(self._parameters))

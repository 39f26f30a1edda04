"""The page of an empty conversation: which model is there, and ways to begin."""

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.chat.guide import Guide
from app.widgets.labels import Label
from app.widgets.language import sentences
from engine.system.built_in import ASSISTANT, STARTER

EXAMPLE_WIDTH, EXAMPLE_HEIGHT = 270, 30
# The models that are built in know English only, so theirs are not translated.
STARTER_EXAMPLES = ("Hi, how are you today?", "What do you like to do for fun?", "I just got a puppy!")
ASSISTANT_EXAMPLES = ("What is the capital of France?", "Why is the sky blue?", "Write a short poem about the sea")


class Welcome(QWidget):
    """A few friendly words and three examples to click; at the first start, what this computer can run."""

    chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.title = Label("Flashbulb", factor=1.7, weight=QFont.Weight.DemiBold)
        self.about = Label(self.tr("Nothing leaves this computer."), colour="quiet")
        self.about.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        layout.addStretch(2)
        for label in (self.title, self.about):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(label)
        layout.addSpacing(14)
        self.examples = [QPushButton() for _ in STARTER_EXAMPLES]
        for button in self.examples:
            button.setFixedWidth(EXAMPLE_WIDTH)
            button.setMinimumHeight(EXAMPLE_HEIGHT)
            button.clicked.connect(partial(self._choose, button))
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)
        self.guide = Guide()
        row = QHBoxLayout()  # with an alignment instead, wrapped text would not get its height
        row.addStretch()
        row.addWidget(self.guide, 100)
        row.addStretch()
        layout.addSpacing(22)
        layout.addLayout(row)
        layout.addStretch(3)
        self.describe("Flashbulb")

    def describe(self, name: str, model: str = "") -> None:
        """Name the model that is loaded now, and offer what it can answer. model: what it is loaded by."""
        self.title.setText(name)
        self.about.setText(sentences(self._about(model), self.tr("Nothing leaves this computer.")))
        examples = {STARTER: STARTER_EXAMPLES, ASSISTANT: ASSISTANT_EXAMPLES}.get(model) or self._questions()
        for button, text in zip(self.examples, examples, strict=True):
            button.setText(text)
            button.show()

    def describe_nothing(self) -> None:
        """No model is loaded, so there is nothing to ask."""
        self.title.setText(self.tr("No model is loaded"))
        self.about.setText(self.tr("Choose one at the top of the window."))
        for button in self.examples:
            button.hide()

    def _about(self, model: str) -> str:
        """Words on what can be expected of a model that is built in."""
        about = {
            STARTER: self.tr("A small model for small talk, in English."),
            ASSISTANT: self.tr("A small assistant, in English: quick, and often wrong."),
        }
        return about.get(model, "")

    def _questions(self) -> tuple[str, str, str]:
        """For a model that knows things, in the window's language."""
        return (
            self.tr("Explain how a heat pump works"),
            self.tr("Suggest three quick dinners"),
            self.tr("Write a short poem about the sea"),
        )

    def hideEvent(self, event: QHideEvent) -> None:
        if self.isHidden():  # a conversation has begun; not when the whole window is hidden
            self.guide.put_away()
        super().hideEvent(event)

    def _choose(self, button: QPushButton, _checked: bool = False) -> None:
        self.chosen.emit(button.text())

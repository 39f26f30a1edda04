"""What an empty conversation shows: what the model is, and ways to begin."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QHideEvent
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.chat.guide import Guide
from app.widgets.labels import Label

EXAMPLE_WIDTH, EXAMPLE_HEIGHT = 270, 30
# The starter model knows English only, so these are not translated.
EXAMPLES = ("Hi, how are you today?", "What do you like to do for fun?", "I just got a puppy!")


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
        self.examples = [QPushButton(text) for text in EXAMPLES]
        for button in self.examples:
            button.setFixedWidth(EXAMPLE_WIDTH)
            button.setMinimumHeight(EXAMPLE_HEIGHT)
            button.clicked.connect(self._on_clicked)
            layout.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)
        self.guide = Guide()
        row = QHBoxLayout()  # with an alignment instead, wrapped text would not get its height
        row.addStretch()
        row.addWidget(self.guide, 100)
        row.addStretch()
        layout.addSpacing(22)
        layout.addLayout(row)
        layout.addStretch(3)

    def describe(self, *, starter: bool) -> None:
        """Say what the model is, as far as we know."""
        private = self.tr("Nothing leaves this computer.")
        small = self.tr("A small model trained for small talk. Nothing leaves this computer.")
        self.about.setText(small if starter else private)

    def hideEvent(self, event: QHideEvent) -> None:
        if self.isHidden():  # a conversation has begun; not when the whole window is hidden
            self.guide.put_away()
        super().hideEvent(event)

    def _on_clicked(self) -> None:
        self.chosen.emit(self.sender().text())

"""A line that says that a chat was written with another model than the one that is loaded, and offers that one."""

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from app.library.rows import name_of
from app.widgets.labels import ChatLabel, quiet
from engine.system.built_in import built_in


class ModelLine(QWidget):
    """Hidden, unless there is something to offer. Models are named as `models.last` does."""

    asked = Signal(str)  # the model

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._model = ""
        self.label = quiet(kind=ChatLabel)
        self.button = QPushButton(self.tr("Use It Again"))
        self.button.clicked.connect(self._on_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addStretch()
        row.addWidget(self.label, 0, Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self.button)
        row.addStretch()
        self.hide()

    def offer(self, model: str, present: str) -> None:
        """Say it, if a chat's model is another than the present one, and is still there."""
        there = model in built_in() or (bool(model) and Path(model).exists())
        self._model = model if there and model != present else ""
        self.label.setText(self.tr("This chat was written with {0}.").format(name_of(model)))
        self.setVisible(bool(self._model))

    def _on_clicked(self) -> None:
        self.asked.emit(self._model)

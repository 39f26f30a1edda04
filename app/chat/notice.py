"""Something went wrong: said in place, with what can be done about it."""

from PySide6.QtCore import Signal
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QHBoxLayout, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from app.widgets.labels import Label

DETAILS_HEIGHT = 140


class Notice(QWidget):
    """A message, an optional action, and details that stay folded until they are asked for."""

    acted = Signal()

    def __init__(self, message: str, details: str = "", action: str = "", parent: QWidget | None = None):
        super().__init__(parent)
        self.message = Label(message, colour="error")
        self.message.setWordWrap(True)
        self.action = QPushButton(action)
        self.action.clicked.connect(self.acted)
        self.unfold = QPushButton(self.tr("Details"))
        self.unfold.setCheckable(True)
        self.details = QPlainTextEdit(details, readOnly=True)
        self.details.hide()
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.details.setFixedHeight(DETAILS_HEIGHT)
        self.details.setAccessibleName(self.tr("Details of the error"))
        self.unfold.toggled.connect(self.details.setVisible)
        row = QHBoxLayout()
        row.addWidget(self.message, 1)
        row.addWidget(self.unfold)
        row.addWidget(self.action)
        for button, wanted in ((self.unfold, details), (self.action, action)):
            if not wanted:
                button.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.details)

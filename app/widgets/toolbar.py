"""A tool bar that stays put: native on a Mac, one with the title bar; elsewhere flat, with a hairline below."""

import sys

from PySide6.QtCore import Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QToolBar, QWidget

from app.widgets.colours import colours


class ToolBar(QToolBar):
    def __init__(self, name: str, parent: QWidget | None = None):
        super().__init__(name, parent)
        self.setMovable(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)

    def paintEvent(self, event: QPaintEvent) -> None:
        if sys.platform == "darwin":
            super().paintEvent(event)
            return
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().window())
        painter.fillRect(0, self.height() - 1, self.width(), 1, colours(self.palette()).hairline)

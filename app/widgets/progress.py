"""A thin bar that fills: in one shade on a track that can be seen on every ground."""

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QProgressBar, QWidget

from app.widgets.colours import colours

HEIGHT, STEPS = 6, 1000


class ThinBar(QProgressBar):
    """`name` is for screen readers. Values go from 0 to STEPS."""

    def __init__(self, name: str, parent: QWidget | None = None):
        super().__init__(parent, textVisible=False, maximum=STEPS)
        self.setAccessibleName(name)
        self.setFixedHeight(HEIGHT)

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        area = QRectF(self.rect())
        painter.setBrush(shades.hairline)
        painter.drawRoundedRect(area, HEIGHT / 2, HEIGHT / 2)
        area.setWidth(max(HEIGHT, area.width() * self.value() / STEPS))
        painter.setBrush(shades.accent)
        painter.drawRoundedRect(area, HEIGHT / 2, HEIGHT / 2)

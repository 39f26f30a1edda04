"""A sign of the keyboard's place: a ring in what has none of its own, unless a mouse brought the focus there."""

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QFocusEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractScrollArea, QWidget

from app.widgets.colours import colours

Reason = Qt.FocusReason
KEYBOARD_REASONS = (Reason.TabFocusReason, Reason.BacktabFocusReason, Reason.ShortcutFocusReason)
WIDTH, RADIUS = 1.5, 4


def paint_ring(painter: QPainter, widget: QWidget) -> None:
    """The ring, just inside of a widget: around it there may be no room."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colours(widget.palette()).accent, WIDTH))
    half = WIDTH / 2
    painter.drawRoundedRect(QRectF(widget.rect()).adjusted(half, half, -half, -half), RADIUS, RADIUS)


class Ring(QWidget):
    """Lies over a widget that others paint on, or around it where it needs air, and goes along with it."""

    def __init__(self, widget: QWidget, air: int = 0):
        self._under = _with_room(widget) if air else widget
        super().__init__(self._under)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._widget, self._air = widget, air
        widget.installEventFilter(self)
        if air:
            widget.destroyed.connect(self.deleteLater)
            while (parent := widget.parentWidget()) is not None and parent is not self._under:
                parent.installEventFilter(self)
                widget = parent

    def fit(self) -> None:
        """Be where the widget is."""
        place = self._widget.mapTo(self._under, QPoint())
        air = self._air
        self.setGeometry(QRect(place, self._widget.size()).adjusted(-air, -air, air, air))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Move, QEvent.Type.Resize) and self.isVisible():
            self.fit()
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        paint_ring(QPainter(self), self)


def _with_room(widget: QWidget) -> QWidget:
    """The widget that scrolls with it, or else its window: so far a ring around it is not cut off."""
    around: Any = widget.parentWidget()
    while not around.isWindow() and not isinstance(around.parentWidget().parentWidget(), QAbstractScrollArea):
        around = around.parentWidget()
    found: QWidget = around
    return found


if TYPE_CHECKING:
    Base = QWidget
else:
    Base = object


class Ringed(Base):
    """To stand before a widget's class among its bases. ring_air: pixels between it and the ring around it; 0: the ring
    is just inside of it."""

    ring_air = 0
    _ring: Ring | None = None

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        if event.reason() in KEYBOARD_REASONS:
            self._ring = self._ring or Ring(self, self.ring_air)
            self._ring.fit()
            self._ring.raise_()
            self._ring.show()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if self._ring is not None:
            self._ring.hide()

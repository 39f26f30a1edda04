"""A curve of what would be, over the values that a slider can take, with what is chosen and what was measured."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from app.monitor.plots import Plot
from app.widgets.colours import mix
from app.widgets.labels import SMALL_FACTOR, scaled

HEIGHT = 46  # pixels
INSET = 8  # pixels: half a slider's handle, so that the curve stands above or below it where it stands
HEADROOM = 1.15  # of the highest value
DOT_RADIUS = 3.5


class Curve(Plot):
    """Shares from 0 to 1 on the slider, and a value at each. `second`: another quantity, as a dashed line."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(HEIGHT, parent)
        self._instead = ""
        self._points: list[tuple[float, float]] = []
        self._second: list[tuple[float, float]] = []
        self._chosen: tuple[float, float] | None = None
        self._measured: tuple[float, float] | None = None

    def say_instead(self, words: str) -> None:
        """Say why there is no curve, where there is none."""
        self._instead = words
        self.update()

    def show_curve(
        self,
        points: list[tuple[float, float]],
        chosen: tuple[float, float] | None,
        measured: tuple[float, float] | None = None,
        second: list[tuple[float, float]] | None = None,
    ) -> None:
        shown = (points, chosen, measured, second or [])
        if shown != (self._points, self._chosen, self._measured, self._second):
            self._points, self._chosen, self._measured, self._second = shown
            self.update()

    def draw(self, painter: QPainter) -> None:
        floor = self.height() - 1
        painter.fillRect(QRectF(INSET, floor, self.width() - 2 * INSET, 1), self.shade("track"))
        if not self._points:
            painter.setPen(self.shade("quiet"))
            painter.setFont(scaled(self.font(), SMALL_FACTOR))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._instead)
            return
        marks = [self._measured] if self._measured else []
        highest = HEADROOM * max(value for _, value in (*self._points, *marks))
        line = [self._place(point, highest) for point in self._points]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._fill(painter, line, floor)
        painter.setPen(QPen(self.shade("flash"), 1.5))
        painter.drawPolyline(line)
        if self._second:
            most = HEADROOM * max(value for _, value in self._second)
            painter.setPen(QPen(self.shade("memory"), 1.5, Qt.PenStyle.DashLine))
            painter.drawPolyline([self._place(point, most) for point in self._second])
        if self._measured:
            self._mark_measured(painter, self._place(self._measured, highest))
        if self._chosen:
            self._mark_chosen(painter, self._place(self._chosen, highest), floor)

    def _place(self, point: tuple[float, float], highest: float) -> QPointF:
        share, value = point
        floor = self.height() - 1
        return QPointF(INSET + share * (self.width() - 2 * INSET), floor - floor * value / highest)

    def _fill(self, painter: QPainter, line: list[QPointF], floor: float) -> None:
        """Below the curve, up to what is chosen."""
        painter.save()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(self.shade("flash"), self.palette().window().color(), 0.85))
        end = INSET + self._chosen[0] * (self.width() - 2 * INSET) if self._chosen else self.width()
        painter.setClipRect(QRectF(0, 0, end, floor))
        painter.drawPolygon(QPolygonF([QPointF(line[0].x(), floor), *line, QPointF(line[-1].x(), floor)]))
        painter.restore()

    def _mark_chosen(self, painter: QPainter, at: QPointF, floor: float) -> None:
        painter.setPen(QPen(self.shade("quiet"), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(at.x(), at.y() + DOT_RADIUS), QPointF(at.x(), floor))
        painter.setPen(QPen(self.palette().window().color(), 1.5))
        painter.setBrush(self.shade("flash"))
        painter.drawEllipse(at, DOT_RADIUS + 1, DOT_RADIUS + 1)

    def _mark_measured(self, painter: QPainter, at: QPointF) -> None:
        """A hollow diamond: its form tells it from what is predicted."""
        size = DOT_RADIUS + 1.5
        path = QPainterPath(QPointF(at.x(), at.y() - size))
        for x, y in ((size, 0), (0, size), (-size, 0)):
            path.lineTo(at.x() + x, at.y() + y)
        path.closeSubpath()
        painter.setPen(QPen(self.shade("text"), 1.3))
        painter.setBrush(self.palette().window().color())
        painter.drawPath(path)

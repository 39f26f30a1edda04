"""The panel's pictures, painted with a pen of one pixel: quick at any rate of refresh, sharp on any screen."""

from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.host.recent_tokens import MAX_TOKENS
from app.widgets.colours import colours, mix

BAR_HEIGHT = 11
LINE_HEIGHT = 52
TOKENS_HEIGHT = 60
HEAT_HEIGHT = 126
MAX_ROW_HEIGHT = 10
SHADE_COUNT = 32  # of the heat map


class Plot(QWidget):
    """A picture of a fixed height; what it shows is also told in words by the section around it."""

    def __init__(self, height: int, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(240, self.height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        self.draw(painter)

    def draw(self, painter: QPainter) -> None:
        """Paint the picture."""
        raise NotImplementedError

    def shade(self, name: str) -> QColor:
        shade: QColor = getattr(colours(self.palette()), name)
        return shade


class StackedBar(Plot):
    """Parts of a whole, side by side. Parts are (colour's name, value)."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(BAR_HEIGHT, parent)
        self._parts: list[tuple[str, float]] = []
        self._total = 0.0

    def set_parts(self, parts: list[tuple[str, float]], total: float) -> None:
        self._parts, self._total = parts, total
        self.update()

    def draw(self, painter: QPainter) -> None:
        outline = QPainterPath()
        outline.addRoundedRect(QRectF(self.rect()), 3, 3)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipPath(outline)
        painter.fillRect(self.rect(), self.shade("track"))
        left = 0.0
        for name, value in self._parts:
            width = self.width() * value / self._total if self._total else 0
            painter.fillRect(QRectF(left, 0, max(width - 1, 0), self.height()), self.shade(name))
            left += width


class FilledLine(Plot):
    """A quantity over time, oldest first, with its peak as a dashed line."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(LINE_HEIGHT, parent)
        self._values: list[float] = []

    def set_values(self, values: list[float]) -> None:
        if values != self._values:
            self._values = values
            self.update()

    def draw(self, painter: QPainter) -> None:
        floor = self.height() - 1
        peak = max(self._values, default=0)
        if not peak:
            painter.fillRect(0, floor, self.width(), 1, self.shade("track"))
            return
        step, scale = self.width() / (len(self._values) - 1), (floor - 3) / peak
        points = [QPointF(i * step, floor - value * scale) for i, value in enumerate(self._values)]
        area = QPolygonF([QPointF(0, floor), *points, QPointF(self.width(), floor)])
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(mix(self.shade("flash"), self.palette().window().color(), 0.8))
        painter.drawPolygon(area)
        painter.setPen(QPen(self.shade("quiet"), 1, Qt.PenStyle.DotLine))
        painter.drawLine(0, 2, self.width(), 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.shade("flash"), 1))
        painter.drawPolyline(points)


class TokenBars(Plot):
    """A stacked bar for each recent token, the latest at the right. Parts are values for the given colours' names."""

    def __init__(self, names: tuple[str, ...], parent: QWidget | None = None):
        super().__init__(TOKENS_HEIGHT, parent)
        self._names = names
        self._bars: list[tuple[float, ...]] = []

    def set_bars(self, bars: list[tuple[float, ...]]) -> None:
        self._bars = bars
        self.update()

    def draw(self, painter: QPainter) -> None:
        painter.fillRect(0, self.height() - 1, self.width(), 1, self.shade("track"))
        highest = max((sum(bar) for bar in self._bars), default=0)
        if not highest:
            return
        shades = [self.shade(name) for name in self._names]
        for column, bar in zip(_columns(self.width(), len(self._bars)), self._bars, strict=True):
            bottom = float(self.height())
            for shade, value in zip(shades, bar, strict=True):
                height = self.height() * value / highest
                painter.fillRect(QRectF(column.left(), bottom - height, column.width(), height), shade)
                bottom -= height


class HeatMap(Plot):
    """Layers from top to bottom, recent tokens from left to right; the fuller the colour, the larger the share."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(HEAT_HEIGHT // 2, parent)
        self._columns: list[list[float]] = []

    def set_columns(self, columns: list[list[float]]) -> None:
        """A column a token, a share of one a layer."""
        self._columns = columns
        if columns:
            layers = len(columns[0])
            self.setFixedHeight(layers * max(1, min(MAX_ROW_HEIGHT, HEAT_HEIGHT // layers)))
        self.update()

    def draw(self, painter: QPainter) -> None:
        if not self._columns:
            painter.fillRect(0, self.height() - 1, self.width(), 1, self.shade("track"))
            return
        cells = self._image()
        row = self.height() / cells.height()
        for x, column in enumerate(_columns(self.width(), cells.width())):
            area = QRectF(column.left(), 0, column.width(), self.height())
            painter.drawImage(area, cells, QRectF(x, 0, 1, cells.height()))
        if row >= 4:  # enough room to tell the layers apart
            for y in range(1, cells.height()):
                painter.fillRect(QRectF(0, round(y * row) - 1, self.width(), 1), self.palette().window())

    def _image(self) -> QImage:
        layers, tokens = len(self._columns[0]), len(self._columns)
        highest = max(max(column) for column in self._columns) or 1
        full, window = self.shade("flash"), self.palette().window().color()
        scale = (SHADE_COUNT - 1) / highest
        shades = bytes([round(scale * share) for layer in zip(*self._columns, strict=True) for share in layer])
        image = QImage(shades, tokens, layers, tokens, QImage.Format.Format_Indexed8)
        image.setColorTable([mix(full, window, 0.92 * (1 - n / (SHADE_COUNT - 1))).rgb() for n in range(SHADE_COUNT)])
        return image.convertToFormat(QImage.Format.Format_RGB32)  # a copy: the bytes are gone after this


class ExpertMap(HeatMap):
    """Layers from top to bottom, a layer's experts from left to right; the fuller the colour, the more it is used."""

    def draw(self, painter: QPainter) -> None:
        if not self._columns:
            painter.fillRect(0, self.height() - 1, self.width(), 1, self.shade("track"))
            return
        painter.drawImage(QRectF(self.rect()), self._image())


def _columns(width: int, count: int) -> list[QRectF]:
    """The columns of the latest `count` tokens: whole pixels with a gap of one, filled from the right."""
    step = width / MAX_TOKENS
    edges = [round(width - (count - i) * step) for i in range(count + 1)]
    return [QRectF(left, 0, max(1, right - left - 1), 0) for left, right in pairwise(edges)]

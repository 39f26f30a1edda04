"""The handful of icons, drawn on a grid of 20 by 20 so that they are sharp on every screen."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap

GRID = 20
ICONS_FOLDER = Path(__file__).parents[2] / "resources" / "icon"


def application_icon() -> QIcon:
    """Flashbulb's own icon, in the sizes that it was drawn in; PNG, which Qt reads without plugins."""
    result = QIcon()
    for path in ICONS_FOLDER.glob("flashbulb-*.png"):
        result.addFile(str(path))
    return result


def icon(name: str, colour: QColor) -> QIcon:
    """The icon `name` in one colour. Ask for it again when the colour changes."""
    return _drawn(name, colour.rgba())


@cache
def _drawn(name: str, rgba: int) -> QIcon:
    colour = QColor.fromRgba(rgba)
    result = QIcon()
    for ratio in (1, 2, 3):
        pixmap = QPixmap(GRID * ratio, GRID * ratio)
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        paint(painter, name, colour)
        painter.end()
        result.addPixmap(pixmap)
    return result


def paint(painter: QPainter, name: str, colour: QColor) -> None:
    """Paint the icon `name` with its grid's origin at the painter's."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    PAINTERS[name](painter, colour)


def _lines(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline([QPointF(x, y) for x, y in points])


def _new_chat(painter: QPainter, _colour: QColor) -> None:
    page = QPainterPath(QPointF(10, 4))
    page.lineTo(6, 4)
    page.quadTo(4, 4, 4, 6)
    page.lineTo(4, 14)
    page.quadTo(4, 16, 6, 16)
    page.lineTo(14, 16)
    page.quadTo(16, 16, 16, 14)
    page.lineTo(16, 10)
    painter.drawPath(page)
    _lines(painter, (8, 12), (8.7, 9.3), (14.8, 3.2), (16.8, 5.2), (10.7, 11.3), (8, 12))


def _panel(painter: QPainter, colour: QColor) -> None:
    painter.drawRoundedRect(QRectF(3, 4, 14, 12), 2, 2)
    painter.fillRect(QRectF(11.5, 5, 4.5, 10), colour)


def _up(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (10, 15), (10, 5))
    _lines(painter, (5.5, 9.5), (10, 5), (14.5, 9.5))


def _down(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (10, 5), (10, 15))
    _lines(painter, (5.5, 10.5), (10, 15), (14.5, 10.5))


def _stop(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawRoundedRect(QRectF(6, 6, 8, 8), 1.2, 1.2)


def _copy(painter: QPainter, _colour: QColor) -> None:
    painter.drawRoundedRect(QRectF(7.5, 7.5, 8, 8.5), 1.5, 1.5)
    _lines(painter, (5, 12), (4.5, 11.5), (4.5, 5), (5, 4.5), (11, 4.5), (11.5, 5))


def _done(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (5, 10.5), (8.5, 14), (15, 6.5))


def _left(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (12, 5.5), (7.5, 10), (12, 14.5))


def _right(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (8, 5.5), (12.5, 10), (8, 14.5))


def _edit(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (5, 15), (5.8, 11.8), (13.2, 4.4), (15.6, 6.8), (8.2, 14.2), (5, 15))
    _lines(painter, (11.5, 6.1), (13.9, 8.5))


def _again(painter: QPainter, _colour: QColor) -> None:
    painter.drawArc(QRectF(4.5, 4.5, 11, 11), 60 * 16, 290 * 16)
    _lines(painter, (12.4, 2.8), (13, 5.6), (10.2, 6.4))


def _info(painter: QPainter, colour: QColor) -> None:
    painter.drawEllipse(QRectF(4, 4, 12, 12))
    _lines(painter, (10, 9.5), (10, 13))
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.drawEllipse(QRectF(9.1, 6.2, 1.8, 1.8))


def _parameters(painter: QPainter, colour: QColor) -> None:
    for y, x in ((6, 12.5), (10, 7.5), (14, 11)):
        _lines(painter, (4, y), (16, y))
        painter.save()
        painter.setBrush(colour)
        painter.drawEllipse(QPointF(x, y), 1.4, 1.4)
        painter.restore()


def _sidebar(painter: QPainter, colour: QColor) -> None:
    painter.drawRoundedRect(QRectF(3, 4, 14, 12), 2, 2)
    painter.fillRect(QRectF(4, 5, 4.5, 10), colour)


def _models(painter: QPainter, _colour: QColor) -> None:
    for y in (4.5, 8.7, 12.9):
        painter.drawRoundedRect(QRectF(4, y, 12, 2.8), 1.2, 1.2)


def _pin(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    _lines(painter, (7, 4), (13, 4), (12, 5.5), (12, 9), (14, 11.5), (6, 11.5), (8, 9), (8, 5.5), (7, 4))
    _lines(painter, (10, 11.5), (10, 16.5))


def _close(painter: QPainter, _colour: QColor) -> None:
    _lines(painter, (6, 6), (14, 14))
    _lines(painter, (14, 6), (6, 14))


def _pause(painter: QPainter, colour: QColor) -> None:
    painter.fillRect(QRectF(6.5, 5.5, 2.4, 9), colour)
    painter.fillRect(QRectF(11.1, 5.5, 2.4, 9), colour)


def _play(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.drawPolygon([QPointF(7, 5), QPointF(15, 10), QPointF(7, 15)])


def _more(painter: QPainter, colour: QColor) -> None:
    painter.setBrush(colour)
    painter.setPen(Qt.PenStyle.NoPen)
    for x in (5, 10, 15):
        painter.drawEllipse(QPointF(x, 10), 1.3, 1.3)


PAINTERS: dict[str, Callable[[QPainter, QColor], None]] = {
    "new chat": _new_chat,
    "panel": _panel,
    "up": _up,
    "down": _down,
    "stop": _stop,
    "copy": _copy,
    "done": _done,
    "left": _left,
    "right": _right,
    "edit": _edit,
    "again": _again,
    "info": _info,
    "parameters": _parameters,
    "sidebar": _sidebar,
    "models": _models,
    "pin": _pin,
    "close": _close,
    "pause": _pause,
    "play": _play,
    "more": _more,
}

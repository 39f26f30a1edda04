"""Files and folders that are dragged over a window and dropped on it."""

from pathlib import Path

from PySide6.QtCore import QEvent, QRectF, Qt
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QMainWindow, QWidget

from app.widgets.colours import colours, mix
from app.widgets.labels import scaled
from app.widgets.language import tr

INSET, RADIUS = 10, 12
VEIL_OPACITY = 0.9  # how little of what lies below is seen


def dropped_paths(event: QDropEvent) -> list[Path]:
    """The files and folders of this computer that are being dropped."""
    return [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]


class DropVeil(QWidget):
    """Lies over a window while something that it takes is held above it."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(tr("Drop a model's folder or a text file here"))
        self.hide()

    def cover(self) -> None:
        """Show it over all of its parent."""
        if parent := self.parentWidget():
            self.setGeometry(parent.rect())
        self.raise_()
        self.show()

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, window = colours(self.palette()), self.palette().window().color()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = mix(shades.accent, window, 0.88)
        ground.setAlphaF(VEIL_OPACITY)
        painter.fillRect(self.rect(), ground)
        painter.setPen(QPen(shades.accent, 2, Qt.PenStyle.DashLine))
        area = QRectF(self.rect()).adjusted(INSET, INSET, -INSET, -INSET)
        painter.drawRoundedRect(area, RADIUS, RADIUS)
        painter.setPen(shades.text)
        painter.setFont(scaled(self.font(), 1.3))
        words = self.accessibleName()
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, words)


class DropWindow(QMainWindow):
    """A window that takes files and folders wherever they are dropped on it."""

    def __init__(self, parent: QWidget | None = None, flags: Qt.WindowType = Qt.WindowType.Widget):
        super().__init__(parent, flags)
        self.setAcceptDrops(True)
        self.drop_veil = DropVeil(self)

    def take_paths(self, paths: list[Path]) -> None:
        """Take what was dropped."""
        raise NotImplementedError

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_paths(event):
            event.acceptProposedAction()
            self.drop_veil.cover()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_veil.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_veil.hide()
        if paths := dropped_paths(event):
            event.acceptProposedAction()
            self.take_paths(paths)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.WindowDeactivate, QEvent.Type.Hide):
            self.drop_veil.hide()
        return super().event(event)

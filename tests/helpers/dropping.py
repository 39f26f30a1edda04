"""Things dragged from a file manager and dropped on one of our windows."""

import shutil
from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget

from engine.system.built_in import STARTER_FOLDER


def checkpoint_in(folder: Path) -> Path:
    """A folder that looks like a checkpoint, though its weights are none."""
    folder.mkdir()
    shutil.copy(STARTER_FOLDER / "config.json", folder)
    (folder / "model.safetensors").write_bytes(bytes(1000))
    return folder


def drop(widget: QWidget, path: Path) -> bool:
    """Drop a file or folder. Returns True if it was taken, by the widget or by what holds it."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    data.setText(data.urls()[0].toString())  # as file managers do, for what knows nothing of files
    return drop_data(widget, data)


def drop_data(widget: QWidget, data: QMimeData) -> bool:
    """Drag over a widget, as Qt hands such events on to what holds it, and drop on what has taken it."""
    rest = (Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    entering = QDragEnterEvent(QPoint(5, 5), *rest)
    QApplication.sendEvent(widget, entering)
    if entering.isAccepted():
        QApplication.sendEvent(widget, QDropEvent(QPointF(5, 5), *rest))
    return entering.isAccepted()

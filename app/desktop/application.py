"""The Qt application, which macOS also asks to open files: double-clicked, dropped on its icon, "Open With"."""

from PySide6.QtCore import QEvent, Signal
from PySide6.QtWidgets import QApplication


class Application(QApplication):
    """Says which files it is asked to open."""

    file_opened = Signal(str)  # path

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FileOpen and event.file():
            self.file_opened.emit(event.file())
            return True
        return super().event(event)

"""The Qt application, which macOS also asks to open files: double-clicked, dropped on its icon, "Open With"."""

import sys
from collections.abc import Callable
from importlib.metadata import version

from PySide6.QtCore import QEvent, QTimer, Signal
from PySide6.QtWidgets import QApplication

from app.widgets.icons import application_icon


class Application(QApplication):
    """Says which files it is asked to open."""

    file_opened = Signal(str)  # path

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FileOpen and event.file():  # type: ignore[attr-defined]
            self.file_opened.emit(event.file())  # type: ignore[attr-defined]
            return True
        return super().event(event)

    def soon(self, call: Callable[[], object]) -> None:
        """Do this once the event loop runs."""
        QTimer.singleShot(0, call)


def make_application() -> Application:
    """The application, with its name and its picture."""
    application = Application(sys.argv[:1])
    application.setApplicationName("Flashbulb")
    application.setApplicationVersion(version("flashbulb"))
    application.setDesktopFileName("flashbulb")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(sys.platform != "darwin")
    return application

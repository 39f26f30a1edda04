"""The Qt application, which macOS also asks to open files: double-clicked, dropped on its icon, "Open With"."""

import os
import sys
from collections.abc import Callable
from importlib.metadata import version

from PySide6.QtCore import QEvent, QMessageLogContext, QTimer, QtMsgType, Signal, qInstallMessageHandler
from PySide6.QtWidgets import QApplication

from app.widgets.icons import application_icon

WITHOUT_WINDOW = "`flashbulb chat` needs none; README.md says what a window needs on Linux."


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


class _Refusal:
    """The words of Qt while it looks for a desktop. Where there is none it aborts the process: said in one line, and
    ended in order, before that."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._before = qInstallMessageHandler(self._on_message)

    def over(self) -> None:
        """There is a desktop: what Qt says goes where it went before."""
        qInstallMessageHandler(self._before)

    def _on_message(self, kind: QtMsgType, _context: QMessageLogContext, words: str | None) -> None:
        if kind is not QtMsgType.QtFatalMsg:
            self._said.append(words or "")
            return
        reason = " ".join((self._said or [words or ""])[0].split()).removesuffix(".")
        if sys.stderr is not None:
            print(f"The window cannot be opened: {reason}. {WITHOUT_WINDOW}", file=sys.stderr, flush=True)
        os._exit(1)


def make_application() -> Application:
    """The application, with its name and its picture. Ends the process where there is no desktop."""
    refusal = _Refusal()
    application = Application(sys.argv[:1])
    refusal.over()
    application.setApplicationName("Flashbulb")
    application.setApplicationVersion(version("flashbulb"))
    application.setDesktopFileName("flashbulb")
    application.setWindowIcon(application_icon())
    application.setQuitOnLastWindowClosed(sys.platform != "darwin")
    return application

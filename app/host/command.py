"""Flashbulb's own command line in a process of its own, for work that the window must not feel.

Such a process uses memory and computing time of its own, and can be stopped at any moment. It says how far it is in
lines of JSON.
"""

import os
import signal
import sys

from PySide6.QtCore import QObject, QProcess, QTimer, Signal

from app.host.deadline import Deadline
from engine.text import from_line

KILL_MS = 500  # until the system has ended it
PATIENCE_MS = 8000  # for a process to stop when it is asked to
FLASHBULB = (sys.executable, "-m", "app")


class Command(QObject):
    """One run. `arguments`: the program and what it is given. Nothing is said any more once it has `ended`."""

    said = Signal(object)  # a line: a dict, whose texts Qt would make strings of if it knew what it is
    ended = Signal(str)  # what it wrote to standard error, or why it could not be started

    def __init__(self, arguments: tuple[str, ...], parent: QObject | None = None):
        super().__init__(parent)
        self.stopping = False
        self._over = False
        self._arguments = arguments
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.finished.connect(self._on_finished)
        self._process.errorOccurred.connect(self._on_error)
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(self._process.kill)

    def start(self) -> None:
        program, *arguments = self._arguments
        self._process.start(program, arguments)

    def stop(self) -> None:
        """Ask it to end, which it takes as a wish to keep what is done; it is killed if it does not listen."""
        self.stopping = True
        if self._process.processId():
            os.kill(self._process.processId(), signal.SIGINT)
        self._patience.start()

    def stop_and_wait(self) -> None:
        """Stop, and come back when it has ended. One that does not listen in time is killed: what it did is kept."""
        self.stop()
        if not self._process.waitForFinished(Deadline.of_the_end().ms_left):
            self._process.kill()
            self._process.waitForFinished(KILL_MS)
        self._patience.stop()

    def _read(self) -> None:
        while self._process.canReadLine():
            try:
                line = from_line(bytes(self._process.readLine().data()))
            except ValueError:
                continue  # something else that was printed
            if isinstance(line, dict):
                self.said.emit(line)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._end(self._process.errorString())

    def _on_finished(self) -> None:
        self._read()
        self._end(bytes(self._process.readAllStandardError().data()).decode(errors="replace").strip())

    def _end(self, words: str) -> None:
        self._patience.stop()
        if not self._over:
            self._over = True
            self.ended.emit(words)

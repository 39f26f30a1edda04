"""One application for one folder of data: a second one that is started hands over what it was asked for, and ends.

The first one holds a lock, and listens. A second one says what it wants, and waits for an answer: one that does not
answer, because it is stopped or hangs, is told apart from one that is closing, whose lock comes free.
"""

import hashlib
import json
import time
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

from app.widgets.language import tr
from engine.system.files import make_private, make_private_folder

PATIENCE_S = 8.0  # for the first one to answer, or to be closed
TRY_MS = 100
ANSWER = b"yes\n"
MAX_REQUEST_BYTES = 10_000


class Instance(QObject):
    """`first`: whether we are the only one, as far as can be known. `handed_over`: whether another one took over what
    we were asked for. `trouble`: else, why we cannot go on, or with which lack we do."""

    woken = Signal()
    model_asked = Signal(str)

    def __init__(self, folder: Path, model: str | None = None, patience_s: float = PATIENCE_S):
        super().__init__()
        self.trouble = ""
        self.handed_over = False
        self._folder = folder
        self._name = "flashbulb-" + hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]
        self._lock = QLockFile(str(folder / "lock"))  # the system knows whether its owner still lives
        self._server: QLocalServer | None = None
        self.first = self._take(model, patience_s)
        if self.first:
            self._listen()

    def close(self) -> None:
        """Let another one be the first."""
        if self._server:
            self._server.close()
        self._lock.unlock()

    # ------------------------------------------------------------------ to be the first, or to find it
    def _take(self, model: str | None, patience_s: float) -> bool:
        try:
            make_private_folder(self._folder)
        except OSError as error:
            self._lack(error.strerror or type(error).__name__)
            return True
        end = time.monotonic() + patience_s
        while not self._lock.tryLock(0):
            if self._lock.error() is not QLockFile.LockError.LockFailedError:  # no lock can be made: not another's
                self._lack(tr("it is full, or may not be written to"))
                return True
            if self._hand_over(model, end):
                self.handed_over = True
                return False
            if time.monotonic() > end:
                self.trouble = tr(
                    "Flashbulb is running already, but does not answer (process {0}, with the files of {1}). End it, "
                    "then start Flashbulb again."
                ).format(self._lock.getLockInfo()[0], self._folder)
                return False
        make_private(self._folder / "lock")
        return True

    def _lack(self, reason: str) -> None:
        self.trouble = tr(
            "Nothing can be saved in {0} ({1}): chats and settings last until Flashbulb is closed."
        ).format(self._folder, reason)

    def _hand_over(self, model: str | None, end: float) -> bool:
        """Returns whether the first one has said that it heard us."""
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if not socket.waitForConnected(TRY_MS):
            time.sleep(TRY_MS / 1000)
            return False
        socket.write(json.dumps({"model": model}).encode() + b"\n")
        socket.flush()
        while time.monotonic() < end and socket.state() is QLocalSocket.LocalSocketState.ConnectedState:
            if socket.waitForReadyRead(TRY_MS) and socket.canReadLine():
                return bytes(socket.readLine().data()) == ANSWER
        return bytes(socket.readLine().data()) == ANSWER

    # ------------------------------------------------------------------ what others ask of the first
    def _listen(self) -> None:
        QLocalServer.removeServer(self._name)  # of one that ended without a word
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        self._server.listen(self._name)

    def _on_connection(self) -> None:
        assert self._server is not None
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            request = _request_of(socket)
            socket.write(ANSWER)
            socket.disconnectFromServer()
            self.woken.emit()
            if isinstance(model := request.get("model"), str) and model:
                self.model_asked.emit(model)


def _request_of(socket: QLocalSocket) -> dict[str, object]:
    """The line that another copy sends as soon as it is connected; empty for anything else."""
    if not socket.canReadLine():
        socket.waitForReadyRead(TRY_MS)
    return _parsed(bytes(socket.readLine(MAX_REQUEST_BYTES).data()))


def _parsed(line: bytes) -> dict[str, object]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}

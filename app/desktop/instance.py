"""One application for one folder of data: a second one that is started brings the first one to the front, and ends."""

import hashlib
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

PATIENCE_MS = 2000


class Instance(QObject):
    """`first`: whether we are the only one. `woken`: another one was started, and has ended for us."""

    woken = Signal()

    def __init__(self, folder: Path, parent: QObject | None = None):
        super().__init__(parent)
        folder.mkdir(parents=True, exist_ok=True)
        self._name = "flashbulb-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self._lock = QLockFile(str(folder / "lock"))  # the system knows whether its owner still lives
        self._server: QLocalServer | None = None
        self.first = self._lock.tryLock(0)
        if self.first:
            self._listen()
        else:
            self._wake_the_first()

    def close(self) -> None:
        """Let another one be the first."""
        if self._server:
            self._server.close()
        self._lock.unlock()

    def _listen(self) -> None:
        QLocalServer.removeServer(self._name)  # of one that ended without a word
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_connection)
        self._server.listen(self._name)

    def _wake_the_first(self) -> None:
        socket = QLocalSocket()
        socket.connectToServer(self._name)
        if socket.waitForConnected(PATIENCE_MS):
            socket.disconnectFromServer()

    def _on_connection(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.disconnected.connect(socket.deleteLater)
            socket.disconnectFromServer()
        self.woken.emit()

"""Ctrl-C in the terminal closes the window in good order."""

import signal
import socket

from PySide6.QtCore import QObject, QSocketNotifier, Signal


class Interrupt(QObject):
    """Turns SIGINT and SIGTERM into a Qt signal.

    Python runs its signal handlers between bytecodes, and there are none while Qt waits for events: so the system
    writes a byte into a socket that Qt watches.
    """

    raised = Signal()
    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._notifier = QSocketNotifier(self._receiver.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(self._on_byte)
        self._old_wakeup = signal.set_wakeup_fd(self._sender.fileno())
        self._old_handlers = {number: signal.signal(number, _ignore) for number in self.SIGNALS}

    def close(self) -> None:
        """Give the signals back."""
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        self._notifier.setEnabled(False)
        self._sender.close()
        self._receiver.close()

    def _on_byte(self) -> None:
        self._receiver.recv(64)
        self.raised.emit()


def _ignore(_number: int, _frame: object) -> None:
    """The byte in the socket is what counts."""

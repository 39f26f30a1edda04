"""The engine for other programs: the local server, in this process, while the user lets them."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.host.deadline import Deadline
from app.host.overheard import Overhearing
from app.host.worker import Worker
from app.widgets.language import spoken

if TYPE_CHECKING:  # what is only imported when it is wanted
    from engine.server.answering import Answering
    from engine.server.programs import Program
    from engine.server.server import Server

Wanted = tuple[bool, bool, int]  # to serve, and to need a key; the port


class Serving(QObject):
    """Starts and stops the server, away from the window. Use it from the GUI's thread only.

    address: for programs, empty while there is no server. key: that they must give, empty for none. problem: the reason
    why there is no server, in words. overhearing: what programs ask for.
    """

    changed = Signal()

    def __init__(self, answering: "Answering", parent: QObject | None = None):
        super().__init__(parent)
        self.address = self.key = self.problem = ""
        self.overhearing = Overhearing(answering)
        self._wanted: Wanted = (False, False, 0)
        self._server: Server | None = None  # the worker starts and stops it
        self._worker: Worker | None = None

    @property
    def connected(self) -> "list[Program]":
        """The programs that are connected now."""
        server = self._server
        return server.connected if server else []

    def follow(self, allowed: bool, need_key: bool, port: int) -> None:
        """Serve, or do not serve any more; what is so already stays."""
        wanted = allowed, need_key, port
        was, self._wanted = self._wanted, wanted
        if was == wanted or not (was[0] or allowed):
            return
        self._worker = self._worker or Worker("serving", self)
        self.address = self.key = self.problem = ""
        self._worker.submit(
            lambda: self._serve(*wanted), partial(self._on_started, wanted), partial(self._on_failed, wanted)
        )
        self.changed.emit()

    def finish(self) -> None:
        """Begin to stop. Harmless when repeated."""
        if self._worker is not None:
            self._worker.submit(self._stop)
            self._worker.finish()

    def shutdown(self, deadline: Deadline) -> None:
        """Stop, as far as there is time. Harmless when repeated."""
        self.finish()
        if self._worker is not None:
            self._worker.shutdown(deadline)

    def _stop(self) -> None:
        """On the worker's thread."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def _serve(self, allowed: bool, need_key: bool, port: int) -> tuple[str, str] | None:
        """On the worker's thread: another server in the place of the present one. Returns its address and the key; None
        for no server."""
        from engine.server.access import Access
        from engine.server.key import environment_key, kept_key, make_key
        from engine.server.server import Server

        self._stop()
        if not allowed:
            return None
        key = (environment_key() or kept_key() or make_key()) if need_key else None
        server = Server(self.overhearing, Access(key), port)
        server.start()
        self._server = server
        return server.address, key or ""

    def _on_started(self, wanted: Wanted, started: tuple[str, str] | None) -> None:
        if wanted == self._wanted:  # nothing else was wanted meanwhile
            self.address, self.key = started or ("", "")
            self.changed.emit()

    def _on_failed(self, wanted: Wanted, error: Exception) -> None:
        if wanted == self._wanted:
            self.problem = spoken(error)
            self.changed.emit()

"""Taking what was dropped or chosen: it is looked at away from the window, and then one of three things is said."""

from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.host.worker import Worker
from app.library.folders import Found, look_into
from app.library.known import add_folder, list_model
from app.settings.registry import Preferences


class Taker(QObject):
    """Models that can be loaded as they are become known at once."""

    prepared = Signal(object)  # tuple of Path
    checkpoint = Signal(object)  # Row
    refused = Signal(str, bool)  # why, and whether it is a model that other programs run

    def __init__(self, settings: Preferences, parent: QObject):
        super().__init__(parent)
        self._settings = settings
        self._worker: Worker | None = None

    def take(self, path: Path) -> None:
        """Look at a folder or file."""
        self._worker = self._worker or Worker("taking a folder", self)
        memory = self._settings.section("memory")
        self._worker.submit(partial(look_into, path, memory["budget"], memory["window"]), self._on_found)

    def shutdown(self) -> None:
        """End. Harmless when repeated."""
        if self._worker:
            self._worker.shutdown()

    def _on_found(self, found: Found) -> None:
        if found.refused:
            self.refused.emit(found.refused, found.unsupported)
        elif found.checkpoint:
            self.checkpoint.emit(found.checkpoint)
        else:
            if found.root:
                add_folder(self._settings, str(found.root))
            for folder in found.prepared:
                list_model(self._settings, folder)
            self.prepared.emit(found.prepared)

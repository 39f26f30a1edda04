"""The layers that a preparation has done so far, so that one that was killed goes on from its last whole layer."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import to_builtins

from engine.store.reports import LayerReport
from engine.system.documents import try_read
from engine.system.files import hold, write_whole
from engine.text import Text

JOURNAL, LOCK = "preparation.json", "preparation.lock"


@dataclass(frozen=True)
class Noted:
    """A journal's file. purpose: a checksum of what is being made."""

    purpose: str
    layers: list[LayerReport]


class Journal:
    """The working folder of one preparation, and the list of layers that lie in it whole.

    purpose: what is being made, as JSON; a folder that was begun for another purpose is begun anew. Raises
    FlashbulbError if another process is at work in it, OSError.
    """

    def __init__(self, folder: Path, purpose: Mapping[str, object]):
        self.folder = folder
        self._purpose = hashlib.sha256(json.dumps(purpose, sort_keys=True).encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = hold(folder / LOCK, Text("preparing {folder}", folder=folder.parent))
        noted = self._read()
        self.layers = noted or []
        if noted is None:
            self._clear()
            self._write()

    def add(self, report: LayerReport) -> None:
        """Say that the next layer is whole on disk."""
        self.layers.append(report)
        self._write()

    def close(self) -> None:
        """Let another process go on."""
        self._lock.close()

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()

    def _read(self) -> list[LayerReport] | None:
        noted = try_read(self.folder / JOURNAL, Noted)
        return noted.layers if noted is not None and noted.purpose == self._purpose else None

    def _write(self) -> None:
        write_whole(self.folder / JOURNAL, json.dumps(to_builtins(Noted(self._purpose, self.layers))))

"""What a preparation has done so far, so that one that was killed goes on from its last whole layer."""

import hashlib
import json
import shutil
from pathlib import Path

from engine.system.files import hold, write_whole
from engine.text import Text

JOURNAL, LOCK = "preparation.json", "preparation.lock"


class Journal:
    """The working folder of one preparation, and the list of layers that lie in it whole.

    purpose: what is being made, as JSON; a folder that was begun for another purpose is begun anew. Raises
    FlashbulbError if another process is at work in it, OSError.
    """

    def __init__(self, folder: Path, purpose: dict):
        self.folder, self._purpose = folder, hashlib.sha256(json.dumps(purpose, sort_keys=True).encode()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = hold(folder / LOCK, Text("preparing {folder}", folder=folder.parent))
        self.layers = self._read()
        if self.layers is None:
            self._clear()
            self.layers = []
            self._write()

    def add(self, report: dict) -> None:
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

    def _read(self) -> list[dict] | None:
        try:
            content = json.loads((self.folder / JOURNAL).read_text())
            return content["layers"] if content["purpose"] == self._purpose else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self) -> None:
        write_whole(self.folder / JOURNAL, json.dumps({"purpose": self._purpose, "layers": self.layers}))

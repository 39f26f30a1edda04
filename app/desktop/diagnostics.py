"""A file that helps to find a fault: what this machine and this application are, and what went wrong lately.

Nothing of any conversation, no token, no system prompt, and no home folder's name.
"""

import json
import logging
import os
import platform
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QSysInfo, qVersion
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget

from app.host.engine_host import EngineHost
from app.host.worker import Worker
from app.settings.registry import BY_KEY, Preferences
from app.widgets.colours import is_dark
from app.widgets.dialogs import choose_file_to_save, tell
from engine.errors import FlashbulbError
from engine.system.files import write_whole
from engine.system.machine import memory_available, memory_total
from engine.text import without_secrets

FORMAT_VERSION = 1
LOG_LINES = 200
OUR_LOGGERS = ("app", "engine")  # what other packages log may hold anything
PACKAGES = ("flashbulb", "mlx", "mlx-lm", "numpy", "PySide6-Essentials", "huggingface-hub", "tokenizers")
PRIVATE_KEYS = ("chat.system_prompt",)


class RecentLog(logging.Handler):
    """The latest warnings and errors of ours. Of an error that is not ours only its kind and place are kept: its words
    may quote what was being worked on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: deque[str] = deque(maxlen=LOG_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] not in OUR_LOGGERS:
            return
        arguments = tuple(_words_of(a) if isinstance(a, BaseException) else a for a in record.args or ())
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        words = without_secrets(str(record.msg) % arguments)
        self.lines.append(f"{moment} {record.levelname} {record.name}: {words}")
        if record.exc_info and record.exc_info[1] is not None:
            self.lines.extend(_places_of(record.exc_info[1]))


class Diagnostics(QObject):
    """Asks for a file, and writes it. `window`: what the dialogs belong to."""

    def __init__(self, host: EngineHost, settings: Preferences, window: QWidget):
        super().__init__(window)
        self._host, self._settings, self._window = host, settings, window
        self._worker: Worker | None = None
        self.log = RecentLog()
        logging.getLogger().addHandler(self.log)

    def export(self) -> None:
        """Ask where, and write it."""
        name = f"flashbulb-diagnostics-{time.strftime('%Y-%m-%d')}.json"
        choose_file_to_save(self._window, self.tr("Export Diagnostics"), name, ["JSON (*.json)"], self._on_where)

    def shutdown(self) -> None:
        """Finish what is being written, and end. Harmless when repeated."""
        logging.getLogger().removeHandler(self.log)
        if self._worker:
            self._worker.shutdown()

    def _on_where(self, path: str) -> None:
        if self._worker is None:
            self._worker = Worker("diagnostics", self)
        self._worker.submit(partial(write, Path(path), self._of_the_window()), self._on_written, self._on_failed)

    def _of_the_window(self) -> dict[str, object]:
        model = self._host.model
        values = {key: self._settings[key] for key in BY_KEY if key not in PRIVATE_KEYS}
        screens = [
            f"{s.size().width()} x {s.size().height()} at {s.devicePixelRatio()}" for s in QGuiApplication.screens()
        ]
        return {
            "application": {
                "packages": {name: _version(name) for name in PACKAGES},
                "python": sys.version,
                "qt": qVersion(),
                "platform": QGuiApplication.platformName(),
                "dark": is_dark(QGuiApplication.palette()),
                "screens": screens,
            },
            "settings": values | {key: "set" if self._settings[key] else "not set" for key in PRIVATE_KEYS},
            "engine": {
                "state": self._host.state.name,
                "model": asdict(model) if model else None,
                "recent_tokens": self._host.recent_tokens.means(),
            },
            "log": list(self.log.lines),
        }

    def _on_written(self, path: Path) -> None:
        words = self.tr("{0} holds nothing of your chats, no tokens and no system prompt.").format(path)
        tell(self._window, self.tr("Diagnostics were exported"), words)

    def _on_failed(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        tell(
            self._window, self.tr("That did not work"), self.tr("Diagnostics could not be written: {0}.").format(reason)
        )


def write(path: Path, of_the_window: dict[str, object]) -> Path:
    """Write all of it to a file. Not for the GUI's thread. Raises OSError."""
    content = {"format": "flashbulb-diagnostics", "version": FORMAT_VERSION, **_of_the_machine(), **of_the_window}
    write_whole(path, _without_names(json.dumps(content, indent=2, ensure_ascii=False, default=str)) + "\n")
    return path


def _of_the_machine() -> dict[str, object]:
    """Each part by itself: what is broken is what somebody wants to know the rest about."""
    from engine.flash.profile import DriveProfile, profile_path
    from engine.library.begun import unfinished
    from engine.store.installed import installed
    from engine.system import footprint, pressure
    from engine.system.folders import free_bytes, models_folder

    machine = {
        "system": QSysInfo.prettyProductName,
        "kernel": platform.release,
        "architecture": platform.machine,
        "cores": os.cpu_count,
        "memory_bytes": memory_total,
        "memory_available_bytes": memory_available,
        "memory_pressure": lambda: pressure.memory_pressure().name,
        "footprint_bytes": footprint.footprint,
        "peak_footprint_bytes": footprint.peak_footprint,
    }
    models = {
        "folder": lambda: str(models_folder()),
        "free_bytes": lambda: free_bytes(models_folder()),
        "installed": lambda: [{"repo": m.repo, "revision": m.revision, "bytes": m.bytes} for m in installed()],
        "unfinished": lambda: [asdict(model) for model in unfinished()],
    }
    return {
        "written": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "machine": {name: _part(look) for name, look in machine.items()},
        "drive": _part(lambda: _drive(DriveProfile.load(profile_path(models_folder())))),
        "models": {name: _part(look) for name, look in models.items()},
    }


def _part(look: Callable[[], object]) -> object:
    """A part of it, or why there is none."""
    try:
        return look()
    except Exception as error:
        return _words_of(error)


def _drive(profile: Any) -> object:
    return asdict(profile) if profile else "not measured"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _without_names(text: str) -> str:
    """The home folder's path as ~, and anything like a token left out."""
    for home in {str(Path.home()), str(Path.home().resolve())} - {"/"}:
        text = text.replace(home, "~")
    return without_secrets(text)


def _words_of(error: BaseException) -> str:
    """Our own errors speak for themselves; of others, nothing that they may quote."""
    if isinstance(error, FlashbulbError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__} ({error.strerror})"
    return type(error).__name__


def _places_of(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"    {Path(f.filename).name}:{f.lineno} {f.name}" for f in frames] + [f"    {_words_of(error)}"]

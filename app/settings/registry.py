"""Every setting in one table, and the one file that holds those that differ from their defaults."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QT_TR_NOOP, QObject, QTimer, Signal

from app.widgets import language
from engine.settings import DRAFT_MODEL_AUTO, Drafting, Selection
from engine.settings import Settings as EngineSettings
from engine.system.files import make_private, make_private_folder, write_whole

FILE, VERSION = "settings.json", 1
WRITE_MS = 300  # after a change: a slider makes many
RETRY_MS = 3000  # after a write that failed
MAX_BUDGET_BYTES = 1 << 50  # bytes
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """kind: bool, int, float, str, or list of str. optional: None is a value too. reload: a loaded model keeps the old
    value.

    about: in English, to be translated where a window shows it.
    """

    key: str
    kind: type[Any]
    default: object
    about: Any  # a str, which PySide does not say of QT_TR_NOOP
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    reload: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the greatest value, of one that has both."""
        assert self.minimum is not None
        assert self.maximum is not None
        return self.minimum, self.maximum

    @property
    def whole_bounds(self) -> tuple[int, int]:
        """The least and the greatest value, of a whole number."""
        least, greatest = self.bounds
        return int(least), int(greatest)

    def accepts(self, value: Any) -> bool:
        """True for what can be a value of this setting."""
        if value is None:
            return self.optional
        kinds = (int, float) if self.kind is float else (self.kind,)
        if not isinstance(value, kinds) or (isinstance(value, bool) and self.kind is not bool):
            return False
        if isinstance(value, list):
            return all(isinstance(item, str) for item in value)
        if self.choices and value not in self.choices:
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)


TABLE = (
    Setting(
        "general.language",
        str,
        language.SYSTEM,
        "The language of the windows.",
        choices=(language.SYSTEM, *language.NAMES),
    ),
    Setting("general.text_size", int, 100, "Size of the text of chats and beside them, in per cent.", 70, 220),
    Setting("general.notifications", bool, True, "Say in the background that something long has ended."),
    Setting("general.keep_contexts", bool, True, "Keep on disk what models remember of chats."),
    Setting("programs.allowed", bool, False, "Let other programs on this computer use the engine."),
    Setting("programs.port", int, 8081, "The port that other programs ask.", 1024, 65535),
    Setting("programs.need_key", bool, False, "Answer only programs that give the key."),
    Setting("programs.overheard", bool, False, "Show what programs ask for, which is kept in memory only."),
    Setting("general.folder", str, "", "The folder of the latest export or import; empty for Documents."),
    Setting("general.pane", str, "memory", "The pane of the settings window that was open last."),
    Setting(
        "memory.budget",
        int,
        None,
        "Bytes that a model may add to this process; None takes everything where it fits, else half.",
        minimum=1,
        maximum=MAX_BUDGET_BYTES,
        optional=True,
        reload=True,
    ),
    Setting(
        "memory.window", int, 5, "Tokens for which a neuron stays in memory (paper, section 3.1).", 1, 32, reload=True
    ),
    Setting(
        "memory.selection",
        str,
        Selection.PREDICTOR.value,
        "How a token's neurons are chosen: by predictors, exactly, or all of them.",
        choices=tuple(each.value for each in Selection),
        reload=True,
    ),
    Setting(
        "memory.threshold_shift",
        float,
        0.0,
        "Added to every predictor's threshold, in logits; below 0, more neurons are read and fewer are missed.",
        -4.0,
        4.0,
        reload=True,
    ),
    Setting(
        "memory.reader_threads",
        int,
        None,
        "Threads that read from flash; None takes what the drive's profile says.",
        1,
        128,
        optional=True,
        reload=True,
    ),
    Setting(
        "memory.small_context",
        bool,
        False,
        "Keep keys and values in 8 bits: room for a longer conversation, at some loss.",
        reload=True,
    ),
    Setting(
        "memory.drafts",
        str,
        Drafting.LOOKUP.value,
        "What is guessed ahead, of which one pass verifies several tokens where that is faster.",
        choices=tuple(each.value for each in Drafting),
        reload=True,
    ),
    Setting(
        "memory.draft_model",
        str,
        DRAFT_MODEL_AUTO,
        "A small model that guesses ahead beside the loaded one: auto, none, or the name or folder of one.",
        reload=True,
    ),
    Setting("chat.system_prompt", str, "", QT_TR_NOOP("What a model is told before a chat begins.")),
    Setting(
        "chat.temperature", float, None, QT_TR_NOOP("0 takes the likeliest token; higher values vary more."),
        0.0, 2.0, optional=True,
    ),
    Setting(
        "chat.top_p", float, None, QT_TR_NOOP("Samples among the likeliest tokens that share this probability."),
        0.01, 1.0, optional=True,
    ),
    Setting(
        "chat.top_k", int, None, QT_TR_NOOP("Samples among this many of the likeliest tokens; 0 for all."),
        0, 1000, optional=True,
    ),
    Setting(
        "chat.min_p", float, None, QT_TR_NOOP("Leaves out tokens below this share of the likeliest one's probability."),
        0.0, 1.0, optional=True,
    ),
    Setting(
        "chat.repetition_penalty", float, None, QT_TR_NOOP("Makes recent tokens less likely; 1 for no penalty."),
        1.0, 2.0, optional=True,
    ),
    Setting(
        "chat.presence_penalty", float, None, QT_TR_NOOP("Makes tokens that were said less likely; 0 for no penalty."),
        -2.0, 2.0, optional=True,
    ),
    Setting(
        "chat.frequency_penalty", float, None,
        QT_TR_NOOP("Makes tokens less likely the more often they were said; 0 for no penalty."),
        -2.0, 2.0, optional=True,
    ),
    Setting("chat.max_tokens", int, 512, QT_TR_NOOP("Maximum length of an answer, in tokens."), 1, 32768),
    Setting(
        "chat.seed", int, None, QT_TR_NOOP("The same seed gives the same answer; without one, each answer differs."),
        0, 2**31 - 1, optional=True,
    ),
    Setting("models.folder", str, "", "Where models are kept; empty for the usual place."),
    Setting("models.last", str, "", "The model that was used last; empty before the first start."),
    Setting("models.recent", list, [], "The models that were used, the latest first."),
    Setting("models.folders", list, [], "Models outside of the models folder: those that were dropped or added."),
)  # fmt: skip
BY_KEY = {setting.key: setting for setting in TABLE}
# From each older version to the next: takes and returns the file's values.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


class Preferences(QObject):
    """The values. `path`: their file, which only its user reads; None keeps them in memory.

    notice: what to tell the user if the file could not be used. An unknown key is a KeyError, a wrong value a
    ValueError; in the file, such entries are passed over, and kept for a newer version that may know them.
    """

    changed = Signal(str, object)
    trouble = Signal(str)  # the file could not be written, which is tried again; "" when it was

    def __init__(self, path: Path | None = None, parent: QObject | None = None):
        super().__init__(parent)
        self._path, self.notice = path, ""
        self._values: dict[str, Any] = {}
        self._unwritten, self._said = False, ""
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self.write)
        if path is not None:
            self._read(path)

    def __getitem__(self, key: str) -> Any:
        setting = BY_KEY[key]
        value = _clean(self._values.get(key, setting.default))
        return value if setting.accepts(value) else setting.default

    def __setitem__(self, key: str, value: Any) -> None:
        setting = BY_KEY[key]
        value = _clean(value)
        if setting.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not setting.accepts(value):
            raise ValueError(f"{key} cannot be {value!r}")
        if value == self[key]:
            return
        if value == setting.default:
            self._values.pop(key, None)
        else:
            self._values[key] = value
        self._write_within(WRITE_MS)
        self.changed.emit(key, value)

    def section(self, name: str) -> dict[str, Any]:
        """The values below `name`, by the last part of their keys."""
        return {key.removeprefix(f"{name}."): self[key] for key in BY_KEY if key.startswith(f"{name}.")}

    def engine_settings(self) -> EngineSettings:
        """The settings that a model is loaded with."""
        memory = self.section("memory")
        return EngineSettings(memory_budget=memory.pop("budget"), read_at_once=True, **memory)

    def write(self) -> None:
        """Write what has changed, in one step: the file is the old one or the new one. Harmless when repeated."""
        if self._path is None:
            return
        self._timer.stop()
        content = json.dumps({"version": VERSION, "values": self._values}, indent=2) + "\n"
        try:
            make_private_folder(self._path.parent)
            write_whole(self._path, content, private=True)
        except OSError as error:
            self._write_within(RETRY_MS)
            self._say(self.tr("Settings cannot be written to {0} ({1}).").format(self._path, error.strerror))
        else:
            self._unwritten = False
            self._say("")

    def close(self) -> None:
        """Write what is not written yet."""
        if self._unwritten:
            self.write()
        self._timer.stop()

    def _write_within(self, milliseconds: int) -> None:
        """Write soon. The first change sets the time, however many follow."""
        self._unwritten = True
        if self._path is not None and not self._timer.isActive():
            self._timer.start(milliseconds)

    def _say(self, trouble: str) -> None:
        if trouble != self._said:
            self._said = trouble
            self.trouble.emit(trouble)

    def _read(self, path: Path) -> None:
        try:
            self._values = _values_of(path.read_text(encoding="utf-8"))
            make_private(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            self.notice = self.tr("{0} cannot be read ({1}): default settings are used.").format(path, error.strerror)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            log.info("settings: %r", error)
            self._put_aside(path)

    def _put_aside(self, path: Path) -> None:
        aside = path.with_name(f"damaged-{time.strftime('%Y-%m-%d-%H%M%S')}-{FILE}")
        try:
            make_private(path)
            path.replace(aside)
            self.notice = self.tr(
                "The settings file was damaged. Default settings are used; the file is kept as {0}."
            ).format(aside)
        except OSError as error:
            self.notice = self.tr("{0} is damaged and cannot be put aside ({1}).").format(path, error.strerror)


def _values_of(text: str) -> dict[str, Any]:
    """The values of a file's text, of whichever version. Raises what nonsense raises."""
    content = json.loads(text)
    version, values = content["version"], dict(content["values"])
    for older in range(version, VERSION):
        values = UPGRADES[older](values)
    return values


def _clean(value: Any) -> Any:
    """Without halves of characters, which no file takes, nor any model."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value

"""The menus' commands on models: load one, switch, add a folder, prove it, and open the windows about them."""

from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.host.engine_host import EngineHost
from app.host.model_info import ModelInfo
from app.library.known import remember_used
from app.library.picker import ModelPicker
from app.library.proof import ProofWindow
from app.library.rows import Row
from app.library.starter_line import StarterLine
from app.library.taking import Taker
from app.library.window import LibraryWindow
from app.settings.registry import Preferences
from app.widgets.dialogs import choose_folder
from app.widgets.message_bar import MessageBar
from engine.system.built_in import STARTER


class ModelCommands(QObject):
    """Between the menus and the host. `window`: the main window; `message`: its place for what is to be said."""

    gone = Signal()  # no model is loaded any more
    loaded = Signal(str, str)  # a model's name, and what it is loaded by
    job_changed = Signal(object)  # Job: a download or preparation

    def __init__(self, host: EngineHost, settings: Preferences, message: MessageBar, window: QWidget, model: str):
        super().__init__(window)
        self._host, self._settings = host, settings
        self._message, self._window = message, window
        self.model, self.proving = model, False
        self.library: LibraryWindow | None = None
        self.picker = ModelPicker(settings, window)
        self.picker.chosen.connect(self.load)
        self.picker.library_asked.connect(self.show_library)
        self.picker.folder_asked.connect(self.ask_for_folder)
        self.starter_line = StarterLine()
        self.starter_line.library_asked.connect(self.show_library)
        self._taker = Taker(settings, self)
        self._taker.prepared.connect(self._on_prepared)
        self._taker.checkpoint.connect(self._on_checkpoint)
        self._taker.refused.connect(self._on_refused)
        host.loaded.connect(self._on_loaded)
        host.load_failed.connect(self._on_load_failed)

    # ------------------------------------------------------------------ loading
    def load(self, model: str) -> None:
        """Load a model as the settings say, once an answer that is being written is stopped."""
        self.model, self.proving = model, False
        self._host.load(model, self._settings.engine_settings())

    def reload(self) -> None:
        """Load the present model once more, with what the settings say now."""
        self.load(self.model)

    def _on_loaded(self, model: ModelInfo) -> None:
        self.loaded.emit(model.name, self.model)
        self.proving = False
        self.starter_line.setVisible(self.model == STARTER)
        self._message.clear()
        remember_used(self._settings, self.model)
        if self.library:
            self.library.set_in_use(self.model)

    def _on_load_failed(self) -> None:
        self.starter_line.hide()
        self.gone.emit()

    # ------------------------------------------------------------------ folders
    def take(self, path: Path) -> None:
        """A folder or file that was dropped, chosen or opened: load it, offer to prepare it, or say why not."""
        self._taker.take(path)

    def ask_for_folder(self) -> None:
        """Let a model's folder be chosen."""
        choose_folder(self._window, self.tr("Add a Model's Folder"), str(Path.home()), self._on_folder)

    def _on_folder(self, path: str) -> None:
        self.take(Path(path))

    def _on_prepared(self, folders: tuple[Path, ...]) -> None:
        if len(folders) == 1:
            self.load(str(folders[0]))
        else:
            self.show_library()

    def _on_checkpoint(self, row: Row) -> None:
        self._shown_library().offer(row)

    def _on_refused(self, words: str, unsupported: bool) -> None:
        if unsupported:
            self._message.say(words, self.tr("Models That Can…"), self.show_library)
        else:
            self._message.say(words)

    # ------------------------------------------------------------------ windows
    def switch(self, below: QWidget) -> None:
        """Open the list of models below the model's name."""
        self.picker.pop_up(below, self.model if self._host.model else "")

    def get(self, row: Row) -> None:
        """Get a model and chat with it once it is there."""
        self._shown_library().get(row)

    def show_library(self) -> None:
        self._shown_library()

    def _shown_library(self) -> LibraryWindow:
        if self.library is None:
            self.library = LibraryWindow(self._settings, parent=self._window)
            self.library.chat_asked.connect(self._on_chosen)
            self.library.proof_asked.connect(self._on_proof_asked)
            self.library.jobs.changed.connect(self.job_changed)
            self.library.set_in_use(self.model if self._host.model else "")
        bring_up(self.library)
        return self.library

    def _on_chosen(self, model: str) -> None:
        self.load(model)
        bring_up(self._window)

    def _on_proof_asked(self, row: Row) -> None:
        self.proving = True
        ProofWindow(self._host, row.title, row.model, self._settings.engine_settings(), self.library)

    def close(self) -> None:
        """Hide what is open."""
        self.picker.hide()
        if self.library:
            self.library.close()

    def shutdown(self) -> None:
        """End what runs in the background. Harmless when repeated."""
        self.picker.shutdown()
        self._taker.shutdown()
        if self.library:
            self.library.shutdown()


def bring_up(window: QWidget) -> None:
    """Show a window in front of the others."""
    window.show()
    window.raise_()
    window.activateWindow()

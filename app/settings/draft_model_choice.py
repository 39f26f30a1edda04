"""The choice of a small model that drafts: one that the engine finds by itself, none, or one of those on this computer
that can."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QComboBox, QVBoxLayout, QWidget

from app.host.engine_host import EngineHost
from app.host.model_info import ModelInfo
from app.host.worker import Worker
from app.widgets import units
from app.widgets.labels import quiet
from engine.settings import DRAFT_MODEL_AUTO, DRAFT_MODEL_NONE

if TYPE_CHECKING:
    from engine.inference.draft_choice import Candidate

LIST_WIDTH = 300  # pixels: names of models are long


class DraftModelChoice(QWidget):
    """A list, and a word on what is in it. `chosen`: another one was, by the name that settings have for it."""

    chosen = Signal(str)

    def __init__(self, host: EngineHost, parent: QWidget | None = None):
        super().__init__(parent)
        self._host = host
        self._worker: Worker | None = None
        self._asked: ModelInfo | None = None  # for which it was looked last
        self._name, self._showing = DRAFT_MODEL_AUTO, False
        self._found: Sequence[Candidate] = ()
        self._choices: list[tuple[str, str]] = []  # in the list: names, and what is shown of them
        self.list = QComboBox()
        self.list.setMaximumWidth(LIST_WIDTH)
        self.list.setAccessibleName(self.tr("Small helper model"))
        self.list.currentIndexChanged.connect(self._on_index)
        self.words = quiet()
        self.words.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(self.list)
        column.addWidget(self.words)
        host.state_changed.connect(self._look)
        self._fill()

    def show_choice(self, name: str) -> None:
        """Show what is set."""
        self._name = name
        self._fill()

    def shutdown(self) -> None:
        """End what runs in the background. Harmless when repeated."""
        if self._worker:
            self._worker.shutdown()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._asked = None  # models may have come or gone
        self._look()

    def _look(self) -> None:
        """Look for models that can draft for the one that is loaded, as soon as somebody sees this."""
        model = self._host.model
        if model is None:
            self._asked, self._found = None, ()
            self._fill()
        elif self.isVisible() and (self._asked is None or model.draft_models != self._asked.draft_models):
            self._asked = model
            self._worker = self._worker or Worker("models that can draft", self)
            self._worker.submit(model.draft_models, self._on_found, self._on_failed)

    def _on_found(self, found: "Sequence[Candidate]") -> None:
        self._found = found
        self._fill()

    def _on_failed(self, _error: Exception) -> None:
        """A disk that cannot be looked at has none."""
        self._on_found(())

    def _fill(self) -> None:
        choices = [(DRAFT_MODEL_AUTO, self.tr("Automatic")), (DRAFT_MODEL_NONE, self.tr("Off"))]
        choices += [(each.name, f"{_short(each.name)} ({units.size(each.bytes)})") for each in self._found]
        if self._name not in dict(choices):
            choices.append((self._name, _short(self._name)))  # it was named elsewhere, or another model has it
        self._showing = True
        if choices != self._choices:
            self._choices = choices
            self.list.clear()
            for name, words in choices:
                self.list.addItem(words, name)
        self.list.setCurrentIndex(self.list.findData(self._name))
        self._showing = False
        self.words.setText(self._words())

    def _words(self) -> str:
        if self._host.model is None:
            return self.tr("Load a model to see which ones can help it.")
        if not self._found:
            return self.tr("None on this computer can help this model yet: one of the same family that is smaller can.")
        return self.tr("Listed are the models on this computer that can help this one.")

    def _on_index(self, index: int) -> None:
        if not self._showing and index >= 0:
            self._name = self.list.itemData(index)
            self.chosen.emit(self._name)


def _short(name: str) -> str:
    """A model's name without its owner's, or the folder that it is in."""
    return name.rstrip("/").rpartition("/")[2] or name

"""Models that this computer can run, in a few lines: at the first start, and again when the Help menu asks for it."""

from dataclasses import dataclass

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.host.worker import Worker
from app.library.row import verdict_in_words
from app.library.rows import Row
from app.library.survey import drive_profile, survey
from app.library.verdict import Kind
from app.widgets import units
from app.widgets.buttons import IconButton
from app.widgets.card import paint_card
from app.widgets.colours import colours
from app.widgets.labels import Label, quiet
from app.widgets.language import spoken
from engine.system.machine import memory_total

WIDTH, RADIUS = 520, 10  # pixels
NAMED_MODELS = 5  # models of a kind that are called by their names


@dataclass(frozen=True)
class Capability:
    """Sizes in bytes. drive: bytes a second, None where it was not measured. models: titles by kind. best: of those
    that could be had, the one for this computer; its speed is that of a usual drive where this one was not measured."""

    memory: int
    free: int
    drive: float | None
    models: dict[Kind, list[str]]
    best: Row | None = None


def look() -> Capability:
    """Look at memory, disk, drive and catalogue. Not for the GUI's thread: the engine takes a while to import."""
    from engine.flash.profile import usual_profile

    found = survey(assumed=usual_profile())
    profile = drive_profile(found.folder)
    best = next((row for row in found.rows if row.recommended), None)
    models: dict[Kind, list[str]] = {kind: [] for kind in Kind}
    for row in found.rows:  # those on this disk, then those that answer
        models[row.verdict.kind].append(row.title)
    return Capability(memory_total(), found.free_bytes, profile and profile.sequential_bytes_per_s, models, best)


class Guide(QWidget):
    """A card that is put away with its button, and by the first message."""

    models_asked = Signal()
    model_asked = Signal(object)  # Row: to be got, and chatted with

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._worker: Worker | None = None
        self.setAccessibleName(self.tr("What this computer can run"))
        self.facts = quiet()
        self.facts.setWordWrap(True)
        self.close_button = IconButton("close", self.tr("Put this away"))
        self.close_button.clicked.connect(self.put_away)
        self.models_button = QPushButton(self.tr("Show All Models…"))
        self.models_button.clicked.connect(self.models_asked)
        self._best: Row | None = None
        self.best = Label()
        self.best.setWordWrap(True)
        self.get_button = QPushButton(self.tr("Get It"))
        self.get_button.clicked.connect(self._on_get)
        self.lists = {kind: Label() for kind in (Kind.IN_MEMORY, Kind.STREAMS, Kind.TOO_LARGE)}
        self._compose()
        self.setMaximumWidth(WIDTH)
        self.hide()

    def show_it(self) -> None:
        """Look at the machine, and show what was found."""
        if self._worker is None:
            self.facts.setText(self.tr("Looking at this computer…"))
            self._worker = Worker("guide", self)
            self._worker.submit(look, self._on_looked, self._on_failed)
        self.show()

    def put_away(self) -> None:
        self.hide()

    def shutdown(self) -> None:
        """Wait for what is being looked at, and end. Harmless when repeated."""
        if self._worker:
            self._worker.shutdown()
            self._worker = None

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades = colours(self.palette())
        paint_card(self, shades.hairline, shades.card, RADIUS)

    # ------------------------------------------------------------------ what was found
    def _on_looked(self, found: Capability) -> None:
        self.shutdown()
        drive = (
            self.tr("its drive reads {0}").format(units.rate(found.drive))
            if found.drive
            else self.tr("drive not measured yet")
        )
        memory = self.tr("{0} of memory").format(units.size(found.memory))
        free = self.tr("{0} free for models").format(units.size(found.free))
        self.facts.setText(" · ".join((memory, free, drive)))
        for kind, label in self.lists.items():
            label.setText(self._names(found.models[kind]))
        self._show_best(found)

    def _show_best(self, found: Capability) -> None:
        self._best = found.best
        for widget in (self.best, self.get_button):
            widget.setVisible(found.best is not None)
        if found.best:
            self.best.setText(self._words_for(found.best, measured=found.drive is not None))
            self.get_button.setAccessibleName(self.tr("Get {0}").format(found.best.title))

    def _words_for(self, row: Row, measured: bool) -> str:
        """The best model's name, size, and speed as far as that is known."""
        speed = row.verdict.tokens_per_second
        usual = self.tr("about {0} tokens a second on a usual drive")
        told = self.tr("about {0} tokens a second") if measured else usual
        parts = [self.tr("Best for this computer: {0}").format(row.title), units.size(row.size)]
        return " · ".join(parts + ([told.format(units.number(speed))] if speed else []))

    def _on_get(self) -> None:
        if self._best:
            self.model_asked.emit(self._best)

    def _on_failed(self, error: Exception) -> None:
        self.shutdown()
        self.facts.setText(spoken(error))

    def _names(self, titles: list[str]) -> str:
        if not titles:
            return self.tr("none")
        names, more = self.tr(", ").join(titles[:NAMED_MODELS]), len(titles) - NAMED_MODELS
        return self.tr("{0} and {1} more").format(names, more) if more > 0 else names

    def _compose(self) -> None:
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.addWidget(Label(self.tr("What this computer can run"), weight=QFont.Weight.DemiBold), 1)
        head.addWidget(self.close_button)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        for row, (kind, label) in enumerate(self.lists.items()):
            label.setWordWrap(True)
            grid.addWidget(quiet(verdict_in_words(kind)), row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(label, row, 1)
        best = QHBoxLayout()
        best.addWidget(self.best, 1)
        best.addWidget(self.get_button)
        for widget in (self.best, self.get_button):
            widget.hide()
        about = quiet(self.tr("As estimated, with the memory that is free now."))
        about.setWordWrap(True)
        foot.addWidget(about, 1)
        foot.addWidget(self.models_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 10, 10, 14)
        layout.setSpacing(8)
        layout.addLayout(head)
        layout.addWidget(self.facts)
        layout.addLayout(best)
        layout.addLayout(grid)
        layout.addLayout(foot)

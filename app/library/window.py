"""The library: what this machine can run, what it has, and what is on its way."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QFont, QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.host.worker import Worker
from app.library.jobs import LOOK_UP_COMMAND, Job, Jobs
from app.library.known import FOLDERS_KEY, forget_folder
from app.library.row import ModelRow
from app.library.rows import Row
from app.library.survey import Survey, for_repository, in_words, repository_in, search, survey, verify
from app.library.taking import Taker
from app.settings.registry import Preferences
from app.widgets import units
from app.widgets.dialogs import ask, choose_folder
from app.widgets.dropping import DropWindow
from app.widgets.fields import SearchField
from app.widgets.focus import Ringed
from app.widgets.labels import Label, quiet
from app.widgets.language import sentences
from app.widgets.message_bar import MessageBar

SIZE, MIN_SIZE = (880, 640), (700, 360)
SETTLING_MS = 500  # after a slider has moved, verdicts follow
FOLDER_VARIABLE = "FLASHBULB_MODELS"


class RowsArea(Ringed, QScrollArea):
    """The area that the rows scroll in."""


class LibraryWindow(DropWindow):
    """Rows of models; a field that finds one, or any repository of the Hub by its name or link.

    Whatever goes wrong is said once, in the bar below the field.
    """

    chat_asked = Signal(str)  # the model to load
    proof_asked = Signal(object)  # Row

    def __init__(
        self,
        settings: Preferences,
        jobs: Jobs | None = None,
        look_ups: Jobs | None = None,
        search: Callable[[str], list[Row]] = search,
        parent: QWidget | None = None,
    ):
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle(self.tr("Models"))
        self.resize(*SIZE)
        self.setMinimumSize(*MIN_SIZE)
        self._settings = settings
        self._usual_folder = os.environ.get(FOLDER_VARIABLE)
        self._use_folder()
        self._survey: Survey | None = None
        self._in_use = ""
        self._offered: dict[str, Row] = {}  # checkpoints whose preparation was asked for here, by their path
        self._wanted: set[str] = set()  # of these, those that are to be chatted with when they are ready
        self._looked_up: dict[str, dict[str, Any]] = {}  # the answers of look-ups, by repository
        self.jobs, self.look_ups = jobs or Jobs(parent=self), look_ups or Jobs(LOOK_UP_COMMAND, self)
        self._worker = Worker("library", self)
        self._search, self._searcher = search, Worker("search on the Hub", self)
        self._found: list[Row] = []  # on the Hub, for the words in the field
        self._taker = Taker(settings, self)
        self._looking = QTimer(self, singleShot=True, interval=0)
        self._looking.timeout.connect(self._look)
        placeholder = self.tr("Find here, press Return to search the Hub, or paste the name or link of a repository")
        self.field = SearchField(placeholder, self.tr("Find a model"))
        self.add_button = QPushButton(self.tr("Add Folder…"))
        self.add_button.clicked.connect(self.ask_for_folder)
        self.message = MessageBar()
        self.rows: list[ModelRow] = []
        self.foot = quiet(self.tr("Looking for models…"))
        self.foot.setWordWrap(True)
        self._compose()
        self._connect()

    def _connect(self) -> None:
        self.field.textChanged.connect(self._on_typed)
        self.field.returnPressed.connect(self._on_return)
        self.look_ups.changed.connect(self._on_job)
        self.look_ups.finished.connect(self._on_looked_up)
        self.jobs.changed.connect(self._on_job)
        self.jobs.finished.connect(self._on_finished)
        self._settings.changed.connect(self._on_setting)
        self._taker.prepared.connect(self._on_prepared)
        self._taker.checkpoint.connect(self.offer)
        self._taker.refused.connect(self._on_refused)

    def say(self, words: str) -> None:
        """Something went wrong, or is done: said in its place."""
        self.message.say(words)

    def set_in_use(self, model: str) -> None:
        """Mark the model that is loaded; "" for none."""
        if model != self._in_use:
            self._in_use = model
            self._show_rows()

    def refresh(self) -> None:
        """Look at the disk again."""
        self._looking.start(0)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def shutdown(self) -> None:
        """Pause what is on its way, and end."""
        self._looking.stop()
        self.look_ups.shutdown()
        self.jobs.shutdown()
        self._taker.shutdown()
        self._searcher.shutdown()
        self._worker.shutdown()

    def row(self, repo: str) -> ModelRow | None:
        return next((row for row in self.rows if row.row.repo == repo), None)

    # ------------------------------------------------------------------ looking
    def _look(self) -> None:
        look = partial(
            survey,
            looked_up=tuple(self._looked_up.values()),
            folders=tuple(self._settings[FOLDERS_KEY]),
            **self._memory(),
        )
        self._worker.submit(look, self._on_survey, self._on_failed)

    def _memory(self) -> dict[str, Any]:
        """The settings that speeds are told for."""
        memory = self._settings.section("memory")
        return {"budget": memory["budget"], "window": memory["window"]}

    def _on_survey(self, found: Survey) -> None:
        self._survey = found
        self.foot.setText(
            self.tr("{0} free in {1}. Drop the folder of a model or a GGUF file here to chat with it.").format(
                units.size(found.free_bytes), found.folder
            )
        )  # fmt: skip
        if found.troubles:
            self.say(sentences(*found.troubles))
        self._show_rows()

    def _show_rows(self) -> None:
        if self._survey is None:
            return
        words, repo = self.field.text().casefold().split(), repository_in(self.field.text()) or ""
        known = {row.repo for row in self._survey.rows}
        listed = (*(row for row in self._offered.values() if row.repo not in known), *self._survey.rows)
        rows = [row for row in listed if row.repo.casefold() == repo.casefold() or _matches(row, words)]
        if repo and repo not in known:
            rows.insert(0, for_repository(repo))
        listed_already = {row.repo for row in rows}
        rows += [row for row in self._found if row.repo not in listed_already | known]
        for old in self.rows:
            self._list.removeWidget(old)
            old.hide()
            old.deleteLater()
        self.rows = []
        self.research.hide()
        for row in rows:
            self._add(row)
        self.nothing.setVisible(not rows)

    def _add(self, row: Row) -> None:
        if row.research and not row.on_disk and self.research.isHidden():
            self._list.removeWidget(self.research)
            self._list.insertWidget(self._list.count() - 1, self.research)
            self.research.show()
        widget = ModelRow(row, in_use=bool(row.folder) and row.model == self._in_use)
        widget.refresh(self.jobs.job(row.repo) or self.look_ups.job(row.repo))
        widget.chat_asked.connect(self.chat_asked)
        widget.get_asked.connect(self.jobs.start)
        widget.look_up_asked.connect(self.look_ups.start)
        widget.pause_asked.connect(self.jobs.pause)
        widget.pause_asked.connect(self.look_ups.pause)
        widget.remove_asked.connect(self._ask_to_remove)
        widget.forget_asked.connect(self._forget)
        widget.verify_asked.connect(self._verify)
        widget.proof_asked.connect(self.proof_asked)
        self.rows.append(widget)
        self._list.insertWidget(self._list.count() - 1, widget)

    def _on_job(self, job: Job) -> None:
        if row := self.row(job.repo):
            row.refresh(job)

    def _on_return(self) -> None:
        """A name or link that was pasted is looked up, as by the button of its row; other words are searched for."""
        words = self.field.text().strip()
        if repo := repository_in(words):
            row = self.row(repo)
            if row and row.unknown and not row.button.isHidden():
                row.button.click()
        elif words:
            self.nothing.setText(self.tr("Searching the Hub…"))
            self.message.say(self.nothing.text())
            self._searcher.submit(partial(self._search, words), partial(self._on_found, words), self._on_failed)

    def _on_typed(self) -> None:
        self._found = []
        self.nothing.setText(self.tr("No model of this name here. Press Return to search the Hub."))
        self._show_rows()

    def _on_found(self, words: str, found: list[Row]) -> None:
        if words != self.field.text().strip():
            return  # somebody typed on
        self._found = found
        self.message.clear()
        if not found:
            self.nothing.setText(self.tr("The Hub has no model of this name."))
            self.message.say(self.nothing.text())
        self._show_rows()

    def _on_looked_up(self, job: Job) -> None:
        self.look_ups.forget(job.repo)
        self._looked_up[job.repo] = job.outcome
        self.refresh()

    def _on_finished(self, job: Job) -> None:
        self.jobs.forget(job.repo)
        self._offered.pop(job.repo, None)
        self.refresh()
        if job.repo in self._wanted:
            self._wanted.remove(job.repo)
            self.chat_asked.emit(job.folder)

    def _on_setting(self, key: str, _value: object) -> None:
        if key == "models.folder":
            self._use_folder()
        if key in ("models.folder", FOLDERS_KEY):
            self.refresh()
        elif key in ("memory.budget", "memory.window") and self.isVisible():
            self._looking.start(SETTLING_MS)

    def _use_folder(self) -> None:
        """The engine, and the processes of our jobs, take the folder from the environment."""
        folder = self._settings["models.folder"] or self._usual_folder
        if folder:
            os.environ[FOLDER_VARIABLE] = folder
        else:
            os.environ.pop(FOLDER_VARIABLE, None)

    # ------------------------------------------------------------------ what can be done with a model
    def _ask_to_remove(self, repo: str) -> None:
        if (shown := self.row(repo)) is None:
            return
        row = shown.row
        name = row.title if row.checkpoint else repo
        more = (
            self.tr("What is prepared of it so far is removed. The checkpoint stays as it is.")
            if row.checkpoint
            else self.tr("Its files are removed from the disk. It can be downloaded again.")
        )
        question = self.tr("Delete {0}?").format(name)
        ask(self, question, more, self.tr("Delete"), partial(self._remove, row), loses=True)

    def _remove(self, row: Row) -> None:
        from engine.library.local import give_up
        from engine.library.removing import remove

        self.jobs.forget(row.repo)
        self._offered.pop(row.repo, None)
        call = partial(give_up, row.checkpoint) if row.checkpoint else partial(remove, row.repo)
        self._worker.submit(call, self._on_removed, self._on_failed)

    def _on_removed(self, _freed: int | None) -> None:
        self.refresh()

    def _forget(self, folder: str) -> None:
        forget_folder(self._settings, folder)

    def _verify(self, row: Row) -> None:
        if row.folder:
            self.say(self.tr("Checking the files of {0}…").format(row.title))
            self._worker.submit(partial(verify, row.folder), partial(self._on_verified, row), self._on_failed)

    def _on_verified(self, row: Row, known: bool) -> None:
        whole = self.tr("{0} is intact. All checksums match.")
        told = whole if known else self.tr("{0} is readable. Of its files no checksums are known.")
        self.say(told.format(row.title))

    def _on_failed(self, error: Exception) -> None:
        self.say(in_words(error))

    # ------------------------------------------------------------------ building
    def _compose(self) -> None:
        self.nothing = Label(self.tr("No model of this name here. Press Return to search the Hub."), colour="quiet")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.nothing.hide()
        self.research = Label(self.tr("For research: neurons from flash"), weight=QFont.Weight.DemiBold)
        self.research.setContentsMargins(24, 22, 18, 6)
        self.research.hide()
        holder = QWidget()
        holder.setBackgroundRole(QPalette.ColorRole.Base)
        self._list = QVBoxLayout(holder)
        self._list.setContentsMargins(0, 0, 0, 0)
        self._list.setSpacing(0)
        self._list.addWidget(self.nothing)
        self._list.addWidget(self.research)
        self._list.addStretch(1)  # all that no row needs, which would grow else
        area = RowsArea(widgetResizable=True)
        area.setAccessibleName(self.tr("Models"))
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setBackgroundRole(QPalette.ColorRole.Base)
        area.setWidget(holder)
        head, foot = QHBoxLayout(), QHBoxLayout()
        head.setContentsMargins(18, 10, 18, 10)
        head.setSpacing(10)
        head.addWidget(self.field)
        head.addWidget(self.add_button)
        foot.setContentsMargins(24, 8, 18, 10)
        foot.addWidget(self.foot)
        centre = QWidget()
        layout = QVBoxLayout(centre)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(head)
        layout.addWidget(self.message)
        layout.addWidget(area, 1)
        layout.addLayout(foot)
        self.setCentralWidget(centre)
        close = QAction(self)
        close.setShortcut("Ctrl+W")
        close.triggered.connect(self.close)
        self.addAction(close)

    # ------------------------------------------------------------------ folders
    def take_paths(self, paths: list[Path]) -> None:
        for path in paths:
            self.take(path)

    def take(self, path: Path) -> None:
        """A folder or file: a prepared model is chatted with, a checkpoint offered to be prepared, others refused."""
        self._taker.take(path)

    def ask_for_folder(self) -> None:
        """Let a folder be chosen, for those who do not drag."""
        choose_folder(self, self.tr("Add a Model's Folder"), str(Path.home()), self._on_folder)

    def _on_folder(self, path: str) -> None:
        self.take(Path(path))

    def _on_prepared(self, folders: tuple[Path, ...]) -> None:
        """One model is chatted with; of several, all are listed."""
        self.refresh()
        if len(folders) == 1:
            self.chat_asked.emit(str(folders[0]))
        else:
            self.say(self.tr("%Ln model(s) added", "", len(folders)))

    def _on_refused(self, words: str, _unsupported: bool) -> None:
        self.say(words)

    def get(self, row: Row) -> None:
        """Download a model, and chat with it once it is there."""
        self._wanted.add(row.repo)
        self.jobs.start(row.repo)

    def offer(self, row: Row) -> None:
        """Ask whether a checkpoint shall be prepared. A GGUF file is converted at once, and then chatted with."""
        if row.in_one_step:
            self._wanted.add(row.repo)
            self._prepare(row)
            return
        more = self.tr(
            "This folder holds a checkpoint. Flashbulb makes a prepared model of it in the models folder; the "
            "checkpoint stays as it is."
        )
        question = self.tr("Prepare {0}?").format(row.title)
        ask(self, question, more, self.tr("Prepare"), partial(self._prepare, row), loses=False)

    def _prepare(self, row: Row) -> None:
        self._offered[row.repo] = row
        self._show_rows()
        self.jobs.start(row.repo)


def _matches(row: Row, words: list[str]) -> bool:
    text = f"{row.repo} {row.title} {row.about} {row.description}".casefold()
    return all(word in text for word in words)

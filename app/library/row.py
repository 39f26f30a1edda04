"""A model's row in the library: what it is, what would become of it here, how far it is, and what can be done."""

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.library.jobs import RUNNING, Job, JobState
from app.library.survey import STARTER, Row
from app.library.verdict import Kind, Verdict
from app.widgets import units
from app.widgets.buttons import IconButton
from app.widgets.colours import colours
from app.widgets.labels import Label, quiet
from app.widgets.progress import ThinBar

VERDICT_WIDTH, ACTION_WIDTH = 250, 190
ETA_FROM = 10  # seconds left below which none is told


class ModelRow(QFrame):
    """One model, with a hairline below."""

    chat_asked = Signal(str)  # folder or "starter"
    get_asked = Signal(str)  # repository
    look_up_asked = Signal(str)  # repository
    pause_asked = Signal(str)
    remove_asked = Signal(str)
    verify_asked = Signal(object)  # Row
    proof_asked = Signal(object)  # Row

    def __init__(self, row: Row, parent: QWidget | None = None):
        super().__init__(parent)
        self.row, self.job = row, None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)  # few rows do not spread
        self.title = Label(row.title, weight=QFont.Weight.DemiBold)
        about = self.tr("Built in. Small talk, works offline.") if row.repo == STARTER else row.about
        about = self.tr("From a folder") if row.checkpoint else about
        self.facts = quiet(self._facts())
        self.verdict, self.reason = Label(), quiet()
        self.reason.setWordWrap(True)
        self.bar = ThinBar(self.tr("Progress of {0}").format(row.title))
        self.progress = quiet()
        self.progress.setWordWrap(True)
        self.progress.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.button = QPushButton()
        self.button.clicked.connect(self._on_button)
        self.prove = QPushButton(self.tr("Prove It"))
        self.prove.setAccessibleName(self.tr("Prove that {0} streams exactly").format(row.title))
        self.prove.setToolTip(self.tr("Runs the model with all neurons and with those selected, and compares"))
        self.prove.setVisible(bool(row.folder))
        self.prove.clicked.connect(self._on_prove)
        self.pause = IconButton("pause", self.tr("Pause {0}").format(row.title))
        self.pause.clicked.connect(self._on_pause)
        self.more = IconButton("more", self.tr("More about {0}").format(row.title))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu())
        self.setAccessibleName(row.title)
        self._compose(quiet(about))
        self.refresh(None)

    def refresh(self, job: Job | None) -> None:
        """Show where the model is."""
        self.job = job
        state = job.state if job else None
        running = state in RUNNING
        self._show_verdict(job)
        self.bar.setVisible(running)
        begun = bool(self.row.done or self.row.checkpoint)
        self.progress.setVisible(begun or running or state in (JobState.QUEUED, JobState.PAUSED))
        self.pause.setVisible(running or state is JobState.QUEUED)
        self.button.setVisible(not running and state is not JobState.QUEUED and self._can_get())
        self.button.setText(self._button_text(state))
        self.button.setAccessibleName(f"{self.button.text()} {self.row.title}")
        if running:
            self.bar.setValue(self._share(job))
        self.progress.setText(self._progress_text(job))

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(0, self.height() - 1, self.width(), 1, colours(self.palette()).hairline)

    @property
    def unknown(self) -> bool:
        """Whether nobody has asked the Hub yet."""
        return not self.row.size and self.row.checkpoint is None

    # ------------------------------------------------------------------ words
    def _facts(self) -> str:
        row = self.row
        sparse = self.tr("FFN {0} sparse").format(row.tags[0]) if row.tags else ""
        about = self.tr("about {0}") if row.estimated else "{0}"
        size = about.format(units.size(row.size)) if row.size else self.tr("size not known yet")
        needed, lacking = units.size(row.disk), units.size(row.lacking)
        disk = self.tr("needs {0} of disk").format(needed) if row.disk else ""
        if row.lacking:
            disk = self.tr("needs {0} of disk, {1} more than is free").format(needed, lacking)
        return " · ".join(part for part in (size, sparse, disk) if part)

    def _show_verdict(self, job: Job | None) -> None:
        if job and job.error:
            self.verdict.setText(self.tr("That did not work"))
            self.reason.setText(job.error)
            return
        names = {
            Kind.IN_MEMORY: self.tr("Runs in memory"),
            Kind.STREAMS: self.tr("Streams from flash"),
            Kind.TOO_LARGE: self.tr("Too large"),
            Kind.UNSUPPORTED: self.tr("Not yet"),
        }
        verdict, needed = self.row.verdict, units.size(self.row.verdict.needed_bytes)
        reasons = {
            Kind.IN_MEMORY: self.tr("and shows streaming all the same"),
            Kind.STREAMS: self._streaming(verdict, needed),
            Kind.TOO_LARGE: self.tr("it would need about {0} of memory, as estimated").format(needed),
            Kind.UNSUPPORTED: self.row.refused or self.tr("this Flashbulb does not know its architecture"),
        }
        if self.unknown:
            self.verdict.setText(self.tr("From the Hub"))
            self.reason.setText(self.tr("its size, its licence and what would become of it here are looked up first"))
            return
        if not self.row.size:
            self.verdict.setText(self.tr("Its folder is not there"))
            self.reason.setText(str(self.row.checkpoint))
            return
        self.verdict.setText(names[verdict.kind])
        self.reason.setText(reasons[verdict.kind])

    def _streaming(self, verdict: Verdict, needed: str) -> str:
        """How fast it would be, as far as that is known."""
        if verdict.crowded:
            return self.tr("needs about {0} of memory, and less is free now").format(needed)
        if verdict.tokens_per_second is None:
            return self.tr("in about {0} of memory; measure the drive in Settings to see how fast").format(needed)
        speed = units.number(verdict.tokens_per_second)
        return self.tr("about {0} tokens a second in {1}").format(speed, units.size(verdict.budget))

    def _button_text(self, state: JobState | None) -> str:
        if self.row.folder:
            return self.tr("Chat")
        if state is JobState.FAILED:
            return self.tr("Try Again")
        if self.unknown:
            return self.tr("Look Up")
        begun = state is JobState.PAUSED or self.row.done or self.row.checkpoint
        return self.tr("Go On") if begun else self.tr("Get")

    def _progress_text(self, job: Job | None) -> str:
        if job is None or job.state in (JobState.PAUSED, JobState.FAILED):
            if self.row.checkpoint:
                return self.tr("preparing is paused")
            done, total = (job.done, job.total) if job and job.total else (self.row.done, self.row.total)
            return self.tr("paused at {0} of {1}").format(units.size(done), units.size(total)) if total else ""
        if job.state is JobState.QUEUED:
            return self.tr("waits for its turn")
        if job.state is JobState.PREPARING:
            return self.tr("preparing: {0}").format(job.note)
        if not job.total:
            return self.tr("asking the Hub…")
        parts = [self.tr("{0} of {1}").format(units.size(job.done), units.size(job.total)), units.rate(job.rate)]
        if (left := job.seconds_left) is not None and left >= ETA_FROM:
            parts.append(self.tr("{0} left").format(units.duration(left)))
        return ", ".join(parts) + (f". {job.note}" if job.note else "")

    def _share(self, job: Job) -> int:
        """One bar for both halves of the job, the download and preparing."""
        if job.state is JobState.PREPARING:
            return 500 + round(500 * job.share)
        return round(500 * job.done / job.total) if job.total else 0

    def _can_get(self) -> bool:
        return self.row.folder is not None or self.row.verdict.kind is not Kind.UNSUPPORTED

    # ------------------------------------------------------------------ building
    def _compose(self, about: Label) -> None:
        names, verdict, actions = QVBoxLayout(), QVBoxLayout(), QVBoxLayout()
        for label in (self.title, about, self.facts):
            label.setWordWrap(True)
            names.addWidget(label)
        for widget in (self.verdict, self.reason):
            verdict.addWidget(widget)
        for column in (names, verdict, actions):
            column.setSpacing(2)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addStretch()
        for widget in (self.prove, self.button, self.pause, self.more):
            buttons.addWidget(widget)
        actions.addStretch()
        actions.addWidget(self.bar)
        actions.addWidget(self.progress)
        actions.addLayout(buttons)
        actions.addStretch()
        verdict.addStretch()
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 14, 18, 14)
        row.setSpacing(18)
        row.addLayout(names, 1)
        for column, width in ((verdict, VERDICT_WIDTH), (actions, ACTION_WIDTH)):
            holder = QWidget()
            holder.setFixedWidth(width)
            column.setContentsMargins(0, 0, 0, 0)
            holder.setLayout(column)
            row.addWidget(holder)

    def _menu(self) -> QMenu:
        menu = QMenu(self)
        if self.row.folder:
            menu.addAction(self.tr("Show in Folder")).triggered.connect(self._on_reveal)
            menu.addAction(self.tr("Verify Files")).triggered.connect(self._on_verify)
        if self.row.checkpoint:
            menu.addAction(self.tr("Delete…")).triggered.connect(self._on_remove)
        elif self.row.repo != STARTER:
            menu.addAction(self.tr("Open Page on the Hub")).triggered.connect(self._on_page)
            if self.row.folder or self.row.done:
                menu.addAction(self.tr("Delete…")).triggered.connect(self._on_remove)
        return menu

    def _on_button(self) -> None:
        if self.row.folder:
            self.chat_asked.emit(self.row.model)
        elif self.unknown:
            self.look_up_asked.emit(self.row.repo)
        else:
            self.get_asked.emit(self.row.repo)

    def _on_pause(self) -> None:
        self.pause_asked.emit(self.row.repo)

    def _on_remove(self) -> None:
        self.remove_asked.emit(self.row.repo)

    def _on_verify(self) -> None:
        self.verify_asked.emit(self.row)

    def _on_prove(self) -> None:
        self.proof_asked.emit(self.row)

    def _on_reveal(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.row.folder)))

    def _on_page(self) -> None:
        from engine.library.hub import page_of

        page = self.job.page if self.job and self.job.page else page_of(self.row.repo)
        QDesktopServices.openUrl(QUrl(page))

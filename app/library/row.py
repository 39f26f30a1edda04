"""A model's row in the library: what it is, what would become of it here, how far it is, and what can be done."""

from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.library.jobs import RUNNING_STATES, Job, JobState
from app.library.rows import Row, heading
from app.library.verdict import RUNNING_KINDS, Kind, Verdict
from app.widgets import units
from app.widgets.buttons import IconButton
from app.widgets.colours import colours
from app.widgets.labels import Label, quiet
from app.widgets.language import tr
from app.widgets.progress import ThinBar
from engine.system.built_in import ASSISTANT, STARTER

VERDICT_WIDTH, ACTION_WIDTH = 220, 200
MIN_ETA_S = 10  # seconds left below which none is told
SLOW_RATE, VERY_SLOW_RATE = 3.0, 1.0  # tokens a second


class ModelRow(QFrame):
    """One model, with a hairline below."""

    chat_asked = Signal(str)  # folder or "starter"
    get_asked = Signal(str)  # repository
    look_up_asked = Signal(str)  # repository
    pause_asked = Signal(str)
    remove_asked = Signal(str)
    forget_asked = Signal(str)  # a folder, which stays
    verify_asked = Signal(object)  # Row
    proof_asked = Signal(object)  # Row

    def __init__(self, row: Row, in_use: bool = False, parent: QWidget | None = None):
        super().__init__(parent)
        self.row, self.in_use = row, in_use
        self.job: Job | None = None
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)  # as high as its lines need
        self.title = Label(heading(row), weight=QFont.Weight.DemiBold)
        self.badge = Label(self._badge(), colour="accent")
        self.badge.setVisible(bool(self.badge.text()))
        self.about = quiet(self._about())
        self.about.setVisible(bool(self.about.text()))
        self.facts = quiet(self._facts())
        self.facts.setVisible(bool(self.facts.text()))
        self.verdict, self.reason = Label(), quiet()
        self.verdict.setWordWrap(True)
        self.reason.setWordWrap(True)
        self.bar = ThinBar(self.tr("Progress of {0}").format(row.title))
        self.progress = quiet()
        self.progress.setWordWrap(True)
        self.progress.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.button = QPushButton()
        self.button.clicked.connect(self._on_button)
        self.prove = QPushButton(self.tr("Prove It"))
        self.prove.setAccessibleName(self.tr("Prove that {0} streams exactly").format(row.title))
        self.prove.setToolTip(self.tr("Runs the model with nothing left out and streamed, and compares"))
        self.prove.setVisible(self._usable)
        self.prove.clicked.connect(self._on_prove)
        self.pause = IconButton("pause", self.tr("Pause {0}").format(row.title))
        self.pause.clicked.connect(self._on_pause)
        self.more = IconButton("more", self.tr("More about {0}").format(row.title))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setMenu(self._menu())
        self.more.setVisible(not self.more.menu().isEmpty())
        self.setAccessibleName(row.title)
        self._compose()
        self.refresh(None)

    def refresh(self, job: Job | None) -> None:
        """Show where the model is."""
        self.job = job
        state = job.state if job else None
        running = state in RUNNING_STATES
        self._show_verdict(job)
        self.bar.setVisible(running)
        text = self._progress_text(job)
        self.progress.setText(text)
        self.progress.setVisible(bool(text))
        self.pause.setVisible(running or state is JobState.QUEUED)
        self.button.setVisible(not running and state is not JobState.QUEUED and self._can_press(job))
        self.button.setEnabled(not (self.in_use and self._usable))
        self.button.setText(self._button_text(state))
        self.button.setAccessibleName(f"{self.button.text()} {self.row.title}")
        if job and running:
            self.bar.setValue(self._share(job))

    @property
    def _usable(self) -> bool:
        """True if it can be chatted with."""
        return self.row.folder is not None and not self.row.trouble

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(0, self.height() - 1, self.width(), 1, colours(self.palette()).hairline)

    @property
    def unknown(self) -> bool:
        """True if nobody has asked the Hub yet."""
        row = self.row
        return not row.size and row.checkpoint is None and not row.trouble and not row.as_it_is

    # ------------------------------------------------------------------ words
    def _badge(self) -> str:
        return self.tr("Recommended for this computer") if self.row.recommended and not self.in_use else ""

    def _about(self) -> str:
        row = self.row
        if row.repo == STARTER:
            return self.tr("Built in. Small talk in English, works offline.")
        if row.repo == ASSISTANT:
            return self.tr("Built in. Answers questions in English, and is often wrong. Works offline.")
        if row.found:
            found = self.tr("Found on this computer: {0}").format(row.found)
            return "\n".join(part for part in (found, row.description) if part)
        if row.checkpoint or row.added:
            return self.tr("From a folder")
        kinds = {True: self.tr("Chat model"), False: self.tr("Base model: continues a text, does not chat"), None: ""}
        first = " · ".join(part for part in (kinds[row.chat], row.about) if part)
        return "\n".join(part for part in (first, row.description) if part)

    def _facts(self) -> str:
        row = self.row
        if row.trouble and not row.size:
            return ""
        sparse = self.tr("FFN {0} sparse").format(row.tags[0]) if row.tags else ""
        about = self.tr("about {0}") if row.estimated else "{0}"
        size = about.format(units.size(row.size)) if row.size else self.tr("size not known yet")
        needed, lacking = units.size(row.disk), units.size(row.lacking)
        disk = self.tr("needs {0} of disk").format(needed) if row.disk and row.verdict.kind in RUNNING_KINDS else ""
        if row.lacking and disk:
            disk = self.tr("needs {0} of disk, {1} more than is free").format(needed, lacking)
        return " · ".join(part for part in (size, sparse, self._quantised(), disk) if part)

    def _quantised(self) -> str:
        """Words on neurons that were quantised, and what that costs."""
        if self.row.bits is None:
            return ""
        if self.row.loss is None:
            return self.tr("{0}-bit neurons").format(self.row.bits)
        loss = units.signed_percent(self.row.loss)
        return self.tr("{0}-bit neurons, perplexity {1}").format(self.row.bits, loss)

    def _show_verdict(self, job: Job | None) -> None:
        self.verdict.setText(self._verdict(job))
        reason = self._reason(job)
        self.reason.setText(reason)
        self.reason.setVisible(bool(reason))

    def _verdict(self, job: Job | None) -> str:
        if job and job.error:
            return self._failure()
        if self.row.trouble:
            return self.tr("Cannot be used")
        if self.unknown:
            return self.tr("From the Hub")
        if not self.row.size:
            return self.tr("Its folder is not there")
        if self.row.lacking and self.row.verdict.kind in RUNNING_KINDS:
            return self.tr("Not enough disk space")
        return verdict_in_words(self.row.verdict.kind)

    def _failure(self) -> str:
        if self.row.checkpoint:
            return self.tr("Preparing failed")
        return self.tr("The Hub was not asked") if self.unknown else self.tr("Download failed")

    def _reason(self, job: Job | None) -> str:
        row = self.row
        if job and job.error:
            return job.error
        if row.trouble:
            return row.trouble
        if self.unknown and row.family:
            return self.tr("Models of its family, {0}, run here. Looks up its size and licence").format(row.family)
        if self.unknown:
            return self.tr("Looks up its size and licence, and whether it runs here")
        if not row.size:
            return str(row.checkpoint)
        if row.lacking and row.verdict.kind in RUNNING_KINDS:
            return self.tr("{0} more must be free").format(units.size(row.lacking))
        if row.verdict.kind is Kind.UNSUPPORTED:
            return row.refused or self.tr("this version cannot run its architecture")
        return reason_in_words(row.verdict)

    def _button_text(self, state: JobState | None) -> str:
        if self._usable:
            return self.tr("In Use") if self.in_use else self.tr("Chat")
        if state is JobState.FAILED:
            return self.tr("Try Again")
        if self.unknown:
            return self.tr("Look Up")
        if self.row.found:
            return self.tr("Convert")
        begun = state is JobState.PAUSED or self.row.done or self.row.checkpoint
        return self.tr("Resume") if begun else self.tr("Get")

    def _progress_text(self, job: Job | None) -> str:
        if job is None or job.state in (JobState.PAUSED, JobState.FAILED):
            if self.row.checkpoint:
                unbegun = self.row.found and job is None
                return "" if unbegun or (job and job.state is JobState.FAILED) else self.tr("preparing is paused")
            done, total = (job.done, job.total) if job and job.total else (self.row.done, self.row.total)
            return self.tr("paused at {0} of {1}").format(units.size(done), units.size(total)) if total else ""
        if job.state is JobState.QUEUED:
            return self.tr("waits for its turn")
        if job.state is JobState.PREPARING:
            return self.tr("preparing: {0}").format(job.note)
        if not job.total:
            return self.tr("asking the Hub…")
        parts = [self.tr("{0} of {1}").format(units.size(job.done), units.size(job.total)), units.rate(job.rate)]
        if (left := job.seconds_left) is not None and left >= MIN_ETA_S:
            parts.append(self.tr("{0} left").format(units.duration(left)))
        return ", ".join(parts) + (f". {job.note}" if job.note else "")

    def _share(self, job: Job) -> int:
        """One bar for both halves of the job, the download and preparing."""
        if job.state is JobState.PREPARING:
            return 500 + round(500 * job.share)
        return round(500 * job.done / job.total) if job.total else 0

    def _can_press(self, job: Job | None) -> bool:
        """True if there is something that the button could do."""
        row = self.row
        if self._usable or self.unknown:
            return True
        if row.trouble or (job and job.state is JobState.FAILED and row.checkpoint):
            return False  # what a checkpoint's preparing fails of does not change by trying again
        return row.can_get or row.done > 0 or row.checkpoint is not None

    # ------------------------------------------------------------------ building
    def _compose(self) -> None:
        names, verdict, actions = QVBoxLayout(), QVBoxLayout(), QVBoxLayout()
        for label in (self.title, self.badge, self.about, self.facts):
            label.setWordWrap(True)
            names.addWidget(label)
        for widget in (self.verdict, self.reason):
            verdict.addWidget(widget)
        for column in (names, verdict, actions):
            column.setSpacing(2)
        buttons = QHBoxLayout()
        buttons.setSpacing(6)
        buttons.addStretch()
        for control in (self.prove, self.button, self.pause, self.more):
            buttons.addWidget(control)
        actions.addWidget(self.bar)
        actions.addWidget(self.progress)
        actions.addLayout(buttons)
        for column in (names, verdict, actions):
            column.addStretch()  # lines stay together however high the row is
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
        menu, row = QMenu(self), self.row
        if row.folder and row.folder.exists():
            menu.addAction(self.tr("Show in Folder")).triggered.connect(self._on_reveal)
            menu.addAction(self.tr("Verify Files")).triggered.connect(self._on_verify)
        if row.found:  # what others have put there is theirs
            if Path(row.found).is_absolute():
                words = self.tr("Remove {0} from List").format(Path(row.found).name)
                menu.addAction(words).triggered.connect(self._on_forget_root)
            return menu
        if row.added:
            menu.addAction(self.tr("Remove from List")).triggered.connect(self._on_forget)
        elif row.checkpoint:
            menu.addAction(self.tr("Delete What Is Prepared…")).triggered.connect(self._on_remove)
        elif not row.built_in:
            menu.addAction(self.tr("Open Page on the Hub")).triggered.connect(self._on_page)
            if row.folder or row.done:
                menu.addAction(self.tr("Delete…")).triggered.connect(self._on_remove)
        return menu

    def _on_button(self) -> None:
        if self._usable:
            self.chat_asked.emit(self.row.model)
        elif self.unknown:
            self.look_up_asked.emit(self.row.repo)
        else:
            self.get_asked.emit(self.row.repo)

    def _on_pause(self) -> None:
        self.pause_asked.emit(self.row.repo)

    def _on_remove(self) -> None:
        self.remove_asked.emit(self.row.repo)

    def _on_forget(self) -> None:
        self.forget_asked.emit(self.row.repo)

    def _on_forget_root(self) -> None:
        self.forget_asked.emit(self.row.found)

    def _on_verify(self) -> None:
        self.verify_asked.emit(self.row)

    def _on_prove(self) -> None:
        self.proof_asked.emit(self.row)

    def _on_reveal(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.row.folder)))

    def _on_page(self) -> None:
        from engine.library.addresses import page_of

        page = self.job.page if self.job and self.job.page else page_of(self.row.repo)
        QDesktopServices.openUrl(QUrl(page))


def verdict_in_words(kind: Kind) -> str:
    """A verdict in two or three words."""
    names = {
        Kind.IN_MEMORY: tr("Fits in memory"),
        Kind.STREAMS: tr("Streams from flash"),
        Kind.TOO_LARGE: tr("Too large"),
        Kind.UNSUPPORTED: tr("Not supported"),
    }
    return names[kind]


def reason_in_words(verdict: Verdict) -> str:
    """Its reason, with the speed as far as that is known."""
    needed = units.size(verdict.needed_bytes)
    if verdict.kind is Kind.TOO_LARGE:
        return tr("would need about {0} of memory, as estimated").format(needed)
    if verdict.kind is Kind.IN_MEMORY:
        return _speed_in_memory(verdict.tokens_per_second)
    if verdict.crowded:
        return tr("needs about {0} of memory, and less is free now").format(needed)
    if verdict.tokens_per_second is None:
        return tr("in about {0} of memory; measure the drive in Settings to see how fast").format(needed)
    return speed_in_words(verdict.tokens_per_second, verdict.budget)


def _speed_in_memory(tokens_per_second: float | None) -> str:
    if tokens_per_second is None:
        return tr("measure the drive in Settings to see how fast")
    return tr("about {0} tokens a second").format(units.number(tokens_per_second))


def speed_in_words(tokens_per_second: float, budget: int) -> str:
    """A predicted speed, and what a person would call it."""
    speed, memory = units.number(tokens_per_second), units.size(budget)
    if tokens_per_second < VERY_SLOW_RATE:
        return tr("very slow: about {0} tokens a second in {1}").format(speed, memory)
    if tokens_per_second < SLOW_RATE:
        return tr("slow: about {0} tokens a second in {1}").format(speed, memory)
    return tr("about {0} tokens a second in {1}").format(speed, memory)

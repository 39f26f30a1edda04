"""Measuring the drive: how fast it reads neurons, from which every prediction of speed follows."""

from datetime import UTC, datetime
from typing import Any

from PySide6.QtCore import QDate, QLocale, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.host.command import FLASHBULB, Command
from app.host.engine_host import EngineHost, State
from app.widgets import units
from app.widgets.labels import quiet
from app.widgets.language import spoken
from app.widgets.progress import ThinBar

COMMAND = (*FLASHBULB, "bench", "drive", "--quick", "--progress")
BUSY_STATES = (State.LOADING, State.ANSWERING, State.STOPPING)  # the two would disturb each other


class DriveTest(QWidget):
    """A button, how far it is, and what was found. `measured`: there is a new profile."""

    measured = Signal()

    def __init__(self, host: EngineHost, command: tuple[str, ...] = COMMAND, parent: QWidget | None = None):
        super().__init__(parent)
        self._host, self._command = host, command
        self._run: Command | None = None
        self._failed = self._interrupted = ""
        self.button = QPushButton(self.tr("Measure This Drive"))
        self.button.clicked.connect(self._on_button)
        self.bar = ThinBar(self.tr("Progress of measuring the drive"))
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.words = quiet()
        self.words.setWordWrap(True)
        self.words.setMinimumHeight(2 * self.words.fontMetrics().lineSpacing())
        row = QHBoxLayout()
        row.addWidget(self.button)
        row.addWidget(self.bar, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.words)
        host.state_changed.connect(self._on_state)
        self.refresh()

    @property
    def running(self) -> bool:
        return self._run is not None

    def refresh(self) -> None:
        """Show what is known of the drive, or why it cannot be measured now."""
        self.bar.setVisible(self.running)
        if self.running:
            self.button.setText(self.tr("Cancel"))
            self.button.setEnabled(True)
            self.words.setText(
                self.tr("Measuring takes about a minute, and 0.5 GB of the disk meanwhile. {0} done.").format(
                    units.percent(self.bar.value() / self.bar.maximum())
                )
            )
            return
        busy = self._host.state in BUSY_STATES
        self.button.setText(self.tr("Measure This Drive"))
        self.button.setEnabled(not busy)
        found = self._failed or self._interrupted or self._found()
        self.words.setText(self.tr("The model is at work: measure when it is done.") if busy else found)

    def start(self) -> None:
        if self.running or self._host.state in BUSY_STATES:
            return
        from engine.system.folders import models_folder

        self._failed = self._interrupted = ""
        folder = (self._host.model and self._host.model.drive_folder) or models_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)  # before the first download there is none
        except OSError as error:
            self._failed = self.tr("{0} cannot be written to ({1}).").format(folder, error.strerror)
            self.refresh()
            return
        self._run = Command((*self._command, "--folder", str(folder)), self)
        self._run.said.connect(self._on_line)
        self._run.ended.connect(self._on_ended)
        self.bar.setValue(0)
        self._run.start()
        self.refresh()

    def cancel(self) -> None:
        """End it, if it runs; nothing of it is kept."""
        if self._run:
            self._run.stop()
            self.button.setEnabled(False)

    def shutdown(self) -> None:
        """End it, and wait for that."""
        if self._run:
            self._run.stop_and_wait()

    def _on_button(self) -> None:
        self.cancel() if self.running else self.start()

    def _on_state(self, state: State) -> None:
        if self.running and state in BUSY_STATES:
            self._interrupted = self.tr("The model was needed, so measuring was stopped.")
            self.cancel()
        elif not self.running:
            self.refresh()

    def _on_line(self, line: dict[str, Any]) -> None:
        if line.get("stage") == "failed":
            self._failed = spoken(line.get("error", ""))
        self.bar.setValue(round(1000 * float(line.get("share", 0.0))))
        if line.get("stage") == "done":
            self.bar.setValue(1000)
        self.refresh()

    def _on_ended(self, words: str) -> None:
        run, self._run = self._run, None
        assert run
        done = self.bar.value() == 1000 and not self._failed
        if not done and not run.stopping:
            self._failed = self._failed or words[-300:] or self.tr("It ended without saying why.")
        run.deleteLater()
        if done:
            self._interrupted = ""
            self._host.renew_profile()
            self.measured.emit()
        self.refresh()

    def _found(self) -> str:
        model = self._host.model
        if model is None:
            return ""
        profile = model.outlook.profile
        if profile is None:
            return self.tr("How fast this drive reads is not known yet. Once it is measured, you see here how fast "
                           "each choice will be.")  # fmt: skip
        return self.tr("{0} in sequence, {1} in reads of 16 KB; {2} threads read best. Measured {3}.").format(
            units.rate(profile.sequential_bytes_per_s),
            units.rate(16384 * profile.reads_per_s(16384)),
            profile.threads,
            _date(profile.measured),
        )


def _date(moment: str) -> str:
    """A moment in ISO form, as a date in the system's manner."""
    try:
        then = datetime.fromisoformat(moment).astimezone(UTC)
    except ValueError:
        return moment
    return QLocale().toString(QDate(then.year, then.month, then.day), QLocale.FormatType.ShortFormat)

"""Models on their way: download and prepare as one job, in a process of its own, one after the other.

What has arrived is kept by the engine, so a job goes on after a pause, a failure or a quit. What a repository holds is
looked up in the same manner.
"""

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.host.command import FLASHBULB, Command
from app.widgets.language import spoken

GET_COMMAND = (*FLASHBULB, "models", "get", "--progress")
LOOK_UP_COMMAND = (*FLASHBULB, "models", "show", "--progress")


class JobState(Enum):
    """The stage that a job is at."""

    QUEUED = auto()
    FETCHING = auto()
    PREPARING = auto()
    PAUSED = auto()
    FAILED = auto()
    DONE = auto()


RUNNING_STATES = (JobState.FETCHING, JobState.PREPARING)


@dataclass
class Job:
    """done, total, rate: bytes, bytes a second. share: of preparing. note: what it does. page: to visit, if gated.

    outcome: what the command said at last, empty until then.
    """

    repo: str
    state: JobState = JobState.QUEUED
    done: int = 0
    total: int = 0
    rate: float = 0.0
    share: float = 0.0
    note: str = ""
    error: str = ""
    page: str = ""
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Of the prepared model."""
        return str(self.outcome.get("folder", ""))

    @property
    def seconds_left(self) -> float | None:
        """Of the download; None while that cannot be said."""
        return (self.total - self.done) / self.rate if self.rate > 0 and self.total else None


class Jobs(QObject):
    """The queue. `command`: the program and its arguments but for the repository."""

    changed = Signal(object)  # Job
    finished = Signal(object)  # Job, DONE

    def __init__(self, command: tuple[str, ...] = GET_COMMAND, parent: QObject | None = None):
        super().__init__(parent)
        self._command = command
        self._jobs: dict[str, Job] = {}
        self._running: Job | None = None
        self._process: Command | None = None

    def job(self, repo: str) -> Job | None:
        return self._jobs.get(repo)

    @property
    def busy(self) -> bool:
        return self._running is not None

    def start(self, repo: str) -> None:
        """Get a model, after those that were asked for before; or go on with one that was paused or has failed."""
        job = self._jobs.get(repo)
        if job and job.state in (JobState.QUEUED, *RUNNING_STATES):
            return
        self._jobs.pop(repo, None)  # to the end of the queue
        self._jobs[repo] = job or Job(repo)
        self._jobs[repo].error = self._jobs[repo].page = ""
        self._set(self._jobs[repo], JobState.QUEUED)
        self._next()

    def pause(self, repo: str) -> None:
        """Stop for now; what has arrived stays."""
        job = self._jobs.get(repo)
        if job and job is self._running and self._process:
            self._process.stop()
        elif job and job.state is JobState.QUEUED:
            self._set(job, JobState.PAUSED)

    def forget(self, repo: str) -> None:
        """A job that is over or paused needs no row of its own any more."""
        job = self._jobs.get(repo)
        if job and job.state not in RUNNING_STATES:
            del self._jobs[repo]

    def shutdown(self) -> None:
        """Stop what runs, and wait for it. Harmless when repeated."""
        for job in self._jobs.values():
            if job.state is JobState.QUEUED:
                job.state = JobState.PAUSED
        if self._process is not None:
            self._process.stop_and_wait()

    # ------------------------------------------------------------------ the process
    def _next(self) -> None:
        if self._running is not None:
            return
        job = next((job for job in self._jobs.values() if job.state is JobState.QUEUED), None)
        if job is None:
            return
        self._running = job
        self._process = Command((*self._command, job.repo), self)
        self._process.said.connect(self._on_line)
        self._process.ended.connect(self._on_ended)
        self._set(job, JobState.FETCHING)
        self._process.start()

    def _on_line(self, line: dict[str, Any]) -> None:
        if self._running:
            self._take(self._running, line)

    def _take(self, job: Job, line: dict[str, Any]) -> None:
        stage = line.get("stage")
        job.note = spoken(line.get("note", ""))
        if stage == "failed":
            job.error, job.page = spoken(line.get("error", "")), str(line.get("page", ""))
        elif stage == "done":
            job.outcome = line
        elif stage == "preparing":
            job.share = float(line.get("share", 0.0))
            self._set(job, JobState.PREPARING)
        else:
            job.done, job.total = int(line.get("done", 0)), int(line.get("total", 0))
            job.rate = float(line.get("rate", 0.0))
            self._set(job, JobState.FETCHING)

    def _on_ended(self, words: str) -> None:
        job, process = self._running, self._process
        self._running = self._process = None
        if job is None or process is None:
            return
        process.deleteLater()
        job.rate = 0.0
        if job.outcome:
            self._set(job, JobState.DONE)
            self.finished.emit(job)
        elif process.stopping:
            self._set(job, JobState.PAUSED)
        else:
            job.error = job.error or words[-500:] or self.tr("It ended without saying why.")
            self._set(job, JobState.FAILED)
        self._next()

    def _set(self, job: Job, state: JobState) -> None:
        job.state = state
        self.changed.emit(job)

"""The engine's thread: the engine lives on it from its first import to its last release, as MLX's streams belong to
threads. Nothing that is raised there ends it, and every job ends with an event.
"""

import gc
import logging
import queue
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from app.host.deadline import Deadline, start_thread
from app.host.engine_protocol import Engine, Model
from app.host.events import (
    PROMPT,
    TEMPLATE,
    Answered,
    BudgetRefused,
    Event,
    Failed,
    Loaded,
    MemoryChanged,
    Prefilling,
    Preparing,
    Proved,
    Proving,
    Reading,
)
from app.host.jobs import AnswerJob, Job, LoadJob, ProofJob
from app.host.model_info import ModelInfo
from app.widgets.language import spoken, tr
from engine.errors import BudgetError, CancelledError, FlashbulbError, PromptError, TemplateError
from engine.inference.kept import KeptContexts
from engine.statistics import PromptProgress
from engine.system.awake import awake
from engine.system.footprint import footprint

PATIENCE_S = 5.0  # for what has to be stored before an answer begins
LOOK_S = 2.0  # while nothing is asked, between two looks at how short of memory the system is, and at what to keep
Report = Callable[[Job | None, Event], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Budget:
    """A memory budget that was chosen, in bytes; None leaves it to the engine."""

    bytes: int | None


@dataclass(frozen=True)
class Wake:
    """There may be something to do beside jobs."""


class EngineThread:
    """Does jobs in their order. `report` is called on this thread."""

    def __init__(self, engine: Engine, report: Report):
        self._engine, self._report = engine, report
        self._model: Model | None = None
        self.contexts: KeptContexts | None = None  # of the next model that is loaded
        self._unkept = False  # True after an answer, until its context is kept
        self._jobs: queue.SimpleQueue[Job | Wake | None] = queue.SimpleQueue()
        self._budget: Budget | None = None  # that was chosen, until the model follows it
        self._held: object = None  # the plan that was last told of
        self._thread = start_thread("engine", self._run)

    def is_alive(self) -> bool:
        """True if it has not ended yet."""
        return self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Do this when everything before it is done."""
        self._jobs.put(job)

    def move_budget(self, memory_budget: int | None) -> None:
        """Let the model follow another budget, in bytes: after the present token, or now."""
        self._budget = Budget(memory_budget)
        self._jobs.put(Wake())

    def finish(self) -> None:
        """Release everything after what was submitted, and end."""
        self._jobs.put(None)

    def join(self, deadline: Deadline) -> bool:
        """Wait until it has ended. Returns whether it has; if not, it is left behind."""
        return deadline.join(self._thread)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            if isinstance(job, Wake):
                self._look_after_memory()
                if self._unkept and self._jobs.empty():
                    self._keep_contexts()
            else:
                self._report(job, self._outcome_of(job))
        try:
            self._unload()
            self._engine.release()
        except BaseException as error:  # there is nobody left to tell
            log.error("closing: %r", error, exc_info=error)

    def _next(self) -> "Job | Wake | None":
        """The next thing to do; while there is none, and a model is in memory, a look at how short of memory the system
        is."""
        try:
            return self._jobs.get(timeout=LOOK_S if self._model else None)
        except queue.Empty:
            return Wake()

    def _look_after_memory(self) -> None:
        """While nothing is asked: what goes wrong is a bug, and the model is left as it is."""
        try:
            if self._model is not None:
                self._model.keep_within_budget(footprint())
                self._follow(self._model)
        except Exception as error:
            log.error("a bug: %r", error, exc_info=error)

    def _follow(self, model: Model) -> None:
        """Let a model have the budget that was chosen, and tell of what it holds, if that is something else."""
        wanted, self._budget = self._budget, None
        if wanted is not None and wanted.bytes != model.settings.memory_budget:
            try:
                model.set_budget(wanted.bytes)
            except BudgetError as error:
                self._report(None, BudgetRefused(spoken(error)))
        if model.budget is not self._held:
            self._held = model.budget
            self._report(None, MemoryChanged.of(model))

    def _keep_contexts(self) -> None:
        """While nothing is asked: what an answer has changed."""
        self._unkept = False
        try:
            if self._model is not None:
                self._model.keep_contexts(lambda: not self._jobs.empty())
        except Exception as error:  # nothing is lost but time
            log.error("keeping a context: %r", error, exc_info=error)

    def _outcome_of(self, job: Job) -> Event:
        try:
            return self._do(job)
        except CancelledError:
            return Failed("")
        except BaseException as error:  # also a panic of a library, which is no Exception
            return _explained(error)

    def _do(self, job: Job) -> Event:
        if isinstance(job, LoadJob):
            return self._load(job)
        if isinstance(job, AnswerJob):
            return self._answer(job)
        assert isinstance(job, ProofJob)
        return self._prove(job)

    def _load(self, job: LoadJob) -> Event:
        def told(share: float, stage: Literal["preparing", "reading"] = "preparing") -> None:
            if job.cancelled.is_set():
                raise CancelledError("Loading was cancelled.")
            self._report(job, Preparing(share) if stage == "preparing" else Reading(share))

        self._unload()
        with _no_looking_for_garbage():
            self._model = self._engine.load(job.model, job.settings, told)
        self._held, self._budget = self._model.budget, None
        if self.contexts is not None:
            self._model.keep_in(self.contexts)
        return Loaded(ModelInfo.of(self._model))

    def _answer(self, job: AnswerJob) -> Event:
        job.wait_before(PATIENCE_S)
        model = self._model
        assert model is not None
        self._unkept = True

        def told(progress: PromptProgress) -> None:
            self._report(job, Prefilling(progress))

        generation = model.generate(job.messages, job.options, job.cancelled, told)
        with awake("Writing an answer"):
            for piece in generation:
                job.pieces.append((time.monotonic(), piece))
                self._follow(model)
        return Answered(generation.summary, model.outlook)

    def _prove(self, job: ProofJob) -> Event:
        def told(share: float, selection: str) -> None:
            self._report(job, Proving(share, selection))

        self._unload()
        with awake("Proving a model"):
            return Proved(self._engine.prove(job.model, job.settings, told, job.cancelled))

    def _unload(self) -> None:
        model, self._model = self._model, None
        gc.unfreeze()
        if model is not None:
            model.close()


@contextmanager
def _no_looking_for_garbage() -> Iterator[None]:
    """Nor among what is made meanwhile, ever after: among all of MLX and mlx-lm it holds the window up for 50 ms."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def _explained(error: BaseException) -> Failed:
    """The words for the user, and the details: the engine's own errors speak for themselves, others are bugs."""
    if isinstance(error, FlashbulbError):
        log.warning("%s", error)
        return Failed(spoken(error), refused=_refused(error))
    log.error("a bug: %r", error, exc_info=error)
    bug = tr("Something went wrong inside Flashbulb. The window goes on working; the details may help to report it.")
    return Failed(bug, "".join(traceback.format_exception(error)))


def _refused(error: FlashbulbError) -> str:
    if isinstance(error, TemplateError):
        return TEMPLATE
    return PROMPT if isinstance(error, PromptError) else ""

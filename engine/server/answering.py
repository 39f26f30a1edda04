"""The interface between the protocols and an engine, and how a request is answered on the engine's thread.

Three kinds of threads meet here. The server's one thread calls `Answering.submit`, which never waits. The engine's one
thread loads, answers and frees, and calls `AnswerRequest.told` with each event, which never waits either: it hands the
event over to the server's thread. Any thread sets `AnswerRequest.cancelled`, and looks into `Turns`.

`flashbulb serve` has an engine thread of its own (`engine.server.engine_thread`). The window's host does what is
submitted on the thread that it has already, after what the window itself wants.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.errors import CancelledError, FlashbulbError
from engine.server.rest import Rest
from engine.settings import GenerationOptions
from engine.statistics import PromptProgress, Summary
from engine.system.allocator import give_back_free_memory
from engine.tokens.forms import Message

if TYPE_CHECKING:  # which takes MLX to import
    from engine.inference.generate import Generation, Piece

log = logging.getLogger(__name__)
Prompt = str | Sequence[int] | Sequence[Message]


class BusyError(FlashbulbError):
    """So many requests wait that no more is taken. retry_after: seconds."""

    def __init__(self, template: str, retry_after: int, /, **values: object):
        super().__init__(template, **values)
        self.retry_after = retry_after


# ------------------------------------------------------------------------------- what a request is told, in this order
@dataclass(frozen=True)
class Loading:
    """The share, from 0 to 1, that is done of a stage of loading the model that was asked for."""

    share: float
    stage: Literal["preparing", "reading"]


@dataclass(frozen=True)
class Began:
    """The model is in memory, and takes the prompt: from here on nothing is wrong with what was asked."""


@dataclass(frozen=True)
class Prefilling:
    """The part of a long prompt that is computed."""

    progress: PromptProgress


@dataclass(frozen=True)
class Written:
    """A token of the answer."""

    piece: "Piece"


@dataclass(frozen=True)
class Answered:
    """The end of an answer. receipt: what it took, as JSON has it."""

    summary: Summary
    receipt: Mapping[str, Any]


@dataclass(frozen=True)
class Failed:
    """The end of a request without an answer. error: a FlashbulbError speaks for itself, CancelledError too; any other
    is a mistake of ours."""

    error: BaseException


Event = Loading | Began | Prefilling | Written | Answered | Failed


@dataclass(eq=False)
class AnswerRequest:
    """A request of a program. folder: of the model that it wants, as `engine.load` takes it. prompt: None for the model
    to be loaded, and nothing else; or to be unloaded, where rest_s is 0. program: as it calls itself.

    rest_s: seconds without a request after which the model is to be unloaded, from now on; None leaves that as it is.

    told: called with each event, on the engine's thread but where it is turned away; Answered or Failed is the last
    one, and there always is one. cancelled: ends it within one layer, also while it waits.
    """

    folder: Path
    prompt: Prompt | None
    options: GenerationOptions
    program: str
    told: Callable[[Event], None]
    rest_s: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def unloads(self) -> bool:
        """True where it asks for nothing but that the model leaves memory."""
        return self.prompt is None and self.rest_s == 0

    def turn_away(self) -> None:
        """It will not be attended to: whoever asked is told."""
        self.told(Failed(CancelledError("The request was cancelled.")))


def is_cancelled(job: object) -> bool:
    """True for a request that nobody waits for any more."""
    return isinstance(job, AnswerRequest) and job.cancelled.is_set()


def turn_away(jobs: Iterable[object]) -> None:
    """Tell those who wait for requests among these jobs."""
    for job in jobs:
        if isinstance(job, AnswerRequest):
            job.turn_away()


@dataclass(frozen=True)
class InMemory:
    """A model in memory. folder: as `engine.load` took it. bytes: that it holds. context: tokens of the longest
    conversation. rest_s: seconds from now until it is unloaded if nobody asks; None where it stays."""

    folder: Path
    bytes: int
    context: int
    rest_s: float | None


class Answering(Protocol):
    """An engine that takes requests. Any thread may use it."""

    def submit(self, request: AnswerRequest, /) -> None:
        """Answer it when its turn comes. Raises BusyError where too many wait already."""

    @property
    def in_memory(self) -> InMemory | None:
        """The model in memory; None for none."""


# --------------------------------------------------------------------------------------------- on the engine's thread
class Held(Protocol):
    """Bytes that are held, item by item."""

    @property
    def items(self) -> Mapping[str, float]: ...


class Holding(Protocol):
    """A loaded model, as far as it takes memory. context: tokens of the longest conversation."""

    @property
    def budget(self) -> Held: ...
    @property
    def context(self) -> int: ...


class Model(Protocol):
    """A loaded model, as far as an answer needs it."""

    @property
    def name(self) -> str: ...

    def generate(
        self,
        prompt: Prompt,
        options: GenerationOptions | None,
        cancelled: threading.Event | None,
        progress: Callable[[PromptProgress], None],
        /,
    ) -> "Generation": ...


class Load(Protocol):
    """Brings a model into memory, in the place of another, unless it is there already. Raises what loading does."""

    def __call__(self, folder: Path, progress: Callable[..., None], /) -> Model: ...


def in_memory(folder: Path, model: Holding, rest: Rest | None) -> InMemory:
    """A model as others are told of it. rest: None where it stays."""
    return InMemory(folder, round(sum(model.budget.items.values())), model.context, rest.left_s if rest else None)


def attend(
    request: AnswerRequest,
    load: Load,
    unload: Callable[[Path], None],
    over: Callable[[AnswerRequest], None] = lambda _request: None,
) -> None:
    """Answer a request, and tell it all. Nothing is raised: whatever goes wrong, it is told. unload: a model of this
    folder, if that is in memory. over: called before the last thing is told, so that whoever hears it finds it done."""
    last = _last_of(request, load, unload)
    give_back_free_memory()  # a long prompt that was refused leaves much behind
    over(request)
    request.told(last)


def _last_of(request: AnswerRequest, load: Load, unload: Callable[[Path], None]) -> Answered | Failed:
    try:
        return _unloaded(request, unload) if request.unloads else _answer(request, load)
    except FlashbulbError as error:
        return Failed(error.with_traceback(None))  # whose frames would keep a model that is half loaded
    except BaseException as error:  # also a panic of a library, which is no Exception
        return Failed(error)


def _unloaded(request: AnswerRequest, unload: Callable[[Path], None]) -> Answered:
    _check(request)
    unload(request.folder)
    return Answered(Summary(finish_reason="unload"), receipt(request.folder.name, Summary()))


def _answer(request: AnswerRequest, load: Load) -> Answered:
    def progress(share: float, stage: Literal["preparing", "reading"] = "preparing") -> None:
        _check(request)
        request.told(Loading(share, stage))

    _check(request)
    model = load(request.folder, progress)
    if request.prompt is None:
        return Answered(Summary(finish_reason="load"), receipt(model.name, Summary()))

    def prefilling(progress: PromptProgress) -> None:
        request.told(Prefilling(progress))

    generation = model.generate(request.prompt, request.options, request.cancelled, prefilling)
    request.told(Began())
    try:
        for piece in generation:
            request.told(Written(piece))
    finally:
        _log(request, model, generation.summary)
    _check(request)
    return Answered(generation.summary, receipt(model.name, generation.summary))


def _log(request: AnswerRequest, model: Model, summary: Summary) -> None:
    """A line of an answer that has nothing of what was asked or said."""
    tokens, reason = len(summary.tokens), summary.finish_reason or "failed"
    log.info("%s had %d tokens of %s: %s", request.program, tokens, model.name, reason)


def _check(request: AnswerRequest) -> None:
    if request.cancelled.is_set():
        raise CancelledError("The request was cancelled.")


def receipt(model: str, summary: Summary) -> dict[str, Any]:
    """The receipt of an answer: what it took, without a word of it. Times in seconds, sizes in bytes."""
    return {
        "model": model,
        "prompt_tokens": summary.prompt_tokens,
        "cached_tokens": summary.cached_tokens,
        "tokens": len(summary.tokens),
        "reasoning_tokens": summary.reasoning_tokens,
        "time_to_first_token_s": summary.time_to_first_token_s,
        "time_to_first_answer_s": summary.time_to_first_answer_s,
        "tokens_per_second": summary.tokens_per_second,
        "prefill": {"seconds": summary.prefill_seconds, "bytes_read": summary.prefill_bytes_read},
        "footprint_bytes": summary.footprint_bytes,
        "per_token": summary.per_token,
    }

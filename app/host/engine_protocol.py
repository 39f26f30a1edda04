"""The engine as the host needs it: the module `engine` is one, and so is the stand-in of the tests."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from engine.inference.kept import KeptContexts
from engine.settings import GenerationOptions, Settings
from engine.statistics import PromptProgress, Summary, TokenStatistics

if TYPE_CHECKING:
    from engine.flash.profile import DriveProfile
    from engine.inference.draft_choice import Candidate
    from engine.planning.cost import Prediction
    from engine.planning.measured import ContextLoss


REASONING, ANSWER, TOOL_CALL = "reasoning", "answer", "tool call"  # channels


class Sampling(Protocol):
    """The sampling of a model where none is chosen: values by the names of OURS, and which its makers advise."""

    @property
    def advised(self) -> frozenset[str]: ...


class ToolCall(Protocol):
    """A call of a tool that a model asks for."""

    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...


class ChannelEvent(Protocol):
    """Text of a channel, as it comes; calls of tools, once they are complete and could be understood."""

    @property
    def channel(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def calls(self) -> Sequence[ToolCall]: ...


class Piece(Protocol):
    """A token's part of an answer, and what the token cost. prefill: the prompt's cost is in it."""

    @property
    def events(self) -> Sequence[ChannelEvent]: ...
    @property
    def statistics(self) -> TokenStatistics: ...
    @property
    def prefill(self) -> bool: ...


class Generation(Protocol):
    """An answer as it is written, and what all of it cost."""

    @property
    def summary(self) -> Summary: ...
    def __iter__(self) -> Iterator[Piece]: ...


class Budget(Protocol):
    """Bytes by item: what is held. smallest: a budget in bytes that would still do."""

    @property
    def items(self) -> Mapping[str, float]: ...
    @property
    def smallest(self) -> int: ...


class Outlook(Protocol):
    """The needs of a model, and its speed, with other settings; any thread may ask. Sizes in bytes."""

    @property
    def profile(self) -> "DriveProfile | None": ...
    def __hash__(self) -> int: ...  # what it says is kept by it
    def smallest_budget(self, settings: Settings, /) -> int: ...
    def longest_context(self, settings: Settings, /) -> int: ...  # in tokens
    def full_budget(self, settings: Settings, /) -> int: ...
    def longer_window(self, settings: Settings, /) -> tuple[int, int] | None: ...
    def plan(self, settings: Settings, /) -> Budget: ...
    def predict(self, settings: Settings, /) -> "Prediction | None": ...


class Model(Protocol):
    """A loaded model. Sizes in bytes, context in tokens.

    measured_loss: the share by which perplexity is higher than with exact selection; None where it was not measured
    with these settings. drive_folder: where files can be written on the drive that the model is read from. streams: the
    kind of bundle that comes from flash, neuron or expert; empty where all weights are resident. context_loss: by
    keeping the context in 8 bits, None where it was not measured.
    """

    name: str
    model_bytes: int
    flash_bytes: int
    settings: Settings

    @property
    def context(self) -> int: ...
    @property
    def streams(self) -> str: ...
    @property
    def budget(self) -> Budget: ...  # another object whenever the model holds other amounts
    @property
    def given_bytes(self) -> int: ...  # by which it holds less, for a system that is short of memory
    @property
    def taken_bytes(self) -> int: ...  # of weights, that the chat has taken since it was short
    @property
    def outlook(self) -> Outlook: ...
    @property
    def draft_models(self) -> Callable[[], "Sequence[Candidate]"]: ...  # that could draft; any thread may call it
    @property
    def measured_loss(self) -> float | None: ...
    @property
    def context_loss(self) -> "ContextLoss | None": ...
    @property
    def drive_folder(self) -> Path: ...
    @property
    def advised_sampling(self) -> Sampling: ...  # by the names of engine.settings.OURS too
    @property
    def reasoning_controls(self) -> frozenset[str]: ...  # options that the chat template knows
    def generate(
        self,
        prompt: Sequence[dict[str, Any]],
        options: GenerationOptions,
        cancelled: threading.Event,
        progress: Callable[[PromptProgress], None],
        /,
    ) -> Generation: ...
    def set_budget(self, memory_budget: int | None, /) -> None: ...  # raises BudgetError
    def keep_within_budget(self, footprint_bytes: int, /) -> None: ...
    def keep_in(self, files: KeptContexts, /) -> None: ...  # contexts of conversations, from now on
    def keep_contexts(self, interrupted: Callable[[], bool], /) -> None: ...  # write those that have changed
    def forget_conversation(self, conversation: str, /) -> None: ...  # by the name that options have for it
    def forget(self) -> None: ...  # all conversations
    def close(self) -> None: ...


class Progress(Protocol):
    """Told the share that is done of preparing a model, or of reading it where all of it has room."""

    def __call__(self, share: float, stage: Literal["preparing", "reading"] = "preparing", /) -> None: ...


@runtime_checkable
class Engine(Protocol):
    """Loads, proves and releases, on one thread. Raises FlashbulbError for what a person can act on."""

    def load(self, path: str, settings: Settings, progress: Progress, /) -> Model: ...
    def prove(
        self, model: str, settings: Settings, progress: Callable[[float, str], None], cancelled: threading.Event, /
    ) -> object: ...
    def release(self) -> None: ...

"""A stand-in for the `engine` module that replays a script: text, pauses, gates, errors. Needs no model and no MLX."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from app.host.engine_protocol import ANSWER, REASONING, TOOL_CALL, Engine
from engine.errors import BudgetError, CancelledError
from engine.flash.profile import DriveProfile
from engine.inference.kept import KeptContexts
from engine.planning.cost import Prediction
from engine.planning.measured import ContextLoss
from engine.settings import OUR_SAMPLING, GenerationOptions, Settings
from engine.statistics import PromptProgress, Summary, TokenStatistics, means
from engine.system.folders import models_folder

LAYERS, NEURONS = 8, 3072
MB = 1_000_000


@dataclass(frozen=True)
class Pause:
    """Wait, or until the answer is cancelled."""

    seconds: float


@dataclass
class Gate:
    """Wait until `opened` is set, or until the answer is cancelled. `reached`: the engine stands before it."""

    opened: threading.Event = field(default_factory=threading.Event)
    reached: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Event:
    """A part of an answer, of its channel. In a script it is a token; a string in its place is one of the answer."""

    channel: str
    text: str
    calls: tuple[SimpleNamespace, ...] = ()


def thought(text: str) -> Event:
    """A token of reasoning."""
    return Event(REASONING, text)


def call_text(text: str) -> Event:
    """A token of a tool call that is being written."""
    return Event(TOOL_CALL, text)


def called(name: str, **arguments: object) -> Event:
    """The token that completes a tool call."""
    return Event(TOOL_CALL, "", (SimpleNamespace(name=name, arguments=arguments),))


@dataclass(frozen=True)
class Piece:
    events: tuple[Event, ...]
    statistics: TokenStatistics
    prefill: bool = False
    logprobs: None = None  # nobody asks for them here


def token_statistics(index: int = 1, *, prefill: bool = False) -> TokenStatistics:
    """Plausible costs that vary with `index` and are the same on every run."""
    wave = 0.5 + 0.5 * math.sin(index / 3)
    shares = [0.06 + 0.02 * layer * (0.6 + 0.4 * math.sin(index + layer)) for layer in range(LAYERS)]
    active = tuple(round(NEURONS * share) for share in shares)
    loaded = tuple(NEURONS if prefill else round(n * (0.05 + 0.08 * wave)) for n in active)
    return TokenStatistics(
        io_ms=400.0 if prefill else 9 + 5 * wave,
        memory_ms=0.4 + 0.2 * wave,
        compute_ms=18 + 2 * math.sin(index / 2),
        bytes_read=12 * MB if prefill else 2048 * sum(loaded),
        reads=LAYERS if prefill else sum(loaded) // 2,
        active=active,
        loaded=loaded,
        resident=tuple(min(NEURONS, 2 * n) for n in active),
        bundles=NEURONS,
        footprint_bytes=312 * MB,
    )


def expert_statistics(index: int = 1, layers: int = 48, experts: int = 128) -> TokenStatistics:
    """As `token_statistics`, of a model of which a token uses 8 experts of each layer and 45 are in memory."""
    wave = 0.5 + 0.5 * math.sin(index / 3)
    loaded = tuple(round((1.2 + wave) * (0.5 + 0.5 * math.sin(index * 1.7 + layer))) for layer in range(layers))
    return TokenStatistics(
        io_ms=19 + 8 * wave,
        memory_ms=1.1,
        compute_ms=31 + 2 * math.sin(index / 2),
        bytes_read=2_650_000 * sum(loaded),
        reads=9 * sum(loaded),
        active=(8,) * layers,
        loaded=loaded,
        resident=(45,) * layers,
        bundles=experts,
        footprint_bytes=7400 * MB,
        kind="expert",
        experts=tuple(_chosen(index, layer, experts) for layer in range(layers)),
    )


def _chosen(index: int, layer: int, experts: int, count: int = 8) -> tuple[int, ...]:
    """Half of them as of the token before, as routers choose; some are chosen far more often than others."""
    random = Random(1000 * layer + index // 2)
    return tuple(sorted({min(experts - 1, int(experts * random.random() ** 3)) for _ in range(count)}))


class Generation:
    """Replays a script once. Strings and events are tokens; see Pause and Gate; an exception is raised."""

    def __init__(
        self,
        script: Iterable[Any],
        messages: Sequence[Any],
        cancelled: threading.Event,
        progress: Callable[[PromptProgress], None] = lambda _: None,
    ):
        self._progress = progress
        self.summary = Summary(prompt_tokens=4 * len(messages))
        self._script, self._cancelled = script, cancelled
        self._costs: list[TokenStatistics] = []

    def __iter__(self) -> Iterator[Piece]:
        for item in self._script:
            if isinstance(item, Exception):
                raise item
            if isinstance(item, str | Event):
                yield self._piece(Event(ANSWER, item) if isinstance(item, str) else item)
            elif isinstance(item, PromptProgress):
                self._progress(item)
            else:
                self._wait(item)
            if self._cancelled.is_set():
                break
        self.summary.finish_reason = "cancelled" if self._cancelled.is_set() else "stop"

    def _piece(self, event: Event) -> Piece:
        index = len(self.summary.tokens)
        statistics = token_statistics(index, prefill=not index)
        self.summary.tokens.append(index)
        if event.channel == ANSWER:
            self.summary.time_to_first_answer_s = self.summary.time_to_first_answer_s or 0.42 + 0.1 * index
            self.summary.text += event.text
        elif event.channel == REASONING:
            self.summary.reasoning += event.text
            self.summary.reasoning_tokens += 1
        self.summary.tool_calls += [{"name": call.name, "arguments": call.arguments} for call in event.calls]
        self.summary.time_to_first_token_s = 0.42
        if index:
            self._costs.append(statistics)
            self.summary.per_token = means(self._costs)
            self.summary.tokens_per_second = 1000 / self.summary.per_token["total_ms"]
        return Piece((event,), statistics, prefill=not index)

    def _wait(self, item: Pause | Gate) -> None:
        if isinstance(item, Pause):
            self._cancelled.wait(item.seconds)
            return
        item.reached.set()
        while not (item.opened.is_set() or self._cancelled.is_set()):
            time.sleep(0.001)


@dataclass(frozen=True, eq=False)
class FakeOutlook:
    """Room for every neuron at 27 MB; each token of the window makes it a little faster, while a MB is left for it."""

    profile: DriveProfile | None = None
    smallest: int = 9 * MB
    full: int = 27 * MB

    def smallest_budget(self, settings: Settings) -> int:
        return self.smallest

    def longest_context(self, settings: Settings) -> int:
        return 512

    def full_budget(self, settings: Settings) -> int:
        return self.full

    def longer_window(self, settings: Settings) -> tuple[int, int] | None:
        return (8, 3 * MB) if self.profile else None

    def plan(self, settings: Settings) -> SimpleNamespace:
        items = {"resident": 5.2 * MB, "predictors": 0.6 * MB, "kv_cache": 1.0 * MB, "workspace": 0.5 * MB}
        ceiling = settings.memory_budget or 12.2 * MB
        return SimpleNamespace(items=items | {"pool": min(19 * MB, ceiling - sum(items.values()))})

    def predict(self, settings: Settings) -> Prediction | None:
        if self.profile is None or settings.selection.streams_all:
            return None
        pool = self.plan(settings).items["pool"]
        window = min(settings.window, pool / MB)
        io = 20 / (1 + window)
        return Prediction(
            True, 0, window, int(7 * MB + window * MB), int(window * MB), 1e6 / window, 100, 0.9, io, 1, 9
        )


class FakeModel:
    def __init__(self, engine: "FakeEngine", settings: Settings):
        self._engine = engine
        self.settings = settings
        self.name = "Starter"
        self.measured_loss, self.drive_folder = None, models_folder()
        self.context_loss: ContextLoss | None = None
        self.outlook = FakeOutlook(engine.profile)
        self.advised_sampling = SimpleNamespace(**{**OUR_SAMPLING, **engine.advised}, advised=frozenset(engine.advised))
        self.reasoning_controls = frozenset(engine.controls)
        self.draft_models = engine.draft_models
        self.model_bytes, self.flash_bytes = 24 * MB, 19 * MB if engine.streams else 0
        self.context, self.given_bytes, self.taken_bytes = engine.context, 0, 0
        self.streams = engine.streams
        items = {"resident": 5.2 * MB, "predictors": 0.6 * MB, "pool": 4.9 * MB, "kv_cache": 1.0 * MB}
        if engine.streams != "neuron":
            items["predictors"] = 0.0
        if not engine.streams:
            items |= {"resident": 24 * MB, "pool": 0.0}
        items["workspace"] = 0.5 * MB
        self.budget = SimpleNamespace(items=items, total=sum(items.values()), smallest=9 * MB)

    def generate(
        self,
        messages: Sequence[Any],
        options: GenerationOptions,
        cancelled: threading.Event,
        progress: Callable[[PromptProgress], None] = lambda _: None,
    ) -> Generation:
        self._engine.seen.append("generate")
        self._engine.asked.append(messages)
        self._engine.options.append(options)
        script = self._engine.scripts.pop(0) if self._engine.scripts else ["Hello", " there", "."]
        return Generation(script, messages, cancelled, progress)

    def give_back(self) -> None:
        """Do what the engine does between two tokens when the system is critically short of memory."""
        items = {**self.budget.items, "pool": 2.5 * MB}
        self.budget = SimpleNamespace(items=items, total=sum(items.values()), smallest=9 * MB)
        self.given_bytes = round(2.4 * MB)

    def set_budget(self, memory_budget: int | None) -> None:
        self._engine.seen.append(f"budget {memory_budget}")
        if memory_budget is not None and memory_budget < 9 * MB:
            raise BudgetError("A memory budget of {size} is too small.", 9 * MB, size=memory_budget)
        self.settings = replace(self.settings, memory_budget=memory_budget)
        self.budget = self.outlook.plan(self.settings)

    def keep_within_budget(self, footprint_bytes: int) -> None:
        """Nothing is held."""

    def keep_in(self, files: KeptContexts) -> None:
        self._engine.kept_in = files

    def keep_contexts(self, interrupted: Callable[[], bool]) -> None:
        self._engine.seen.append("keep contexts")

    def forget_conversation(self, conversation: str) -> None:
        self._engine.seen.append(f"forget {conversation}")

    def forget(self) -> None:
        self._engine.seen.append("forget")

    def close(self) -> None:
        self._engine.seen.append("close")


class FakeEngine:
    """Takes the place of the module `engine`. `scripts`: one an answer; `loads`: an exception or a Gate for each load.

    advised: sampling that differs from ours; controls: options of reasoning that its template knows; streams: the kind
    of bundle that comes from flash, empty for none; context: in tokens.

    `seen` records the calls in their order, `threads` the threads that they came on.
    """

    def __init__(
        self,
        scripts: Iterable[Any] = (),
        loads: Iterable[Any] = (),
        profile: DriveProfile | None = None,
        proofs: Iterable[Any] = (),
        advised: Iterable[tuple[str, Any]] | dict[str, Any] = (),
        controls: Iterable[str] = (),
        streams: str = "neuron",
        context: int = 512,
    ):
        self.streams, self.context = streams, context
        self.advised, self.controls = dict(advised), controls
        self.draft_models: Callable[[], Sequence[Any]] = tuple
        self.scripts, self.loads, self.profile = list(scripts), list(loads), profile
        self.proofs = list(proofs)
        self.asked: list[Sequence[Any]] = []
        self.options: list[GenerationOptions] = []
        self.seen: list[str] = []
        self.model: FakeModel | None = None
        self.kept_in: KeptContexts | None = None
        self.threads: set[int] = set()

    def load(self, path: str, settings: Settings, preparing: Callable[[float], None] = lambda _: None) -> FakeModel:
        self.seen.append(f"load {path}")
        self.threads.add(threading.get_ident())
        step = self.loads.pop(0) if self.loads else None
        if isinstance(step, Gate):
            step.reached.set()
            step.opened.wait()
        elif step is not None:
            raise step
        self.model = FakeModel(self, settings)
        self.model.name = Path(path).name if Path(path).is_absolute() else "Starter"
        return self.model

    def prove(
        self, model: str, settings: Settings, progress: Callable[[float, str], None], cancelled: threading.Event
    ) -> Any:
        """Take the next of `proofs`: an exception, a Gate, or what is found."""
        self.seen.append(f"prove {model}")
        self.threads.add(threading.get_ident())
        progress(0.5, "exact")
        step = self.proofs.pop(0)
        if isinstance(step, Gate):
            step.reached.set()
            while not (step.opened.is_set() or cancelled.is_set()):
                time.sleep(0.001)
            raise CancelledError("Stopped.")
        if isinstance(step, Exception):
            raise step
        return step

    def release(self) -> None:
        self.seen.append("release")
        self.threads.add(threading.get_ident())


KIND: type[Engine] = FakeEngine  # mypy holds it to that

"""The choice of a draft model: one on this disk with the same tokens, far fewer bytes a token, and room for it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.errors import BudgetError, CheckpointError, FlashbulbError
from engine.inference.execution import Execution
from engine.planning.draft_room import fits, has_room
from engine.planning.memory import FIRST_TOKENS, Planner, Sizes
from engine.planning.outlook import Outlook
from engine.settings import DRAFT_MODEL_AUTO, Settings
from engine.store.installed import installed, open_stored
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.store.others import Use, other_checkpoints, use_of
from engine.system.built_in import ASSISTANT, STARTER, STARTER_FOLDER, assistant_folder, assistant_is_ready
from engine.text import Text, readable, text_of
from engine.tokens.same_tokens import Comparison, same_tokens

MIN_RATIO = 8  # times as many bytes a token as the draft model needs
Stored = PreparedModel | MlxFolder


@dataclass(frozen=True)
class DraftSource:
    """A draft model that can be loaded, again and again. build: makes one, nothing of which is evaluated. planner: of
    its memory."""

    name: str
    build: Callable[[], Execution]
    planner: Planner


@dataclass(frozen=True)
class DraftChoice:
    """The draft model that a model is loaded with, None for none, and the reason, as a sentence."""

    reason: str
    source: DraftSource | None = None


@dataclass(frozen=True)
class Candidate:
    """A model that may draft. name: that it can be asked for by. bytes: of its files."""

    name: str
    folder: Path
    bytes: int


Build = Callable[[Stored], Execution]


def choose(stored: Stored, sizes: Sizes, settings: Settings, find: Callable[[str], Path], build: Build) -> DraftChoice:
    """The draft model for a model that is loaded with these settings. find: from a model's name to its folder. build:
    a model that is not evaluated. Raises FlashbulbError where the user has named one that is none."""
    if not settings.wants_draft_model:
        return DraftChoice(Text("None: that is turned off."))
    if settings.draft_model != DRAFT_MODEL_AUTO:
        return _named(stored, sizes, settings, open_stored(find(settings.draft_model)), build)
    most = token_bytes(sizes, settings) // MIN_RATIO
    for candidate in _candidates(stored.folder, most):
        choice = _tried(sizes, settings, candidate.folder, most, build)
        if choice is not None:
            return choice
    return DraftChoice(
        Text(
            "None: no other model on this disk has the same tokens, is far smaller, and has room in the memory budget."
        )
    )


def draft_models(stored: Stored, sizes: Sizes, settings: Settings) -> list[Candidate]:
    """The models on this disk that could draft for a model under these settings, whether or not that pays: smaller
    ones with the same tokens that fit beside it. The largest first. Any thread may ask."""
    smaller = _candidates(stored.folder, _bytes(stored.folder) - 1)
    return [each for each in smaller if _fits(each.folder, sizes, settings)]


def _fits(folder: Path, sizes: Sizes, settings: Settings) -> bool:
    try:
        draft = _planner(Outlook.of(_opened(folder), None).sizes, settings, sizes)
    except FlashbulbError:
        return False
    return fits(sizes, settings, draft)


def _opened(folder: Path) -> Stored:
    """Raises FlashbulbError for a model that does not run as it is."""
    stored = open_stored(folder)
    if isinstance(stored, MlxFolder) and (verdict := use_of(folder)).use is not Use.AS_IT_IS:
        raise CheckpointError(verdict.reason)
    return stored


def token_bytes(sizes: Sizes, settings: Settings) -> int:
    """The bytes of all weights that a token is multiplied with."""
    shape = sizes.shape(settings)
    bundles = [(layer.bundles, layer.use(layer.bundles.count, settings).needed) for layer in sizes.layers(settings)]
    streamed = sum(needed * each.stored_bytes for each, needed in bundles if each.kind != "row")
    return int(shape.resident_bytes - shape.looked_up_bytes + streamed)


def _named(stored: Stored, sizes: Sizes, settings: Settings, draft: Stored, build: Build) -> DraftChoice:
    name, planner = draft.name, _planner(build(draft).sizes, settings, sizes)
    if not same_tokens(stored.folder, draft.folder):
        return DraftChoice(Text("None: {name} has other tokens. Take a smaller model of the same family.", name=name))
    try:
        Planner.of(sizes, settings, planner).plan(FIRST_TOKENS)
    except BudgetError as error:
        return DraftChoice(Text("None: {name} has no room. {reason}", name=name, reason=text_of(error)))
    return DraftChoice(Text("{name}, as it was asked for.", name=name), _source(draft, build, planner))


def _candidates(folder: Path, most: int) -> Iterator[Candidate]:
    """Other models with the same tokens, of which a token needs at most so many bytes, perhaps, the largest first: they
    are right more often."""
    found = [Candidate(each.repo, each.folder, each.bytes) for each in installed()]
    found += [Candidate(each.name, each.folder, each.bytes) for each in other_checkpoints() if not each.missing]
    built_in = {STARTER: STARTER_FOLDER} | ({ASSISTANT: assistant_folder()} if assistant_is_ready() else {})
    found += [Candidate(name, each, _bytes(each)) for name, each in built_in.items()]
    tokens, seen = Comparison(folder), {folder.resolve()}
    for each in sorted(found, key=lambda other: -other.bytes):
        if each.bytes <= most and (place := each.folder.resolve()) not in seen and tokens.holds(each.folder):
            seen.add(place)
            yield each


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def _tried(sizes: Sizes, settings: Settings, folder: Path, most: int, build: Build) -> DraftChoice | None:
    """One of these models, if it runs and there is room for it."""
    try:
        stored = _opened(folder)
        planner = _planner(build(stored).sizes, settings, sizes)
        if token_bytes(planner.sizes, planner.settings) > most or not has_room(sizes, settings, planner):
            return None
    except FlashbulbError:
        return None
    size = readable(planner.smallest(min(FIRST_TOKENS, planner.most)))
    return DraftChoice(Text("{name}: it has the same tokens and takes {size}.", name=stored.name, size=size),
                       _source(stored, build, planner))  # fmt: skip


def _source(stored: Stored, build: Build, planner: Planner) -> DraftSource:
    return DraftSource(stored.name, partial(build, stored), planner)


def _planner(draft: Sizes, settings: Settings, sizes: Sizes) -> Planner:
    """The plan of all of it in memory, beside a context as long as the large model's can be."""
    context = settings.context or sizes.shape(settings).context
    return Planner.whole(draft, Settings(context=context, compute_dtype=settings.compute_dtype))

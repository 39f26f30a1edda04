"""`bench drafts`: a dense model in half of its memory, token by token and with drafts, on a text that repeats itself
and on one that does not, and there with a draft model that is right more or less often.

The weights are random, and so would be what the models say. They are made to say a given text: whatever they compute,
which is all that they would compute anyway, the text's next token is chosen; for the draft model a wrong one, as often
as it is to be wrong. So drafts are as often right as they are for models that say this text, and passes take what they
take. Answers with and without drafts take turns.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import mlx.core as mx

from engine.bench import results
from engine.bench.machine import describe, scratch
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.results import Progress, Result, Row, summarise
from engine.inference.checkpoint import CheckpointExecution
from engine.inference.decoding import Decoding
from engine.inference.draft_choice import DraftChoice
from engine.inference.drafts import Drafts, PromptLookup
from engine.inference.load import load
from engine.inference.model import LoadedModel
from engine.planning.memory import Planner
from engine.settings import DRAFT_MODEL_NONE, Settings
from engine.statistics import TokenStatistics
from engine.store.mlx_folder import MlxFolder
from engine.system.footprint import footprint
from engine.tokens.tokenizer import Tokenizer

DENSE_3B: dict[str, Any] = {  # of Llama 3.2's size
    "model_type": "llama",
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "intermediate_size": 8192,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 5e5,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
AFFINE4 = {"group_size": 64, "bits": 4, "mode": "affine"}
DRAFT_135M: dict[str, Any] = DENSE_3B | {  # of SmolLM2's size, with the large one's tokens
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "intermediate_size": 1536,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "head_dim": 64,
}
ROOM_BYTES = 300_000_000  # beside half of the model, as in the other tables
CONTEXT, PROMPT_TOKENS, TOKENS, TURNS = 1024, 192, 64, 3
EDITED = (("self", "this"), ("column", "field"), ("figures", "values"))  # words of a program, and what they become
TALK = "talk"
SHARES = (0.4, 0.6, 0.8)  # of the draft model's tokens that are right
NO_DRAFTS, FROM_TEXT = "none", "lookup"


class Spoken(NamedTuple):
    """The tokens that a model reads, and those that it is made to say: ids."""

    prompt: list[int]
    answer: list[int]


def texts(tokenizer: Tokenizer, talk: str) -> dict[str, Spoken]:
    """A program with some names changed, which drafts suit, and talk, by name."""
    program = Path(results.__file__).read_text(encoding="utf-8")
    edited = program
    for word, other in EDITED:
        edited = edited.replace(word, other)
    spoken = tokenizer.encode(talk)
    return {
        "a program edited": Spoken(tokenizer.encode(program)[:PROMPT_TOKENS], tokenizer.encode(edited)),
        TALK: Spoken(spoken[:PROMPT_TOKENS], spoken[PROMPT_TOKENS:]),
    }


@dataclass
class _Answers:
    """Answers of one kind. seconds: of each, after the prompt. costs: of all their tokens."""

    seconds: list[float] = field(default_factory=list)
    costs: list[TokenStatistics] = field(default_factory=list)
    passes: int = 0
    drafted: int = 0
    accepted: int = 0


@dataclass(frozen=True)
class _Way:
    """A way to answer. right_share: of the tokens of the draft model."""

    name: str
    model: LoadedModel
    drafts: Drafts
    right_share: float = 1.0


def run(
    folder: Path,
    texts: dict[str, Spoken],
    config: dict[str, Any] = DENSE_3B,
    draft_config: dict[str, Any] = DRAFT_135M,
    tokens: int = TOKENS,
    turns: int = TURNS,
    shares: Sequence[float] = SHARES,
    budget: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a dense shape in 4 bits, and a small one that drafts for it. texts: by name. tokens: of an answer.
    turns: answers each way. budget: bytes, of the model alone, and of both together; None for half of the model and
    300 MB. Raises FlashbulbError if there is no room."""
    size = checkpoint_bytes(config, AFFINE4)
    budget = budget or size // 2 + ROOM_BYTES
    with scratch(folder, size + checkpoint_bytes(draft_config, AFFINE4)) as place:
        progress(0.02, "writing the models")
        write_random_checkpoint(place / "model", config, AFFINE4)
        write_random_checkpoint(place / "draft", draft_config, AFFINE4)
        measured = measure(place, texts, tokens, turns, shares, budget, progress)
    settings = {"tokens": tokens, "turns": turns, "model_bytes": size, "budget_bytes": budget}
    return replace(measured, machine=describe(folder), settings=settings | measured.settings)


def measure(
    place: Path,
    texts: dict[str, Spoken],
    tokens: int,
    turns: int,
    shares: Sequence[float],
    budget: int,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of the models in `place`, `model` and `draft`."""
    settings = Settings(memory_budget=budget, context=CONTEXT, draft_model=DRAFT_MODEL_NONE)
    with closing(_loaded(place, settings)) as alone, closing(_loaded(place, settings, "draft")) as beside:
        found: dict[str, dict[str, _Answers]] = {}
        for name, text in texts.items():
            ways = [_Way(NO_DRAFTS, alone, Drafts([])), _Way(FROM_TEXT, alone, Drafts([PromptLookup()]))]
            found[name] = _take_turns(ways, _cut(text, tokens), turns, partial(progress, 0.5, name))
        for share in shares:
            name, ways = (
                f"a draft model right {share:.0%}",
                [_Way(NO_DRAFTS, alone, Drafts([])), _drafting(beside, share)],
            )
            found[name] = _take_turns(ways, _cut(texts[TALK], tokens), turns, partial(progress, 0.5, name))
        items = {name: model.budget.items for name, model in (("alone", alone), ("beside", beside))}
        streamed = sum(layer.source.bundles - layer.pool.capacity for layer in alone.streaming.layers)
    rows = [_row(f"{name}, drafts: {way}", answers) for name, ways in found.items() for way, answers in ways.items()]
    details = {
        "speedup": {name: _speedup(ways) for name, ways in found.items()},
        "blocks_on_flash": streamed,
        "budget_items": items,
        "drafts": {name: _counts(list(ways.values())[-1]) for name, ways in found.items()},
    }
    return Result("drafts", {}, rows, {}, details)


def _loaded(place: Path, settings: Settings, draft: str = "") -> LoadedModel:
    """The model, with a draft model beside it whatever its tokens are."""
    if not draft:
        return load(place / "model", settings)
    large, small = (CheckpointExecution(MlxFolder.open(place / name)) for name in ("model", draft))
    drafting = DraftChoice("", (small, Planner.whole(small.sizes, Settings(context=CONTEXT))))
    return LoadedModel(large, settings, footprint(), lambda _: None, drafting)


def _drafting(model: LoadedModel, share: float) -> _Way:
    assert model.draft_model is not None  # nobody has answered yet, so that it had no occasion to go
    return _Way(model.draft_model.name, model, Drafts([PromptLookup(), model.draft_model]), share)


def _cut(text: Spoken, tokens: int) -> Spoken:
    return text._replace(answer=text.answer[:tokens])


def _take_turns(ways: Sequence[_Way], text: Spoken, turns: int, progress: Callable[[], None]) -> dict[str, _Answers]:
    """Answers in turns. What is learned of passes and drafts stays from answer to answer, as it does in a chat."""
    answers = {way.name: _Answers() for way in ways}
    for _ in range(turns):
        for way in ways:
            progress()
            _answer(way, text, answers[way.name])
    return answers


def _answer(way: _Way, text: Spoken, answers: _Answers) -> None:
    model, whole = way.model, [*text.prompt, *text.answer, 0]
    kept = model.recall(text.prompt).tokens
    first = model.prefill(text.prompt[kept:])
    wrong = Random(len(answers.seconds))

    def draw(logits: mx.array, known: Sequence[int]) -> int:
        token = _said(logits, whole[min(len(known), len(whole) - 1)])
        return token if wrong.random() < way.right_share else token + 1

    decoding = Decoding(model, lambda logits, known: _said(logits, whole[len(known)]), way.drafts, draw=draw)
    costs = [each.statistics for each in decoding.tokens(*first, len(text.answer))][1:]
    answers.seconds.append(sum(cost.total_ms for cost in costs) / 1e3)
    answers.costs += costs
    answers.passes, answers.drafted = answers.passes + decoding.passes, answers.drafted + decoding.drafted
    answers.accepted += decoding.accepted


def _said(logits: mx.array, token: int) -> int:
    """The token, whatever is likeliest, which is found out all the same."""
    mx.eval(mx.argmax(logits, axis=-1))
    return token


def _row(name: str, answers: _Answers) -> Row:
    row = summarise(name, answers.costs)
    return replace(row, tokens_per_second=len(answers.costs) / sum(answers.seconds), p50_ms=None, p99_ms=None)


def _speedup(ways: dict[str, _Answers]) -> dict[str, float]:
    """Times as fast with drafts as without: of all answers together, of the first ones, of the later ones in the
    median."""
    plain, drafted = (answers.seconds for answers in ways.values())
    later = [one / other for one, other in zip(plain, drafted, strict=True)][1:]
    figures = {"all": sum(plain) / sum(drafted), "first": plain[0] / drafted[0]}
    return figures | ({"later": median(later)} if later else {})


def _counts(answers: _Answers) -> dict[str, float]:
    tokens = len(answers.costs)
    counts = {"passes": answers.passes, "drafted": answers.drafted, "accepted": answers.accepted}
    return counts | {"tokens_a_pass": tokens / answers.passes}

"""`bench drafts`: a dense model in half of its memory, token by token and with drafts, on a text that repeats itself
and on one that does not, and there with a draft model that is right more or less often.

The weights are random, and so would be what the models say. They are made to say a given text: whatever they compute,
which is all that they would compute anyway, the text's next token is chosen; for the draft model a wrong one, as often
as it is to be wrong. So drafts are as often right as they are for models that say this text, and passes take what they
take.

A drive is faster in one minute than in the next. So two models say the same text side by side, one with drafts and one
without: a few tokens in turn.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import mlx.core as mx

from engine.bench import results
from engine.bench.expert_shapes import EXPERT_SHAPES, ExpertShape
from engine.bench.machine import describe, scratch
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.results import Progress, Result, Row, summarise
from engine.bench.routing import draw_routing, replay
from engine.bench.sweep import reading_rate
from engine.inference.checkpoint import CheckpointExecution
from engine.inference.decoding import Decoding
from engine.inference.draft_choice import DraftChoice, DraftSource
from engine.inference.drafts import Drafts
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
CONTEXT, TOKENS, TURNS = 1024, 64, 2
EDIT_TOKENS, TALK_TOKENS = 192, 64  # of prompts
TURN_TOKENS = 8  # so many that the reads in flight, which are given up at a turn's end, do not count
EDITED = (("self", "this"), ("column", "field"), ("figures", "values"))  # words of a program, and what they become
EDIT, TALK = "a program edited", "talk"
SHARES = (0.1, 0.3, 0.5, 0.7)  # of the draft model's tokens that are right
EDIT_SHARE = 0.7  # of those on the text that prompt lookup suits


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
        EDIT: Spoken(tokenizer.encode(program)[:EDIT_TOKENS], tokenizer.encode(edited)),
        TALK: Spoken(spoken[:TALK_TOKENS], spoken[TALK_TOKENS:]),
    }


@dataclass(frozen=True)
class Case:
    """A text to say. right_share: of the tokens of the draft model beside; None for none, but prompt lookup alone."""

    text: str
    right_share: float | None = None

    @property
    def name(self) -> str:
        """Its name in the table."""
        drafter = "prompt lookup" if self.right_share is None else f"a draft model right {self.right_share:.0%}"
        return f"{self.text}, {drafter}"


def cases(shares: Sequence[float] = SHARES) -> list[Case]:
    """All that are measured: prompt lookup on both texts, a draft model beside it on the one that this suits, and on
    the other as often right as `shares` say."""
    beside = [Case(EDIT, EDIT_SHARE), *(Case(TALK, share) for share in shares)] if shares else []
    return [Case(EDIT), Case(TALK), *beside]


@dataclass
class _Answers:
    """Answers of one kind. costs: of all their tokens after the first. seconds: of each answer's. drafters: tokens that
    were drafted, and those that were right, by the name of what made them."""

    costs: list[TokenStatistics] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    passes: int = 0
    drafters: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Way:
    """A way to answer: a model of its own, and its drafts. right_share: of the tokens of the draft model."""

    model: LoadedModel
    drafts: Drafts
    right_share: float = 1.0
    answers: _Answers = field(default_factory=_Answers)


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
        measured = measure(place, texts, cases(shares), tokens, turns, budget, progress=progress)
    settings = {"tokens": tokens, "turns": turns, "model_bytes": size, "budget_bytes": budget}
    return replace(measured, machine=describe(folder), settings=settings)


def run_experts(
    name: str,
    folder: Path,
    texts: dict[str, Spoken],
    tokens: int = TOKENS,
    turns: int = TURNS,
    budget: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of one of EXPERT_SHAPES, by prompt lookup alone: a pass of several tokens needs the experts of each.
    Routing is that of published models, from token to token. The other arguments are as those of `run`."""
    shape = EXPERT_SHAPES[name]
    size = checkpoint_bytes(shape.config, shape.quantization)
    budget = budget or size // 2 + ROOM_BYTES
    with scratch(folder, size) as place:
        progress(0.02, "writing the model")
        write_random_checkpoint(place / "model", shape.config, shape.quantization)
        measured = measure(place, texts, cases(()), tokens, turns, budget, shape, progress)
    settings = {"tokens": tokens, "turns": turns, "model_bytes": size, "budget_bytes": budget}
    return replace(measured, machine=describe(folder), settings=settings)


def measure(
    place: Path,
    texts: dict[str, Spoken],
    cases: Sequence[Case],
    tokens: int,
    turns: int,
    budget: int,
    shape: ExpertShape | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of the models in `place`, `model` and `draft`. shape: of one with experts."""
    settings = Settings(memory_budget=budget, context=CONTEXT, draft_model=DRAFT_MODEL_NONE)
    rows, details = list[Row](), dict[str, Any]()
    for i, case in enumerate(cases):
        text = texts[case.text]
        with _both_ways(place, settings, case) as ways:
            if shape:
                _replay_routing([way.model for way in ways], shape, len(text.prompt) + turns * tokens)
            share, rates = i / len(cases), _reading_rates(ways[0].model)
            for turn in range(turns):
                progress(share + turn / turns / len(cases), case.name)
                _side_by_side(ways, text._replace(answer=text.answer[:tokens]))
                rates += _reading_rates(ways[0].model)
            rows += [_row(f"{case.name}: {name}", way) for name, way in zip(("without", "with"), ways, strict=True)]
            details[case.name] = _details(*ways) | {"drive_bytes_per_s": rates}
    return Result("drafts", {}, rows, {}, details)


@contextmanager
def _both_ways(place: Path, settings: Settings, case: Case) -> Iterator[list[_Way]]:
    """Without drafts and with them, by models that know nothing yet of what passes take."""
    with ExitStack() as stack:
        alone, drafting = (stack.enter_context(closing(model)) for model in _loaded(place, settings, case))
        share = 1.0 if case.right_share is None else case.right_share
        yield [_Way(alone, Drafts([])), _Way(drafting, drafting.drafts, share)]


def _loaded(place: Path, settings: Settings, case: Case) -> Iterator[LoadedModel]:
    """The model twice, the second time with a draft model beside it, if there is to be one, whatever its tokens are."""
    yield load(place / "model", settings)
    if case.right_share is None:
        yield load(place / "model", settings)
        return
    large, small = (CheckpointExecution(MlxFolder.open(place / name)) for name in ("model", "draft"))
    planner = Planner.whole(small.sizes, Settings(context=CONTEXT))
    drafting = DraftChoice("", DraftSource("draft", partial(CheckpointExecution, small.stored), planner))
    yield LoadedModel(large, settings, footprint(), lambda _: None, drafting)


def _replay_routing(models: Sequence[LoadedModel], shape: ExpertShape, tokens: int) -> None:
    """Let each use the same experts, whatever its routers say."""
    trace = draw_routing(shape.experts, shape.top_k, models[0].layers, tokens)
    for model in models:
        replay(trace, model.network)


def _reading_rates(model: LoadedModel) -> list[float]:
    """The drive's rate now, where what a token reads does not depend on the token."""
    return [reading_rate(model)] if model.streams == "block" else []


def _side_by_side(ways: Sequence[_Way], text: Spoken) -> None:
    """An answer each way. What is learned of passes and drafts stays from answer to answer, as it does in a chat."""
    decoding, costs = [_decoded(way, text) for way in ways], [list[TokenStatistics]() for _ in ways]
    for _ in range(0, len(text.answer), TURN_TOKENS):
        for way, coming, said in zip(ways, decoding, costs, strict=True):
            said += islice(coming, TURN_TOKENS)
            way.model.streaming.drop()
    for way, coming, said in zip(ways, decoding, costs, strict=True):
        coming.close()
        way.answers.seconds.append(sum(cost.total_ms for cost in said[1:]) / 1e3)
        way.answers.costs += said[1:]


def _decoded(way: _Way, text: Spoken) -> Generator[TokenStatistics]:
    """The costs of an answer's tokens, as they are decided."""
    model, whole, answers = way.model, [*text.prompt, *text.answer, 0], way.answers
    kept = model.recall(text.prompt).tokens
    first = model.prefill(text.prompt[kept:])
    wrong = Random(len(answers.seconds))

    def draw(logits: mx.array, known: Sequence[int]) -> int:
        token = _said(logits, whole[min(len(known), len(whole) - 1)])
        return token if wrong.random() < way.right_share else token + 1

    decoding = Decoding(model, lambda logits, known: _said(logits, whole[len(known)]), way.drafts, draw=draw)
    try:
        for each in decoding.tokens(*first, len(text.answer)):
            model.keep_within_budget(0)  # the process has two models: its footprint says nothing of either
            yield each.statistics
    finally:
        answers.passes += decoding.passes
        for name, counts in decoding.drafters.items():
            before = answers.drafters.get(name, (0, 0))
            answers.drafters[name] = before[0] + counts[0], before[1] + counts[1]


def _said(logits: mx.array, token: int) -> int:
    """The token, whatever is likeliest, which is found out all the same."""
    mx.eval(mx.argmax(logits, axis=-1))
    return token


def _row(name: str, way: _Way) -> Row:
    answers = way.answers
    row = summarise(name, answers.costs)
    return replace(row, tokens_per_second=len(answers.costs) / sum(answers.seconds), p50_ms=None, p99_ms=None)


def _details(plain: _Way, drafting: _Way) -> dict[str, Any]:
    """times: as fast with drafts as without, of all answers together, and of each. stays: False once the draft model
    has gone."""
    answers, model = drafting.answers, drafting.model
    times = [one / other for one, other in zip(plain.answers.seconds, answers.seconds, strict=True)]
    return {
        "times": {"all": sum(plain.answers.seconds) / sum(answers.seconds), "each": times},
        "passes": answers.passes,
        "drafters": answers.drafters,
        "tokens_a_pass": len(answers.costs) / answers.passes,
        "stays": model.draft_model is not None,
        "budget_items": {"without": plain.model.budget.items, "with": model.budget.items},
    }

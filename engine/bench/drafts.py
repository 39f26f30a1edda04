"""`bench drafts`: a dense model in half of its memory, token by token and with drafts, on a text that repeats itself
and on one that does not.

The weights are random, and so would be what the model says. It is made to say a given text: whatever it computes, which
is all that it would compute anyway, the text's next token is chosen. So drafts are as often right as they are for a
model that says this text, and passes take what they take. Answers with and without drafts take turns.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import mlx.core as mx

from engine.bench import results
from engine.bench.machine import describe, scratch
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.results import Progress, Result, Row, summarise
from engine.inference.decoding import Decoding
from engine.inference.drafts import Drafts, PromptLookup
from engine.inference.load import load
from engine.inference.model import LoadedModel
from engine.settings import Drafting, Settings
from engine.statistics import TokenStatistics
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
ROOM_BYTES = 300_000_000  # beside half of the model, as in the other tables
CONTEXT, PROMPT_TOKENS, TOKENS, TURNS = 1024, 192, 64, 3
EDITED = (("self", "this"), ("column", "field"), ("figures", "values"))  # words of a program, and what they become
WAYS = (Drafting.NONE, Drafting.LOOKUP)


class Text(NamedTuple):
    """The tokens that a model reads, and those that it is made to say: ids."""

    prompt: list[int]
    answer: list[int]


def texts(tokenizer: Tokenizer, talk: str) -> dict[str, Text]:
    """A program with some names changed, which drafts suit, and talk, by name."""
    program = Path(results.__file__).read_text(encoding="utf-8")
    edited = program
    for word, other in EDITED:
        edited = edited.replace(word, other)
    spoken = tokenizer.encode(talk)
    return {
        "a program edited": Text(tokenizer.encode(program)[:PROMPT_TOKENS], tokenizer.encode(edited)),
        "talk": Text(spoken[:PROMPT_TOKENS], spoken[PROMPT_TOKENS:]),
    }


@dataclass
class _Answers:
    """Answers of one kind. seconds: of each, after the prompt. costs: of all their tokens."""

    seconds: list[float] = field(default_factory=list)
    costs: list[TokenStatistics] = field(default_factory=list)
    passes: int = 0
    drafted: int = 0
    accepted: int = 0


def run(
    folder: Path,
    texts: dict[str, Text],
    config: dict[str, Any] = DENSE_3B,
    tokens: int = TOKENS,
    turns: int = TURNS,
    budget: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a dense shape in 4 bits. texts: by name. tokens: of an answer. turns: answers each way. budget:
    bytes; None for half of the model and 300 MB. Raises FlashbulbError if there is no room."""
    size = checkpoint_bytes(config, AFFINE4)
    budget = budget or size // 2 + ROOM_BYTES
    with scratch(folder, size) as place:
        progress(0.02, "writing the model")
        write_random_checkpoint(place / "model", config, AFFINE4)
        model = load(place / "model", Settings(memory_budget=budget, context=CONTEXT))
        try:
            found = {
                name: _take_turns(
                    model, text._replace(answer=text.answer[:tokens]), turns, partial(progress, 0.5, name)
                )
                for name, text in texts.items()
            }
            streamed = sum(layer.source.bundles - layer.pool.capacity for layer in model.streaming.layers)
        finally:
            model.close()
    rows = [_row(f"{name}, drafts: {way.value}", found[name][way]) for name in found for way in WAYS]
    speedups = {name: _speedup(ways) for name, ways in found.items()}
    settings = {"tokens": tokens, "turns": turns, "model_bytes": size, "budget_bytes": budget}
    details = {
        "speedup": speedups,
        "blocks_on_flash": streamed,
        "drafts": {name: _counts(found[name]) for name in found},
    }
    return Result("drafts", describe(folder), rows, settings, details)


def _take_turns(model: LoadedModel, text: Text, turns: int, progress: Callable[[], None]) -> dict[Drafting, _Answers]:
    """Answers in turns. What is learned of passes and drafts stays from answer to answer, as it does in a chat."""
    answers = {way: _Answers() for way in WAYS}
    drafts = {Drafting.NONE: Drafts([]), Drafting.LOOKUP: Drafts([PromptLookup()])}
    for _ in range(turns):
        for way in WAYS:
            progress()
            _answer(model, text, drafts[way], answers[way])
    return answers


def _answer(model: LoadedModel, text: Text, drafts: Drafts, answers: _Answers) -> None:
    kept = model.recall(text.prompt).tokens
    first = model.prefill(text.prompt[kept:])
    whole = [*text.prompt, *text.answer]
    decoding = Decoding(model, lambda logits, known: _said(logits, whole[len(known)]), drafts)
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


def _speedup(ways: dict[Drafting, _Answers]) -> dict[str, float]:
    """Times as fast with drafts as without: of all answers together, of the first ones, of the later ones in the
    median."""
    plain, drafted = (ways[way].seconds for way in WAYS)
    later = [one / other for one, other in zip(plain, drafted, strict=True)][1:]
    figures = {"all": sum(plain) / sum(drafted), "first": plain[0] / drafted[0]}
    return figures | ({"later": median(later)} if later else {})


def _counts(ways: dict[Drafting, _Answers]) -> dict[str, float]:
    answers = ways[Drafting.LOOKUP]
    tokens = len(answers.costs)
    counts = {"passes": answers.passes, "drafted": answers.drafted, "accepted": answers.accepted}
    return counts | {"tokens_a_pass": tokens / answers.passes}

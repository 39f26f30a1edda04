"""Probabilities of an answer's tokens, against the model's own scores."""

import mlx.core as mx
import pytest

from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from engine.tokens.prompt import encode

ASKED = [{"role": "user", "content": "Who are you?"}]


@pytest.fixture(scope="module")
def model():
    loaded = load("starter", Settings(memory_budget=120_000_000, selection="exact"))
    yield loaded
    loaded.close()


def pieces_of(model, **options):
    return list(model.generate(ASKED, GenerationOptions(**{"max_tokens": 8, "temperature": 0.0} | options)))


def test_without_a_wish_nothing_is_told(model):
    assert all(piece.logprobs is None for piece in pieces_of(model))


def test_they_are_those_of_the_models_scores(model):
    pieces = pieces_of(model, logprobs=5)
    model.forget()
    logits, _ = model.prefill(encode(model, ASKED, GenerationOptions()))
    for piece in pieces:
        scores = logits[0, -1] - mx.logsumexp(logits[0, -1])
        logits, _ = model.decode(piece.token)
        told = piece.logprobs
        assert told.chosen.token == piece.token
        assert told.chosen.logprob == pytest.approx(scores[piece.token].item(), abs=1e-3)
        values = [each.logprob for each in told.top]
        assert values == sorted(values, reverse=True)
        assert values == pytest.approx(sorted(scores.tolist(), reverse=True)[:5], abs=1e-3)


def test_the_bytes_of_tokens_make_the_answer(model):
    pieces = pieces_of(model, logprobs=0)
    ends = model.tokenizer.eos_token_ids
    said = b"".join(piece.logprobs.chosen.text for piece in pieces if piece.token not in ends)
    assert said.decode().strip() == "".join(piece.text for piece in pieces).strip()
    assert all(piece.logprobs.top == () for piece in pieces)


def test_sampling_and_schemas_do_not_change_what_is_told(model):
    free = pieces_of(model, logprobs=1)[0].logprobs
    held = pieces_of(model, logprobs=1, schema={"type": "object"}, temperature=2.0)[0].logprobs
    assert held.top[0].token == free.top[0].token
    assert held.top[0].logprob == pytest.approx(free.top[0].logprob, abs=1e-4)
    assert held.chosen.logprob <= held.top[0].logprob

"""Gaps in a text, filled by models whose tokens mark them."""

import pytest

from engine.errors import PromptError
from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from engine.tokens.gaps import FORMS, form_of
from engine.tokens.prompt import encode
from tests.helpers.scripted import TEMPLATE, write_scripted

QWEN = ("<|fim_prefix|>", "<|fim_suffix|>", "<|file_sep|>", "<|fim_middle|>")
CODESTRAL = ("[SUFFIX]", "[PREFIX]", "<|go|>")
ANSWER = ("a, ", "b")


@pytest.fixture
def says(tmp_path):
    models = []

    def make(special, pieces=ANSWER, then=None):
        folder = write_scripted(tmp_path / str(len(models)), pieces, then, template=TEMPLATE, special=special)
        models.append(load(folder, Settings(memory_budget=200_000_000)))
        return models[-1]

    yield make
    for model in models:
        model.close()


def filled(model, prompt, suffix):
    generation = model.generate(prompt, GenerationOptions(temperature=0.0, suffix=suffix, max_tokens=9))
    list(generation)
    return generation.summary


@pytest.mark.parametrize("prompt", ["def add(", "", "{before}"])
def test_a_gap_is_filled_between_what_stands_around_it(says, prompt):
    model = says(QWEN)
    text = model.tokenizer.decode(encode(model, prompt, GenerationOptions(suffix="): {x}")))
    assert text == f"<|fim_prefix|>{prompt}<|fim_suffix|>): {{x}}<|fim_middle|>"
    summary = filled(model, prompt, "): {x}")
    assert (summary.text, summary.finish_reason) == ("a, b", "stop")


def test_what_comes_after_may_stand_first(says):
    model = says(CODESTRAL)
    prompt = encode(model, "before", GenerationOptions(suffix="after"))
    assert model.tokenizer.decode(prompt) == "[SUFFIX]after[PREFIX]before"


def test_a_gap_ends_where_another_file_would_begin(says):
    summary = filled(says(QWEN, (*ANSWER, "<|file_sep|>"), then="x"), "def add(", ")")
    assert (summary.text, summary.finish_reason) == ("a, b", "stop")


def test_who_fills_no_gaps_says_so(says):
    model = says(("<|fim_prefix|>", "<|fim_suffix|>", "<|go|>"))
    assert form_of(model.tokenizer) is None
    with pytest.raises(PromptError, match="fills no gaps: no token of it marks one"):
        filled(model, "def add(", ")")
    with pytest.raises(PromptError, match="empty"):
        filled(says(QWEN), " ", "\n")


def test_every_form_has_both_parts_once():
    assert all(form.count("{before}") == form.count("{after}") == 1 for form in FORMS)

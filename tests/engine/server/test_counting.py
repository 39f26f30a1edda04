"""Tokens of a prompt, counted as the engine would count them."""

import pytest

from engine.inference.load import load
from engine.server.counting import Tokenizers
from engine.server.models import ServedModel
from engine.server.refusals import RefusedError
from engine.settings import GenerationOptions, Settings

HELLO = [{"role": "user", "content": "Do you like music?"}]


def test_as_many_are_counted_as_are_computed(tiny_model):
    model = load(tiny_model, Settings(window=2))
    generation = model.generate(HELLO, GenerationOptions(max_tokens=1))
    list(generation)
    model.close()
    found = ServedModel("tiny", tiny_model, tiny_model, 1, 1)
    assert Tokenizers().count(found, HELLO, GenerationOptions()) == generation.summary.prompt_tokens


def test_nothing_is_too_long_to_be_counted(tiny_model):
    found = ServedModel("tiny", tiny_model, tiny_model, 1, 1)
    long = [{"role": "user", "content": "music " * 5000}]
    assert Tokenizers().count(found, long, GenerationOptions(shorten=False)) > 5000


def test_a_model_that_is_not_made_ready_is_refused(tmp_path):
    file = tmp_path / "assistant.gguf"
    with pytest.raises(RefusedError, match="ask it something first"):
        Tokenizers().count(ServedModel("smollm2", file, file, 1, 1), HELLO, GenerationOptions())

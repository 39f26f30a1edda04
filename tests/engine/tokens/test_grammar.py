"""Grammars of answers: reasoning is free, and what follows it is not."""

import json

import jsonschema
import pytest

from engine.settings import GenerationOptions
from engine.tokens.channels import Channel, Channels, state_at
from engine.tokens.grammar import grammar_of
from tests.helpers.families import TOOLS, Family
from tests.helpers.schemas import walk

SHORT = {"type": "object", "properties": {"a": {"enum": ["x", "y"]}}, "required": ["a"], "additionalProperties": False}
REASONING = ("qwen3", "gpt-oss", "deepseek-r1", "kimi-k3", "magistral", "seed-oss", "glm-4.5")


def texts_of(family, options, prompt, seed):
    """The text of each channel of an answer that is chosen at random; None for a long one."""
    tokenizer = family.tokenizer
    grammar = grammar_of(tokenizer, options, state_at(tokenizer, prompt))
    tokens = walk(tokenizer, grammar.rules, seed)
    if tokens is None:
        return None
    channels = Channels(tokenizer, prompt, ())
    events = [event for token in tokens for event in channels.add(token)] + channels.finish()
    return {channel: "".join(event.text for event in events if event.channel is channel) for channel in Channel}


@pytest.mark.parametrize("name", REASONING)
def test_an_answer_satisfies_its_schema_whatever_is_reasoned_before(name, tmp_path):
    family, reasoned, seeds = Family(name, "words", tmp_path), [], range(12)
    for seed in seeds:
        texts = texts_of(family, GenerationOptions(schema=SHORT), family.prompt("answer"), seed)
        if texts is not None:
            jsonschema.validate(json.loads(texts[Channel.ANSWER]), SHORT)
            reasoned.append(texts[Channel.REASONING])
    assert any(reasoned)


def test_nothing_is_reasoned_where_that_is_not_wished(tmp_path):
    family = Family("qwen3", "words", tmp_path)
    for seed in range(5):
        texts = texts_of(family, GenerationOptions(schema=SHORT, enable_thinking=False), family.prompt("answer"), seed)
        assert texts[Channel.REASONING] == ""
        jsonschema.validate(json.loads(texts[Channel.ANSWER]), SHORT)


@pytest.mark.parametrize("name", ["qwen3", "gpt-oss", "llama-3.1", "lfm2.5", "phi-4-mini", "nemotron-nano-2"])
def test_no_call_is_made_where_none_is_allowed(name, tmp_path):
    family = Family(name, "words", tmp_path)
    for seed in range(4):
        texts = texts_of(family, GenerationOptions(tools=TOOLS, tool_choice="none"), family.prompt("answer"), seed)
        assert texts is None or texts[Channel.TOOL_CALL] == ""


def test_where_everything_may_be_said_there_is_no_grammar(tmp_path):
    tokenizer = Family("qwen3", "words", tmp_path).tokenizer
    assert grammar_of(tokenizer, GenerationOptions(), "normal") is None
    assert grammar_of(tokenizer, GenerationOptions(tools=TOOLS), "normal") is None

"""Templates that are code of mlx-lm: used where a model has none of its own, refused by name where there is none."""

import json

import pytest
from mlx_lm.chat_templates import deepseek_v32

from engine.errors import TemplateError
from engine.settings import GenerationOptions
from engine.tokens.channels import Channel, Channels
from engine.tokens.library_templates import LibraryTemplate
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.families import ANSWER, ASKED, CALLS, REASONING, TOOLS
from tests.helpers.tokenizers import CHATML, tokenizer_of_kind, write_tokenizer_files

V32 = {"model_type": "deepseek_v32"}
SPECIAL = ["<s>", "</s>", "<pad>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]
THOUGHT = {"role": "assistant", "content": ANSWER, "reasoning_content": REASONING}
AGAIN = {"role": "user", "content": "And?"}


def deepseek(folder, template=None, config=V32, **settings):
    """DeepSeek V3.2's kind of tokenizer, without a template, as its makers have it."""
    library = tokenizer_of_kind("byte-level", [*SPECIAL, "｜DSML｜"])
    ends = {"eos_token": "<｜end▁of▁sentence｜>"} | settings
    write_tokenizer_files(folder, library, template, added=("<think>", "</think>"), **ends)
    return read_tokenizer(folder, config)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return deepseek(tmp_path_factory.mktemp("v32") / "model")


@pytest.mark.parametrize("thinking", [True, False, None])
@pytest.mark.parametrize("tools", [(), TOOLS])
def test_a_model_without_a_template_of_its_own_is_asked_as_mlx_lm_asks_it(tokenizer, thinking, tools):
    told = {} if thinking is None else {"enable_thinking": thinking}
    messages = [{"role": "system", "content": "Be kind."}, *ASKED, THOUGHT, AGAIN]
    options = GenerationOptions(enable_thinking=thinking, tools=tools)
    tokens = Conversation(tokenizer, messages, options).tokens(messages)
    expected = deepseek_v32.apply_chat_template(messages, add_generation_prompt=True, tools=list(tools) or None, **told)
    assert tokenizer.decode(tokens) == expected
    assert REASONING not in expected


def test_its_controls_and_ends_are_known(tokenizer):
    assert tokenizer.template.controls == {"enable_thinking"}
    assert tokenizer.added["<｜end▁of▁sentence｜>"] in tokenizer.eos_token_ids


@pytest.mark.parametrize("calls", [False, True])
def test_its_answers_come_back_as_reasoning_answer_and_calls(tokenizer, calls):
    functions = [
        {"type": "function", "function": {**call, "arguments": json.dumps(call["arguments"])}} for call in CALLS
    ]
    message = THOUGHT | ({"tool_calls": functions} if calls else {})
    prompt = tokenizer.template.render(ASKED, 10_000, add_generation_prompt=True, enable_thinking=True)
    whole = tokenizer.template.render([*ASKED, message], 10_000, enable_thinking=True)
    assert whole.startswith(prompt)
    assert prompt.endswith("<think>")
    tokens = tokenizer.library.encode(whole[len(prompt) :], add_special_tokens=False)
    channels = Channels(tokenizer, tokenizer.encode_marked(prompt), (), tools=TOOLS)
    ended = next(i for i, token in enumerate(tokens) if token in tokenizer.eos_token_ids)
    events = [event for token in tokens[:ended] for event in channels.add(token)] + channels.finish()
    texts = {c: "".join(event.text for event in events if event.channel is c) for c in Channel}
    assert texts[Channel.REASONING] == REASONING
    assert texts[Channel.ANSWER].strip() == ANSWER
    found = [{"name": call.name, "arguments": dict(call.arguments)} for event in events for call in event.calls]
    assert found == (list(CALLS) if calls else [])


def test_a_models_own_template_goes_first(tmp_path):
    tokenizer = deepseek(tmp_path / "own", CHATML, chat_template_type="deepseek_v32")
    assert tokenizer.template.source == CHATML


def test_the_name_in_its_config_is_enough(tmp_path):
    tokenizer = deepseek(tmp_path / "named", config={"model_type": "llama"}, chat_template_type="deepseek_v32")
    assert isinstance(tokenizer.template, LibraryTemplate)


@pytest.mark.parametrize("name", ["of_somebody_else", "muse_spark", "..tokenizer_utils", "os"])
def test_a_template_that_mlx_lm_does_not_have_is_refused_by_its_name(tmp_path, name):
    tokenizer = deepseek(tmp_path / "odd", config={"model_type": "llama"}, chat_template_type=name)
    with pytest.raises(TemplateError, match=f"program \\({name}\\) that Flashbulb does not have"):
        Conversation(tokenizer, ASKED, GenerationOptions()).tokens(ASKED)
    plain = Conversation(tokenizer, ASKED, GenerationOptions(plain_format=True)).tokens(ASKED)
    assert ASKED[0]["content"] in tokenizer.decode(plain)


def test_messages_that_it_was_not_written_for_are_one_line(tokenizer):
    odd = [{"role": "of nobody", "content": "x"}]
    with pytest.raises(TemplateError, match="deepseek_v32 of mlx-lm fails: Unknown role: of nobody") as caught:
        tokenizer.template.render(odd, 100)
    assert "\n" not in str(caught.value)

"""Every marker that mlx-lm knows is handled: a new one in a newer mlx-lm fails here until it is."""

import inspect
import re
from importlib import import_module
from pkgutil import iter_modules

import mlx_lm.chat_templates
import mlx_lm.tokenizer_utils
import mlx_lm.tool_parsers
import pytest
from mlx_lm.tokenizer_utils import _infer_structural_markers, _infer_thinking

from engine.tokens.channels import Channel, Channels
from engine.tokens.markers import ANSWERS, THINKING, markers_of
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.tokenizers import CHATML, tokenizer_of_kind, write_tokenizer_files

TEXT = re.compile(r'"([^"\s]*[<|\[][^"\s]*)"')  # that is a mark
CALL = {"name": "get_weather", "arguments": {"city": "Bern"}}
WRITTEN = {  # the same call as each of mlx-lm's parsers reads it, between its marks
    "function_gemma": "call:get_weather{city:<escape>Bern<escape>}",
    "gemma4": 'call:get_weather{city:<|"|>Bern<|"|>}',
    "glm47": "get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n",
    "json_tools": '\n{"name": "get_weather", "arguments": {"city": "Bern"}}\n',
    "kimi_k2": "<|tool_call_begin|>functions.get_weather:0"
    '<|tool_call_argument_begin|>{"city": "Bern"}<|tool_call_end|>',
    "kimi_k3": '<|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"<|sep|>Bern'
    "<|close|>argument<|sep|><|close|>call<|sep|>",
    "laguna": "get_weather\n<arg_key>city</arg_key>\n<arg_value>Bern</arg_value>\n",
    "longcat": "get_weather\n<longcat_arg_key>city</longcat_arg_key>\n<longcat_arg_value>Bern</longcat_arg_value>\n",
    "minicpm5": '"get_weather"><param name="city">Bern</param>',
    "minimax_m2": '\n<invoke name="get_weather">\n<parameter name="city">Bern</parameter>\n</invoke>\n',
    "mistral": 'get_weather[ARGS]{"city": "Bern"}',
    "muse_spark": '<atem:invoke name="get_weather"><atem:parameter name="city">Bern</atem:parameter></atem:invoke>',
    "pythonic": '[get_weather(city="Bern")]',
    "qwen3_coder": "\n<function=get_weather>\n<parameter=city>\nBern\n</parameter>\n</function>\n",
}


def names_in(package) -> list[str]:
    return sorted(module.name for module in iter_modules(package.__path__))


def read(folder, special=(), config=None, **settings):
    library = tokenizer_of_kind("byte-level", ["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>", *special])
    return read_tokenizer(write_tokenizer_files(folder, library, CHATML, **settings), config or {"model_type": "llama"})


def said(tokenizer, text):
    prompt = tokenizer.encode("x")
    channels = Channels(tokenizer, prompt, ())
    tokens = tokenizer.library.encode(text, add_special_tokens=False)
    events = [event for token in tokens for event in channels.add(token)] + channels.finish()
    shown = {c: "".join(event.text for event in events if event.channel is c) for c in Channel}
    return shown, [{"name": call.name, "arguments": dict(call.arguments)} for event in events for call in event.calls]


@pytest.mark.parametrize("name", names_in(mlx_lm.tool_parsers))
@pytest.mark.parametrize("as_tokens", [True, False])
def test_calls_of_every_parser_are_calls_and_not_prose(tmp_path, name, as_tokens):
    """Both where the marks, and what marks the parts of a call, are tokens, and where they are letters."""
    module = import_module(f"mlx_lm.tool_parsers.{name}")
    marks = {m for m in (module.tool_call_start, module.tool_call_end) if m}
    inner = set(re.findall(r'<\|[^|]*\|>|<\|"\|>|<escape>|\[ARGS\]', WRITTEN[name] + "".join(marks)))
    special = sorted(
        inner | (marks if not inner & {m for mark in marks for m in re.findall(r"<\|[^|]*\|>", mark)} else set())
    )
    tokenizer = read(tmp_path / "model", special if as_tokens else (), tool_parser_type=name)
    shown, calls = said(tokenizer, f"Look.{module.tool_call_start}{WRITTEN[name]}{module.tool_call_end}")
    assert calls == [CALL]
    assert shown[Channel.ANSWER] == "Look."


def pairs() -> list[tuple[str, str]]:
    """The marks that `_infer_thinking` looks for, as its source has them, in turn."""
    listed = re.findall(r'\("([^"]+)", "([^"]+)"\)', inspect.getsource(_infer_thinking))
    return listed + re.findall(r'think_start = "([^"]+)"\s+think_end = "([^"]+)"', inspect.getsource(_infer_thinking))


def test_the_pairs_that_are_looked_for_are_found():
    assert len(pairs()) >= 5
    marks = set(TEXT.findall(inspect.getsource(_infer_thinking)))
    parts = "".join(mark for pair in pairs() for mark in pair)
    assert all(mark in parts for mark in marks)


@pytest.mark.parametrize(("start", "end"), [*pairs(), *THINKING])
def test_reasoning_between_every_pair_is_no_answer(tmp_path, start, end):
    special = re.findall(r"<\|?[^<>]*\|?>|\[[^\]]*\]", start + end)
    xtml = ["<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"] if "<|open|>" in start else []
    tokenizer = read(tmp_path / "model", sorted({*special, *xtml}))
    shown, calls = said(tokenizer, f"{start}\nBecause.\n{end}\n\nSo.")
    assert (shown[Channel.REASONING].strip(), shown[Channel.ANSWER], calls) == ("Because.", "So.", [])


def test_structural_markers_are_not_shown(tmp_path):
    marks = ["<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>"]
    tokenizer = read(tmp_path / "model", marks)
    structural = _infer_structural_markers(tokenizer.library)
    assert structural == tuple(TEXT.findall(inspect.getsource(_infer_structural_markers)))
    assert said(tokenizer, "a".join(structural))[0][Channel.ANSWER] == "aa"


@pytest.mark.parametrize(("start", "end"), ANSWERS)
def test_marks_around_an_answer_are_not_shown(tmp_path, start, end):
    tokenizer = read(tmp_path / "model", ["<think>", "</think>", start, end])
    shown, _ = said(tokenizer, f"<think>\nBecause.\n</think>\n{start}\nSo.{end}")
    assert shown[Channel.ANSWER] == "So."


def test_ordinary_letters_that_are_marks_of_others_are_text(tmp_path):
    text = "<answer> is a tag, <response> too, and [THINK] is none."
    assert said(read(tmp_path / "model"), text)[0][Channel.ANSWER] == text


RESPONSES = {  # of the formats that belong to mlx-lm's templates: an answer with each kind of message, by its name
    "muse_spark": "to=self<|message|>Because.<|eom|><|start|>assistant to=get_weather<|message|>"
    f"<atem:function_calls>{WRITTEN['muse_spark']}</atem:function_calls><|eom|>"
    "<|start|>assistant to=user<|message|>So.<|eot|>"
}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in names_in(mlx_lm.chat_templates)
        if hasattr(import_module(f"mlx_lm.chat_templates.{name}"), "RESPONSE_FORMAT")
    ],
)
def test_formats_of_responses_are_read(tmp_path, name):
    """A model's type is enough, as mlx-lm has it."""
    special = ["<|start|>", "<|message|>", "<|eom|>", "<|eot|>"]
    tokenizer = read(tmp_path / "model", special, {"model_type": name})
    shown, calls = said(tokenizer, RESPONSES[name])
    assert (shown[Channel.REASONING], shown[Channel.ANSWER].strip(), calls) == ("Because.", "So.", [CALL])
    assert markers_of(tokenizer).initial == "header"


def test_what_the_wrapper_tells_of_marks_is_what_is_read_of_it():
    """Every property of mlx-lm's wrapper that names marks is one of the names of ours."""
    source = inspect.getsource(mlx_lm.tokenizer_utils.TokenizerWrapper)
    told = set(re.findall(r"def ((?:think|tool_call|structural|response)_\w+)\(", source))
    kept = {name for name in told if not name.endswith(("_id", "_tokens"))}
    assert kept == {
        "think_start", "think_end", "tool_call_start", "tool_call_end", "structural_markers", "response_transitions",
        "response_initial_state",
    }  # fmt: skip

"""Channels of twelve families: their markers, and everything that only looks like one."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as LibraryTokenizer
from tokenizers import decoders, models, pre_tokenizers

from engine.settings import GenerationOptions
from engine.tokens.channels import HARMONY, Channel, Channels, ChannelText, Markers
from engine.tokens.prompt import Conversation
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.tokenizers import write_tokenizer_files

STREAMS = sorted((Path(__file__).parent / "streams").glob("*.json"))
HELLO = [{"role": "user", "content": "Hi, what is <think> and <|channel|>?"}]


class Family:
    """A recorded answer, and the tokenizer and template that its family has, with a token for each byte."""

    def __init__(self, path: Path, folder: Path):
        recorded = json.loads(path.read_text(encoding="utf-8"))
        self.stream, self.end = recorded["stream"], recorded["end"]
        self.events, self.calls = recorded["events"], recorded["calls"]
        library = _byte_tokenizer(recorded["special"])
        write_tokenizer_files(folder, library, recorded["template"], added=tuple(recorded["added"]))
        self.tokenizer = read_tokenizer(folder, {"model_type": "llama"})
        self.prompt = Conversation(self.tokenizer, HELLO, GenerationOptions()).tokens(HELLO)
        self.tokens = self.tokenizer.library.encode(self.stream, add_special_tokens=False)


@pytest.fixture(scope="module", params=STREAMS, ids=lambda path: path.stem)
def family(request, tmp_path_factory):
    return Family(request.param, tmp_path_factory.mktemp("families") / request.param.stem)


def _byte_tokenizer(special: list[str]) -> LibraryTokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = ["<s>", "<pad>", "</s>", *letters]
    tokenizer = LibraryTokenizer(models.BPE(vocab={name: i for i, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", *special])
    return tokenizer


def joined(events) -> list[list[str]]:
    """Events of one channel in turn, as one."""
    whole: list[list[str]] = []
    for event in events:
        if event.text and whole and whole[-1][0] == event.channel:
            whole[-1][1] += event.text
        elif event.text:
            whole.append([str(event.channel), event.text])
    return whole


def calls_of(events) -> list[dict]:
    return [{"name": call.name, "arguments": dict(call.arguments)} for event in events for call in event.calls]


def said(channels, tokens):
    events = [event for token in tokens for event in channels.add(token)]
    return events + channels.finish()


def test_there_are_twelve_families():
    assert len(STREAMS) == 12


def test_a_recorded_answer_gives_its_events(family):
    events = said(Channels(family.tokenizer, family.prompt, ()), family.tokens)
    assert joined(events) == family.events
    assert calls_of(events) == family.calls


def test_an_answer_cut_off_anywhere_shows_only_what_was_said(family):
    """Nothing of a marker, no half of a character: of each channel a beginning of what it says in the end."""
    whole = {channel: "".join(text for name, text in family.events if name == channel) for channel in Channel}
    for length in range(len(family.tokens)):
        events = said(Channels(family.tokenizer, family.prompt, ()), family.tokens[:length])
        for channel in Channel:
            shown = "".join(event.text for event in events if event.channel is channel)
            assert whole[channel].startswith(shown), (length, channel)


def test_what_ends_the_answer_is_known(family):
    ends = family.tokenizer.eos_token_ids
    assert family.tokenizer.added[family.end] in ends
    assert not ends & set(family.tokens)


def test_letters_that_spell_a_marker_which_is_a_token_are_text(family):
    names = [
        name for name, i in family.tokenizer.added.items() if i in family.tokenizer.special and name in family.stream
    ]
    for name in names:
        if name == "<|message|>":
            continue
        text = f"so {name} it is"
        letters = family.tokenizer.encode_marked(family.tokenizer.mark(text))
        plain = Channels(family.tokenizer, family.tokenizer.encode("x"), (), plain=True)
        assert joined(said(plain, letters)) == [["answer", text]]


def test_a_stop_text_ends_the_answer_and_not_its_reasoning(family):
    answers = [text for name, text in family.events if name == "answer"]
    stop = answers[0][2:5]
    reasoning = [event for event in family.events if event[0] == "reasoning"]
    channels = Channels(family.tokenizer, family.prompt, (stop, "user", "x²"))
    events = []
    for token in family.tokens:
        events += channels.add(token)
        if channels.stopped:
            break
    assert channels.stopped
    kept = [event for event in joined(events + channels.finish()) if event[0] != "tool call"]
    assert kept == [*reasoning, ["answer", answers[0][:2]]]


# ---------------------------------------------------------------------------------------------- text, cut anywhere
THINKING = Markers("<think>", "</think>", "<tool_call>", "</tool_call>")
TEXT = "<think>\nIs 2 < 3? </thin no 🦙</think>\n\nYes <b>, <thin and <tool_call>{}</tool_call> END more"
EVENTS = [
    ["reasoning", "Is 2 < 3? </thin no 🦙"],
    ["answer", "Yes <b>, <thin and "],
    ["tool call", "{}"],
    ["answer", " "],
]


def cut(text, places):
    edges = [0, *sorted(places), len(text)]
    return [text[start:stop] for start, stop in pairwise(edges)]


@given(st.sets(st.integers(0, len(TEXT))))
def test_text_that_is_cut_anywhere_gives_the_same_events(places):
    channels = ChannelText(THINKING, ("END",))
    events = [event for part in cut(TEXT, places) for event in channels.add(part)]
    assert joined(events + channels.finish()) == EVENTS
    assert channels.stopped


@given(st.text("<think>/ab ", max_size=40))
def test_without_markers_nothing_is_lost(text):
    channels = ChannelText(Markers(), plain=True)
    events = [event for letter in text for event in channels.add(letter)]
    assert "".join(event.text for event in events + channels.finish()) == text


@given(st.text(st.sampled_from("<think>/a\n"), max_size=60))
def test_no_text_is_lost_but_whole_markers(text):
    channels = ChannelText(Markers("<think>", "</think>"), plain=True)
    events = [event for letter in text for event in channels.add(letter)] + channels.finish()
    expected, state, rest = [], "answer", text
    while rest:
        marker = "<think>" if state == "answer" else "</think>"
        before, found, rest = rest.partition(marker)
        if before:
            expected.append([state, before])
        state = ("reasoning" if state == "answer" else "answer") if found else state
    merged: list[list[str]] = []
    for name, said_there in expected:
        if merged and merged[-1][0] == name:
            merged[-1][1] += said_there
        else:
            merged.append([name, said_there])
    assert joined(events) == merged


def test_a_call_that_nothing_understands_is_shown_as_it_was_written():
    def parser(text, tools):
        raise ValueError

    channels = ChannelText(THINKING, (), parser)
    events = channels.add("<tool_call>what?</tool_call>") + channels.finish()
    assert joined(events) == [["tool call", "what?"]]
    assert calls_of(events) == []


def test_a_harmony_answer_without_channels_is_an_answer():
    channels = ChannelText(HARMONY)
    events = channels.add("<|message|>Hello<|end|>") + channels.finish()
    assert joined(events) == [["answer", "Hello"]]


def test_calls_before_the_channel_is_named_are_calls_too():
    channels = ChannelText(HARMONY)
    text = ' to=functions.add<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    events = channels.add("<|start|>assistant" + text) + channels.finish()
    assert calls_of(events) == [{"name": "add", "arguments": {"a": 1}}]


# --------------------------------------------------------------------------------------------- what it begins with
@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    path = next(path for path in STREAMS if path.stem == "qwen3-thinking")
    return Family(path, tmp_path_factory.mktemp("qwen"))


def test_an_answer_that_goes_on_after_its_reasoning_is_an_answer(qwen):
    prompt = [*qwen.prompt, *qwen.tokens]
    letters = qwen.tokenizer.encode(" more")[1:] if qwen.tokenizer.beginning else qwen.tokenizer.encode(" more")
    assert joined(said(Channels(qwen.tokenizer, prompt, (), seen=8, plain=True), letters)) == [["answer", " more"]]


def test_what_a_person_types_does_not_begin_reasoning(tmp_path):
    path = next(path for path in STREAMS if path.stem == "qwen3")
    family = Family(path, tmp_path / "model")
    channels = Channels(family.tokenizer, family.prompt, ())
    assert channels.channel is Channel.ANSWER

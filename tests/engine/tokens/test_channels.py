"""Channels of the families that people use: their markers, and everything that only looks like one."""

import json
from functools import reduce
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tokens.channels import Channel, Channels, ChannelText
from engine.tokens.markers import HARMONY, Markers
from tests.helpers.families import ANSWER, ASKED, CALLS, GRAINS, NAMES, TOOLS, Family, of_grain


@pytest.fixture(scope="module", params=[pair for pair in product(NAMES, GRAINS) if of_grain(*pair)], ids="-".join)
def family(request, tmp_path_factory):
    name, grain = request.param
    return Family(name, grain, tmp_path_factory.mktemp("families") / name)


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


def texts_of(events) -> dict[Channel, str]:
    return {channel: "".join(event.text for event in events if event.channel is channel) for channel in Channel}


def expected(family, kind):
    """The content of the message that the stream was made of."""
    message = family.message(kind)
    calls = list(CALLS[: family.told["calls"]]) if "tool_calls" in message else []
    return message.get("reasoning_content", ""), message["content"], calls


def test_there_are_twelve_families_and_more():
    assert len(NAMES) > 12


def test_a_message_comes_back_as_it_was_before_its_template_wrote_it(family):
    """Reasoning, answer and calls; the lines between them are the template's."""
    for kind in family.kinds:
        events = said(Channels(family.tokenizer, family.prompt(kind), (), tools=TOOLS), family.tokens(kind))
        texts = texts_of(events)
        reasoning, answer, calls = expected(family, kind)
        assert texts[Channel.REASONING].strip() == reasoning
        assert texts[Channel.ANSWER].strip() == answer
        assert calls_of(events) == calls


def test_of_a_message_nothing_is_shown_that_it_does_not_say_whatever_has_come_of_it(family):
    """Nothing of a marker, no half of a character: of each channel a beginning of what it says in the end."""
    for kind in family.kinds:
        whole = texts_of(said(Channels(family.tokenizer, family.prompt(kind), (), tools=TOOLS), family.tokens(kind)))
        channels, shown = Channels(family.tokenizer, family.prompt(kind), (), tools=TOOLS), dict.fromkeys(Channel, "")
        for token in family.tokens(kind):
            for event in channels.add(token):
                shown[event.channel] += event.text
            assert all(whole[channel].startswith(shown[channel]) for channel in Channel), shown


@pytest.mark.parametrize("name", NAMES)
def test_a_message_that_is_cut_off_at_any_token_is_a_beginning_of_it(name, tmp_path):
    family = Family(name, "words", tmp_path / name)
    for kind in family.kinds:
        tokens, prompt = family.tokens(kind), family.prompt(kind)
        whole = texts_of(said(Channels(family.tokenizer, prompt, ()), tokens))
        for length in range(len(tokens)):
            shown = texts_of(said(Channels(family.tokenizer, prompt, ()), tokens[:length]))
            assert all(whole[channel].startswith(shown[channel]) for channel in Channel), (length, shown)


def test_a_message_ends_where_its_template_ends_it(family):
    """Nothing but blank lines, and the same end again, follows what ends it."""
    for kind in family.kinds:
        stream, tokenizer = family.stream(kind), family.tokenizer
        tokens = tokenizer.library.encode(stream, add_special_tokens=False)
        rest = tokens[len(family.tokens(kind)) :]
        assert not tokenizer.decode([token for token in rest if token not in tokenizer.special]).strip()


def test_letters_that_spell_a_marker_which_is_a_token_are_text(family):
    marks = [name for name, i in family.tokenizer.added.items() if i in family.tokenizer.special]
    for name in [name for name in marks if name != "<|message|>"]:
        text = f"so {name} it is"
        letters = family.tokenizer.encode_marked(family.tokenizer.mark(text))
        plain = Channels(family.tokenizer, family.tokenizer.encode("x"), (), plain=True)
        assert joined(said(plain, letters)) == [["answer", text]]


def test_a_stop_text_ends_the_answer_and_not_its_reasoning(family):
    reasoning, answer, _ = expected(family, "answer")
    channels = Channels(family.tokenizer, family.prompt("answer"), (ANSWER[2:5], "user", "x²"))
    events = []
    for token in family.tokens("answer"):
        events += channels.add(token)
        if channels.stopped:
            break
    assert channels.stopped
    assert channels.stop_text == ANSWER[2:5]
    texts = texts_of(events + channels.finish())
    assert (texts[Channel.REASONING].strip(), texts[Channel.ANSWER].strip()) == (reasoning, answer[:2])


@pytest.mark.parametrize("text", ['{"name": "Bob", "age": 3}', "{ is a brace", " {", "{}", "Hi"])
def test_an_answer_that_only_begins_like_a_call_without_marks_is_an_answer(tmp_path, text):
    family = Family("llama-3.1", "words", tmp_path / "llama")
    tokens = family.tokenizer.library.encode(text, add_special_tokens=False)
    events = said(Channels(family.tokenizer, family.prompt("answer"), (), tools=TOOLS), tokens)
    assert joined(events) == [["answer", text.lstrip()]]


def test_without_tools_nothing_is_a_call_that_has_no_marks(tmp_path):
    family = Family("llama-3.1", "words", tmp_path / "llama")
    events = said(Channels(family.tokenizer, family.prompt("calls"), ()), family.tokens("calls"))
    assert not calls_of(events)
    assert texts_of(events)[Channel.ANSWER].startswith('{"name": "get_weather"')


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
    channels = ChannelText(THINKING, ("ENDED", "END", "more"))
    events = [event for part in cut(TEXT, places) for event in channels.add(part)]
    assert joined(events + channels.finish()) == EVENTS
    assert channels.stopped
    assert (channels.state, channels.stop_text) == ("", "END")


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


TWO_CALLS = "Hm. <tool_call>12</tool_call> and <tool_call>3</tool_call>, I say."


@pytest.mark.parametrize("texts", [[TWO_CALLS], list(TWO_CALLS)], ids=["at once", "by letters"])
@pytest.mark.parametrize(("one_call", "calls", "rest"), [(True, ["1"], ""), (False, ["1", "2", "3"], " and , I say.")])
def test_where_one_call_is_wanted_nothing_comes_after_the_first(texts, one_call, calls, rest):
    def parser(text, tools):
        return [{"name": number, "arguments": {}} for number in text]

    channels = ChannelText(THINKING, (), parser, one_call=one_call)
    events = [event for text in texts for event in channels.add(text)] + channels.finish()
    assert [call["name"] for call in calls_of(events)] == calls
    assert texts_of(events)[Channel.ANSWER] == "Hm. " + rest
    assert channels.stopped is one_call


ODD_ARGUMENTS = (
    {"of": {1, 2}},
    {"of": b"bytes"},
    {"of": 1 + 2j},
    {"of": "half \ud83d of it"},
    {"half \ud83d of it": 1},
    {("a", "b"): 1},
    ["no", "names"],
    3,
    reduce(lambda inner, _: [inner], range(3000), []),
)


@pytest.mark.parametrize("given", ODD_ARGUMENTS, ids=[str(place) for place in range(len(ODD_ARGUMENTS))])
def test_arguments_are_what_json_has_or_the_call_is_shown_as_it_was_written(given):
    """Calls are kept, searched and handed on as JSON."""
    channels = ChannelText(THINKING, (), lambda text, tools: {"name": "f \ud83d", "arguments": given})
    events = channels.add("<tool_call>what?</tool_call>") + channels.finish()
    assert joined(events) == [["tool call", "what?"]]
    for call in calls_of(events):
        written = json.dumps(call, ensure_ascii=False, indent=2)
        assert json.loads(written.encode("utf-8")) == call
        assert call["name"] == "f \ufffd"


def test_a_harmony_answer_without_channels_is_an_answer():
    channels = ChannelText(HARMONY)
    events = channels.add("<|message|>Hello<|end|>") + channels.finish()
    assert joined(events) == [["answer", "Hello"]]


def test_calls_before_the_channel_is_named_are_calls_too():
    channels = ChannelText(HARMONY)
    text = ' to=functions.add<|channel|>commentary json<|message|>{"a": 1}<|call|>'
    events = channels.add("<|start|>assistant" + text) + channels.finish()
    assert calls_of(events) == [{"name": "add", "arguments": {"a": 1}}]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("qwen3.5", "a", "</think>\n\nHello"),
        ("magistral", "[THINK]a", "[/THINK] Hello"),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>a",
            "<|end|><|start|>assistant<|channel|>final<|message|>Hello",
        ),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_half_a_character_before_a_marker_does_not_come_behind_it(tmp_path, name, before, after, count):
    family = Family(name, "bytes", tmp_path / name)
    start, half, end = (
        family.tokenizer.library.encode(text, add_special_tokens=False) for text in (before, "🦙", after)
    )
    events = said(Channels(family.tokenizer, family.prompt("answer"), ()), [*start, *half[:count], *end])
    assert joined(events) == [["reasoning", "a\ufffd"], ["answer", "Hello"]]


# ------------------------------------------------------------------------------- harmony that is not as it should be
@pytest.mark.parametrize(
    "turn",
    [
        "<|start|>user<|message|>And 3?",
        "<|start|>user<|channel|>final<|message|>And 3?",
        "<|start|>system<|message|>You are",
        '<|start|>functions.add to=assistant<|channel|>commentary<|message|>{"a": 1}',
    ],
)
def test_an_answer_ends_where_somebody_elses_turn_begins(turn):
    text = f"<|channel|>final<|message|>Hello<|end|>{turn}<|end|><|start|>assistant<|channel|>final<|message|>More"
    for size in range(1, len(text)):
        channels = ChannelText(HARMONY)
        events = [event for at in range(0, len(text), size) for event in channels.add(text[at : at + size])]
        assert channels.stopped
        assert joined(events + channels.finish()) == [["answer", "Hello"]]
        assert calls_of(events) == []


def test_a_channel_begins_without_the_end_of_the_one_before():
    channels = ChannelText(HARMONY)
    text = '<|channel|>analysis<|message|>Hm.<|channel|>commentary to=functions.add<|message|>{"a": 1}'
    events = channels.add(f"{text}<|channel|>final<|message|>So <|channel|> it is.<|return|>") + channels.finish()
    assert joined(events) == [["reasoning", "Hm."], ["tool call", '{"a": 1}'], ["answer", "So <|channel|> it is."]]
    assert calls_of(events) == [{"name": "add", "arguments": {"a": 1}}]


def test_words_where_a_header_would_be_are_an_answer(tmp_path):
    family = Family("gpt-oss", "words", tmp_path / "gpt-oss")

    def events_of(text):
        tokens = family.tokenizer.library.encode(text, add_special_tokens=False)
        return joined(said(Channels(family.tokenizer, family.prompt("answer"), ()), tokens))

    assert events_of("Hello, user to be.") == [["answer", "Hello, user to be."]]
    for header in ("<|channel|>anal", " to=functions.add", "<|channel|>commentary to=functions.add <|constrain|>js"):
        assert events_of(header) == []  # cut off: nothing was said


# --------------------------------------------------------------------------------------------- what it begins with
@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    return Family("qwen3.5", "words", tmp_path_factory.mktemp("qwen"))


def test_an_answer_that_goes_on_after_its_reasoning_is_an_answer(qwen):
    prompt = [*qwen.prompt("answer"), *qwen.tokens("answer")]
    letters = qwen.tokenizer.library.encode(" more", add_special_tokens=False)
    assert joined(said(Channels(qwen.tokenizer, prompt, (), seen=8, plain=True), letters)) == [["answer", " more"]]


def test_what_a_person_types_does_not_begin_reasoning(tmp_path):
    family = Family("qwen3", "words", tmp_path / "model")
    assert "<think>" in ASKED[0]["content"]
    assert Channels(family.tokenizer, family.prompt("answer"), ()).channel is Channel.ANSWER

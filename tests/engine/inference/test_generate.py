"""Prompts, sampling and stopping."""

import threading
from functools import reduce

import pytest

from engine.errors import NoRoomError, OptionError, PromptError, TemplateError
from engine.inference.load import load
from engine.prepare.prepare import prepare
from engine.settings import GenerationOptions, Settings
from engine.tokens.prompt import common_prefix, encode
from engine.tokens.templates import ChatTemplate
from tests.helpers.checkpoints import write_text
from tests.helpers.scripted import TEMPLATE, write_scripted


@pytest.fixture(scope="module")
def model(tiny_model):
    loaded = load(tiny_model, Settings(selection="exact"))
    yield loaded
    loaded.close()


def options(**changes) -> GenerationOptions:
    return GenerationOptions(**{"max_tokens": 12, "temperature": 0.0} | changes)


def test_the_pieces_make_up_the_text_and_the_summary_counts_them(model):
    generation = model.generate("Do you like music?", options())
    pieces = list(generation)
    summary = generation.summary
    assert summary.text == "".join(p.text for p in pieces)
    assert summary.tokens == [p.token for p in pieces]
    assert summary.finish_reason in ("stop", "length")
    assert [p.prefill for p in pieces] == [True] + [False] * (len(pieces) - 1)
    assert summary.per_token["total_ms"] == pytest.approx(
        sum(p.statistics.total_ms for p in pieces[1:]) / (len(pieces) - 1)
    )
    assert summary.time_to_first_token_s >= summary.prefill_seconds > 0
    assert summary.prefill_bytes_read == model.flash_bytes
    assert model.streams == "neuron"


def test_a_seed_repeats_an_answer_and_another_seed_does_not(model):
    def answer(seed):
        generation = model.generate("The weather", options(temperature=1.5, top_p=1.0, seed=seed))
        list(generation)
        return generation.summary.tokens

    assert answer(1) == answer(1)
    assert len({tuple(answer(seed)) for seed in range(4)}) > 1


def test_a_seed_repeats_an_answer_whatever_was_answered_before(tiny_model):
    """To the byte that is read, although hot neurons stay from answer to answer: as long as no way of reading is tried,
    which time decides."""
    loaded = load(tiny_model, Settings(selection="predictor", window=2, overlap=False))

    def answer(prompt, seed):
        generation = loaded.generate(prompt, options(temperature=1.5, top_p=1.0, seed=seed))
        return [(piece.token, piece.statistics.reads, piece.statistics.resident) for piece in generation]

    try:
        first = answer("The weather", 1)
        later = answer("The weather", None)
        answer("Do you like music? The weather", None)
        assert answer("The weather", 1) == first
        assert [resident for *_, resident in later] != [resident for *_, resident in first]
    finally:
        loaded.close()


def test_a_stop_string_ends_the_answer_before_it(model):
    full = model.generate("I have two dogs", options())
    list(full)
    text = full.summary.text
    stop = text[3:6]
    stopped = model.generate("I have two dogs", options(stop=(stop,)))
    list(stopped)
    assert stopped.summary.text == text[: text.index(stop)]
    assert stopped.summary.finish_reason == "stop"


def test_an_answer_ends_where_the_context_does(model):
    generation = model.generate(list(range(3, 60)), options(max_tokens=100))
    list(generation)
    assert generation.summary.finish_reason in ("context", "stop")
    assert len(model.cached_tokens) < model.context


def test_an_answer_ends_where_the_context_that_was_chosen_does(model):
    for chosen in (60, 1000):
        generation = model.generate(list(range(3, 55)), options(max_tokens=100, min_tokens=100, context=chosen))
        list(generation)
        summary = generation.summary
        assert summary.finish_reason == "context"
        assert summary.prompt_tokens + len(summary.tokens) == min(chosen, model.context)


def test_the_oldest_turns_are_left_out_for_the_context_that_was_chosen_where_the_model_has_as_much(model):
    messages = [{"role": ("user", "assistant")[i % 2], "content": "I play the guitar."} for i in range(21)]
    how = {"max_tokens": 4, "shorten": False, "shorten_to_context": True}
    short = encode(model, messages, options(**how, context=40))
    assert 20 < len(short) <= 36
    for refused in (how | {"context": model.context + 1}, how | {"context": 40, "shorten_to_context": False}):
        with pytest.raises(NoRoomError):
            encode(model, messages, options(**refused))


def test_cancelling_ends_the_answer_and_keeps_what_there_is(model):
    cancelled = threading.Event()
    generation = model.generate("Do you like music?", options(max_tokens=50), cancelled)
    pieces = []
    for piece in generation:
        pieces.append(piece)
        if len(pieces) == 3:
            cancelled.set()
    assert len(pieces) == 3
    assert generation.summary.finish_reason == "cancelled"
    assert generation.summary.tokens == [p.token for p in pieces]


@pytest.mark.parametrize("prompt", ["", " \n", [], [{"role": "user", "content": "  "}]])
def test_an_empty_prompt_is_refused(model, prompt):
    with pytest.raises(PromptError, match="empty"):
        model.generate(prompt)


def test_a_prompt_longer_than_the_context_is_refused(model):
    with pytest.raises(PromptError, match=r"has \d+ tokens, and this model's context holds 64"):
        model.generate("music " * 80)
    with pytest.raises(PromptError, match="Shorten it"):
        model.generate([{"role": "user", "content": "music " * 80}])


def test_a_conversation_that_may_not_be_shortened_is_refused_by_how_much_it_is_too_long(model):
    messages = [{"role": ("user", "assistant")[i % 2], "content": "I play the guitar."} for i in range(21)]
    assert model.generate(messages).summary.left_out > 0
    with pytest.raises(NoRoomError) as caught:
        model.generate(messages, options(shorten=False))
    assert f"has {caught.value.excess - 1 + model.context} tokens" in str(caught.value)


def lengthy(kind):
    """A conversation, and options, that are far too long for any model."""
    tool = {"type": "function", "function": {"name": "look", "description": "far away " * 300_000}}
    if kind == "messages":
        return [{"role": ("user", "assistant")[i % 2], "content": "x"} for i in range(40_001)], {}
    return [{"role": "user", "content": "Hi"}], {"tools": (tool,)}


@pytest.mark.parametrize("kind", ["messages", "tools"])
def test_a_conversation_with_too_much_around_it_is_too_long(says, kind):
    template = TEMPLATE + "{% for t in tools or [] %}{{ t | tojson }}{% endfor %}"
    messages, told = lengthy(kind)
    with pytest.raises(NoRoomError, match=r"has \d+ characters, and this model's context holds"):
        says(["Hi"], template=template).generate(messages, options(shorten=False, **told))


@pytest.mark.parametrize("name", ["tools", "chat_template_kwargs"])
@pytest.mark.parametrize("depth", [600, 3000])
def test_what_is_nested_too_deeply_for_a_template_is_refused(says, name, depth):
    deep = reduce(lambda inner, _: [inner], range(depth), "x")
    told = ({"function": {"name": "f", "parameters": {"x": deep}}},) if name == "tools" else {"x": deep}
    with pytest.raises(PromptError, match="nested too deeply"):
        says(["Hi"]).generate(HELLO, options(**{name: told}))


def test_a_tool_may_have_nothing_to_say(model):
    call = {"type": "function", "function": {"name": "save", "arguments": "{}"}}
    asked = [{"role": "user", "content": "Save it."}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    model.generate([*asked, {"role": "tool", "content": ""}])


@pytest.mark.parametrize("token", [320, -1])
def test_a_token_that_the_model_does_not_have_is_refused(model, token):
    with pytest.raises(PromptError, match=f"has token {token}, and this model has none of that number"):
        model.generate([3, token, 5] if token > 0 else [token])


def test_the_oldest_turns_of_a_long_conversation_are_left_out(model):
    turn = "I play the guitar on weekends."
    messages = [{"role": ("user", "assistant")[i % 2], "content": f"{turn} {i}"} for i in range(21)]
    tokens = encode(model, messages, options())
    text = model.tokenizer.decode(tokens)
    assert len(tokens) <= model.context - 12
    assert f"{turn} 20" in text
    assert f"{turn} 0" not in text
    kept = [i for i in range(21) if f"{turn} {i}\n" in text]
    assert kept == list(range(kept[0], 21))
    assert messages[kept[0]]["role"] == "user"


def test_an_answer_can_be_continued_where_it_ends(model):
    question = {"role": "user", "content": "Do you like music?"}
    full = model.generate([question], options())
    list(full)
    begun = full.summary.text[: len(full.summary.text) // 2]
    messages = [question, {"role": "assistant", "content": begun}]
    asked, continued = encode(model, [question], options()), encode(model, messages, options())
    assert continued[: len(asked)] == asked
    assert model.tokenizer.decode(continued[len(asked) :]) == begun
    more = model.generate(messages, options(max_tokens=5))
    list(more)
    assert 0 < len(more.summary.tokens) <= 5


def test_a_continued_answer_in_a_long_conversation_keeps_its_question(model):
    turn = "I play the guitar on weekends."
    messages = [{"role": ("user", "assistant")[i % 2], "content": f"{turn} {i}"} for i in range(22)]
    text = model.tokenizer.decode(encode(model, messages, options()))
    assert text.endswith(f"{turn} 20\n{turn} 21")


def test_one_likeliest_token_is_greedy_whatever_the_temperature(model):
    greedy = model.generate("The weather", options())
    hot = model.generate("The weather", options(temperature=2.0, top_p=1.0, top_k=1))
    for generation in (greedy, hot):
        list(generation)
    assert hot.summary.tokens == greedy.summary.tokens


def test_more_likeliest_tokens_than_there_are_means_all(model):
    generation = model.generate("The weather", options(temperature=1.0, top_k=10**9))
    list(generation)
    assert generation.summary.tokens


def test_a_penalty_keeps_tokens_from_being_repeated(model):
    def distinct(penalty):
        generation = model.generate("The weather", options(max_tokens=30, repetition_penalty=penalty))
        list(generation)
        return len(set(generation.summary.tokens)) / len(generation.summary.tokens)

    assert distinct(50.0) > distinct(1.0)


@pytest.mark.parametrize(
    ("first", "second", "length"), [([], [1], 0), ([1, 2], [1, 2, 3], 2), ([1, 5], [1, 2], 1), ([4], [5], 0)]
)
def test_common_prefix(first, second, length):
    assert common_prefix(first, second) == length


def test_what_mlx_keeps_is_given_back_where_the_process_grew_beyond_the_budget(model, monkeypatch):
    cleared = []
    monkeypatch.setattr("engine.inference.model.mx.clear_cache", lambda: cleared.append(True))
    model.keep_within_budget(model.baseline_bytes + model.budget.ceiling)
    assert not cleared
    model.keep_within_budget(model.baseline_bytes + model.budget.ceiling + 1)
    assert cleared


# --------------------------------------------------------------------------------- what becomes of tokens
@pytest.fixture
def says(tmp_path):
    """A model that says certain pieces, a token each."""
    loaded = []

    def make(pieces, **changes):
        checkpoint = write_scripted(tmp_path / f"checkpoint-{len(loaded)}", pieces, **changes)
        prepare(checkpoint, tmp_path / f"model-{len(loaded)}", calibration=write_text(tmp_path / "text", 1))
        loaded.append(load(tmp_path / f"model-{len(loaded)}", Settings(selection="exact")))
        return loaded[-1]

    yield make
    for model in loaded:
        model.close()


HELLO = [{"role": "user", "content": "Hi"}]


def answer(model, messages=HELLO, **changes):
    generation = model.generate(messages, options(max_tokens=24, **changes))
    return "".join(piece.text for piece in generation), generation.summary


def test_special_tokens_are_no_text_and_the_templates_end_of_turn_ends_the_answer(says):
    model = says(["Hi", "<pad>", " there", "<s>", "!", "<|im_end|>", "\n", "<|im_start|>", "user"], then="user")
    assert answer(model)[0] == "Hi there!"


@pytest.mark.parametrize("ids", [{"eos_token_id": [2, 4]}, {"text_config": {"eos_token_id": 4}}])
def test_every_end_that_the_configs_name_ends_the_answer_and_is_no_text(says, ids):
    model = says(["Hi", "!", '"', "more"], config=ids)  # the sign is token 4, and no special one
    assert answer(model)[0] == "Hi!"


def test_a_row_of_the_vocabulary_that_no_token_has_is_never_sampled(says):
    model = says(["Hello", " there"], then="padding", padding=200)
    text, summary = answer(model)
    assert text.startswith("Hello there")
    assert all(token in model.tokenizer.ids for token in summary.tokens)


def test_an_answer_that_ends_within_a_character_ends_before_it_and_goes_on_with_it(says):
    model = says(["Look: ", b"\xf0", b"\x9f", b"\xa6", b"\x99", " done"])
    for most in range(1, 5):
        assert "".join(p.text for p in model.generate(HELLO, options(max_tokens=most))) == "Look: "
    assert answer(model)[0] == "Look: 🦙 done"


@pytest.mark.parametrize(
    ("pieces", "stop", "shown"),
    [
        (["ab", "c", "d"], ("cd",), ["ab", "", ""]),
        (["ab", "c", "e"], ("cd",), ["ab", "", "ce", ""]),
        (["a<", "b<", "/x>"], ("</x>",), ["a", "<b", ""]),
        (["xENDy", "z"], ("END", "z"), ["x"]),
    ],
)
def test_the_start_of_a_stop_string_is_held_back(says, pieces, stop, shown):
    assert [piece.text for piece in says(pieces).generate(HELLO, options(stop=stop))] == shown


# ---------------------------------------------------------------------------------------- templates that refuse
REFUSING = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}<|go|>"
)


@pytest.mark.parametrize(
    ("roles", "sent"),
    [
        ("su", "<|im_start|>user\ns0\n\nu1<|im_end|>\n<|go|>"),
        ("uu", "<|im_start|>user\nu0\n\nu1<|im_end|>\n<|go|>"),
        ("suu", "<|im_start|>user\ns0\n\nu1\n\nu2<|im_end|>\n<|go|>"),
        ("uaau", None),
        (
            "au",
            "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\na0<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n<|go|>",
        ),
    ],
)
def test_what_a_template_refuses_is_said_in_the_form_that_it_takes(says, roles, sent):
    model = says(["Hello", "!"], template=REFUSING)
    names = {"s": "system", "u": "user", "a": "assistant"}
    messages = [{"role": names[role], "content": f"{role}{i}"} for i, role in enumerate(roles)]
    assert answer(model, messages)[0] == "Hello!"
    if sent is not None:
        assert model.tokenizer.decode(encode(model, messages, options())) == sent


def test_a_template_that_fails_is_an_error_with_its_line_and_the_plain_format_goes_without_it(says):
    model = says(["Hello"], template=TEMPLATE)
    broken = ChatTemplate("\n{{ messages[0].content.nothing.more }}", "chat_template.jinja", {})
    model.tokenizer.template = broken
    with pytest.raises(TemplateError, match=r"line 2 of chat_template\.jinja") as caught:
        model.generate(HELLO)
    assert caught.value.line == 2
    plain = encode(model, HELLO, options(plain_format=True))
    assert model.tokenizer.decode(plain) == "Hi\n"


def test_an_answer_that_is_cancelled_while_its_template_renders_is_over(says):
    model = says(["Hello"])
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    model.tokenizer.template = ChatTemplate(loop, "chat_template.jinja", {})
    cancelled = threading.Event()
    timer = threading.Timer(0.1, cancelled.set)
    timer.start()
    generation = model.generate(HELLO, options(), cancelled)
    assert list(generation) == []
    assert generation.summary.finish_reason == "cancelled"
    timer.join()


def test_a_continued_answer_goes_on_in_the_templates_own_form(says):
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<out>{% endif %}"
        "{{ m.content | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>{% endif %}<|go|>"
    )
    model = says(["x"], template=template)
    tokens = encode(model, [*HELLO, {"role": "assistant", "content": "Well, "}], options())
    assert model.tokenizer.decode(tokens).endswith("<|im_start|>assistant\n<out>Well, ")


def test_a_text_that_no_context_holds_is_refused_before_it_is_read(says):
    model = says(["x"])
    for prompt in ("a " * 10**6, [{"role": "user", "content": "a " * 10**6}]):
        with pytest.raises(PromptError, match="Shorten it"):
            model.generate(prompt)


def test_halves_of_characters_in_a_prompt_are_replaced(says):
    model = says(["Hello"])
    assert answer(model, [{"role": "user", "content": "a\ud800b"}])[0] == "Hello"


# ------------------------------------------------------------------------------------------------- channels
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content is defined and loop.last %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}<|go|>{% endif %}"
)


def test_reasoning_is_apart_from_the_answer_and_counted_apart(says):
    model = says(["<think>", "Hm", " 2", "</think>", "\n", "Four", "!"], template=THINKING)
    generation = model.generate(HELLO, options(max_tokens=24))
    pieces = list(generation)
    summary = generation.summary
    assert [piece.text for piece in pieces] == ["", "", "", "", "", "Four", "!", ""]
    assert "".join(piece.reasoning for piece in pieces) == summary.reasoning == "Hm 2"
    assert summary.text == "Four!"
    assert summary.reasoning_tokens == 3
    assert len(summary.tokens) == 8
    assert summary.time_to_first_token_s < summary.time_to_first_answer_s


@pytest.mark.parametrize(("most", "reasoning"), [(0, ""), (1, "Hm"), (2, "Hm 2"), (9, "Hm 2 3")])
def test_reasoning_ends_after_so_many_tokens(says, most, reasoning):
    model = says(["<think>", "Hm", " 2", " 3", "</think>", "\n", "Four", "!"], template=THINKING)
    said, summary = answer(model, reasoning_tokens=most)
    assert (summary.reasoning, said, summary.finish_reason) == (reasoning, "Four!", "stop")


def test_reasoning_ends_after_so_many_tokens_before_an_answer_of_a_schema(says):
    model = says(["<think>", "Hm", " 2", " 3", "</think>", "\n", "Four", "!"], template=THINKING)
    said, summary = answer(model, reasoning_tokens=1, schema={"enum": ["so"]})
    assert (summary.reasoning, said) == ("Hm", '"so"')


def test_an_answer_goes_on_for_as_many_tokens_as_it_must(says):
    model = says(["Four", "!"])
    assert len(answer(model)[1].tokens) == 3
    for least in (3, 4, 9):
        summary = answer(model, min_tokens=least)[1]
        assert len(summary.tokens) >= least
        assert summary.text.startswith("Four!")
    assert answer(model, min_tokens=99)[1].finish_reason == "length"


def test_an_answer_of_a_schema_ends_where_it_must(says):
    assert answer(says(["Four", "!"]), schema={"enum": ["so"]}, min_tokens=20)[0] == '"so"'


def test_what_was_chosen_of_thinking_reaches_the_template(says):
    model = says(["<think>", "</think>", "x"], template=THINKING)

    def prompt(**chosen):
        return model.tokenizer.decode(encode(model, HELLO, options(**chosen)))

    assert "<think>" not in prompt() + prompt(enable_thinking=True)
    assert prompt(enable_thinking=False).endswith("<think>\n\n</think>\n\n<|go|>")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "thinking"])
def test_earlier_reasoning_is_sent_where_the_template_takes_it(says, name):
    model = says(["<think>", "</think>", "x"], template=THINKING)
    answered = [*HELLO, {"role": "assistant", "content": "Four", name: "2 + 2"}]
    assert "2 + 2" not in model.tokenizer.decode(encode(model, [*answered, *HELLO], options()))
    assert model.tokenizer.decode(encode(model, answered, options())).endswith("<think>2 + 2</think>Four")


def test_a_call_of_a_tool_is_no_prose(says):
    template = THINKING + "{# tool_call.name in <tool_call> #}"
    call = '{"name": "add", "arguments": {"a": 1}}'
    model = says(["Wait.", "<tool_call>", call, "</tool_call>"], template=template)
    text, summary = answer(model)
    assert text == "Wait."
    assert summary.tool_calls == [{"name": "add", "arguments": {"a": 1}}]


@pytest.mark.parametrize("several", [True, False])
def test_where_one_call_is_wanted_the_first_one_ends_the_answer(says, several):
    template = THINKING + "{# tool_call.name in <tool_call> #}"
    call = '{"name": "add", "arguments": {"a": 1}}'
    model = says(["Wait.", "<tool_call>", call, "</tool_call>", "Done."], template=template)
    text, summary = answer(model, parallel_calls=several)
    assert [call["arguments"]["a"] for call in summary.tool_calls] == [1]
    assert text == ("Wait.Done." if several else "Wait.")
    assert (summary.finish_reason, len(summary.tokens)) == ("stop", 6 if several else 4)


def test_biases_reach_the_answer_and_unknown_tokens_are_refused(model):
    first = answer(model, "Do you like music?")[1].tokens[0]
    assert first not in answer(model, "Do you like music?", logit_bias={first: -100})[1].tokens
    with pytest.raises(OptionError, match="logit_bias names token 320"):
        model.generate("Do you like music?", options(logit_bias={320: 1}))


def test_sampling_is_as_the_makers_advise_unless_it_is_chosen(says):
    model = says(["Hello", " there", "!"], generation={"do_sample": True, "temperature": 60.0, "top_k": 1})
    advised = model.generate(HELLO, GenerationOptions(max_tokens=8, seed=1))
    chosen = model.generate(HELLO, GenerationOptions(max_tokens=8, seed=1, top_k=0))
    list(advised), list(chosen)
    assert advised.summary.text == "Hello there!"
    assert chosen.summary.text != "Hello there!"


@pytest.mark.parametrize("selection", ["exact", "dense"])
def test_how_far_a_long_prompt_is_is_told_within_its_blocks(monkeypatch, selection):
    monkeypatch.setattr("engine.streaming.passes.FIRST_WORD_S", 0.0)
    monkeypatch.setattr("engine.streaming.passes.WORDS_S", 0.0)
    model = load("starter", Settings(selection=selection))
    told, cancelled = [], threading.Event()
    try:
        prompt = [5 + i % 200 for i in range(300)]
        answer = model.generate(prompt, GenerationOptions(max_tokens=2), None, told.append)
        assert list(answer)
        tokens = [each.tokens for each in told]
        assert tokens == sorted(tokens)
        assert {each.total for each in told} == {300}
        assert 0 == min(tokens) < 256 < max(tokens) < 300
        assert len(set(tokens)) > 3, "layer by layer, and not only block by block"
        assert all(each.seconds_left >= 0 for each in told)
        before = len(told)
        model.trim(0)

        def cancel(progress):
            told.append(progress)
            cancelled.set()

        assert list(model.generate(prompt[::-1], GenerationOptions(max_tokens=2), cancelled, cancel)) == []
        assert len(told) == before + 1, "it ends with the next layer"
        monkeypatch.setattr("engine.streaming.passes.FIRST_WORD_S", 60.0)
        list(model.generate(prompt, GenerationOptions(max_tokens=2), None, told.append))
        assert len(told) == before + 1, "of what is soon over nothing is told"
    finally:
        model.close()

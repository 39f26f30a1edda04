"""Prompts, sampling and stopping."""

import threading

import pytest

from engine.errors import PromptError
from engine.inference.load import load
from engine.settings import GenerationOptions, Settings
from engine.tokens.prompt import common_prefix, encode
from engine.tokens.stopping import StoppingText


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


def test_a_seed_repeats_an_answer_and_another_seed_does_not(model):
    def answer(seed):
        generation = model.generate("The weather", options(temperature=1.5, top_p=1.0, seed=seed))
        list(generation)
        return generation.summary.tokens

    assert answer(1) == answer(1)
    assert len({tuple(answer(seed)) for seed in range(4)}) > 1


def test_a_seed_repeats_an_answer_whatever_was_answered_before(tiny_model):
    """To the byte that is read, although hot neurons stay from answer to answer."""
    loaded = load(tiny_model, Settings(selection="predictor", window=2))

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


@pytest.mark.parametrize("token", [320, -1])
def test_a_token_that_the_model_does_not_have_is_refused(model, token):
    with pytest.raises(PromptError, match=f"was given token {token}: its tokenizer is another model's"):
        list(model.generate([3, token, 5] if token > 0 else [token]))


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


class Detokenizer:
    """Tokens are their own text."""

    def reset(self):
        self.last_segment = ""

    def add_token(self, token):
        self.last_segment = token

    def finalize(self):
        self.last_segment = ""


class Tokenizer:
    detokenizer = Detokenizer()


@pytest.mark.parametrize(
    ("tokens", "stop", "shown"),
    [
        (["ab", "c", "d"], ("cd",), ["ab", "", ""]),
        (["ab", "c", "e"], ("cd",), ["ab", "", "ce"]),
        (["a<", "b<", "/s>"], ("</s>",), ["a", "<b", ""]),
        (["x", "y"], (), ["x", "y"]),
        (["xENDy"], ("END",), ["x"]),
    ],
)
def test_the_start_of_a_stop_string_is_held_back(tokens, stop, shown):
    text, seen = StoppingText(Tokenizer, stop), []
    for i, token in enumerate(tokens):
        ended = text.add(token)
        seen.append(text.take(ended or i == len(tokens) - 1))
    assert seen == shown

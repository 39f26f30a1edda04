"""Several conversations in memory: found by what they begin with, and never wrong."""

import numpy as np
import pytest

from engine.inference.load import load
from engine.inference.states import arrays_of
from engine.planning.memory import Planner
from engine.settings import GenerationOptions, Settings
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY

MOE = ("qwen3_moe", "qwen3_next", "gpt_oss", "granitemoehybrid")
KINDS = ("tiny", *MOE)
LENGTH = 40  # tokens of each conversation's beginning


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_model):
    made = {kind: write_moe(tmp_path_factory.mktemp(kind) / "model", kind) for kind in MOE}
    for folder in made.values():
        write_tokenizer(folder, VOCABULARY)
    return made | {"tiny": tiny_model}


@pytest.fixture
def opened(folders):
    models = []

    def open_one(kind, **settings):
        models.append(load(folders[kind], Settings(**settings)))
        return models[-1]

    yield open_one
    for model in models:
        model.close()


def tokens_of(conversation: int, length: int = LENGTH) -> list[int]:
    random = np.random.default_rng(conversation)
    return [int(token) for token in random.integers(3, 60, length)]


def scores(model, prompt: list[int], following: list[int] = ()) -> tuple[int, np.ndarray]:
    """The tokens that were in the context, and the logits of a prompt's last token and of those that follow."""
    kept = model.recall(prompt).tokens
    found = [np.array(model.prefill(prompt[kept:])[0][0, -1])]
    found += [np.array(model.decode(token)[0][0, -1]) for token in following]
    return kept, np.stack(found)


@pytest.mark.parametrize("kind", KINDS)
def test_switching_between_conversations_computes_neither_again(opened, kind):
    model = opened(kind, selection="exact")
    first, second, answer = tokens_of(1), tokens_of(2), tokens_of(3, 5)
    scores(model, first, answer)
    assert scores(model, second, answer)[0] == 0
    for conversation in (first, second, first):
        going_on = [*conversation, *answer, 7, 8]
        kept, found = scores(model, going_on)
        assert kept >= len(conversation) + len(answer)
        fresh = opened(kind, selection="exact")
        expected = scores(fresh, going_on)[1]
        np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_branch_leaves_what_it_branched_off_as_it_was(opened, kind):
    model = opened(kind, selection="exact")
    question, answer, other = tokens_of(1, 12), tokens_of(2), tokens_of(3)
    scores(model, question, answer)
    kept, found = scores(model, [*question, *other])  # another answer to the same question
    assert kept >= len(question) - 1
    np.testing.assert_allclose(found, scores(opened(kind, selection="exact"), [*question, *other])[1], atol=2e-4)
    kept, found = scores(model, [*question, *answer, 7])
    assert kept == len(question) + len(answer)
    np.testing.assert_allclose(found, scores(opened(kind, selection="exact"), [*question, *answer, 7])[1], atol=2e-4)


def smallest_budget(model) -> int:
    return model.outlook.smallest_budget(Settings())


def test_the_least_recently_used_is_let_go_when_room_is_short(opened):
    model = opened("qwen3_moe")
    conversations = [tokens_of(number) for number in range(4)]
    for conversation in conversations[:2]:
        scores(model, conversation)
    room = 2.5 * model.contexts.bytes_aside
    budget = smallest_budget(model)
    while Planner.of(model.outlook.sizes, Settings(memory_budget=budget)).plan(0).kept_room < room:
        budget += 20_000
    model = opened("qwen3_moe", memory_budget=budget)
    for number in (0, 1, 2, 0, 3):
        scores(model, conversations[number])
    assert 0 < model.contexts.bytes_aside == model.budget.items["kept_contexts"] <= 1.1 * room
    assert [model.recall(conversations[number]).tokens for number in (3, 0, 1)] == [LENGTH - 1, LENGTH - 1, 0]


def test_without_room_an_answer_is_computed_in_the_place_of_another(opened):
    model = opened("qwen3_moe", memory_budget=smallest_budget(opened("qwen3_moe")))
    question, answer = tokens_of(1), tokens_of(2)
    scores(model, [*question, *answer])
    assert scores(model, [*question, *tokens_of(3)])[0] == LENGTH
    assert scores(model, [*question, *answer])[0] == LENGTH
    assert model.contexts.bytes_aside == 0


def test_what_was_given_up_is_not_found_again(opened):
    model = opened("qwen3_moe")
    for number in range(3):
        scores(model, tokens_of(number))
    model.forget()
    assert [model.recall(tokens_of(number)).tokens for number in range(3)] == [0, 0, 0]


@pytest.mark.parametrize("kind", ["tiny", "qwen3_next"])
def test_a_conversation_is_given_up_with_its_memory_wherever_it_is(opened, kind):
    def remembered(model, conversation, number):
        model.recall(tokens_of(number), conversation=conversation)
        model.prefill(tokens_of(number)[len(model.cached_tokens) :])

    model = opened(kind)
    fresh = sum(array.nbytes for array in arrays_of(model.caches))
    for number, name in enumerate("abc"):
        remembered(model, name, number)
    before = model.contexts.bytes_aside
    model.forget_conversation("a")
    assert before > model.contexts.bytes_aside == model.budget.items["kept_contexts"] > 0
    model.forget_conversation("c")  # the present one
    assert not model.cached_tokens
    assert sum(array.nbytes for array in arrays_of(model.caches)) == fresh
    assert [model.recall(tokens_of(number)).tokens for number in (0, 2, 1)] == [0, 0, LENGTH - 1]


# ------------------------------------------------------------------------------------------------------------ seeds
def answered(model, prompt: list[int], seed: int | None):
    options = GenerationOptions(max_tokens=8, temperature=1.5, top_p=1.0, seed=seed)
    generation = model.generate(prompt, options)
    list(generation)
    return generation.summary


@pytest.mark.parametrize(("kind", "selection"), [("tiny", "exact"), *((kind, "predictor") for kind in KINDS)])
def test_a_seeded_conversation_is_repeated_whatever_came_between(opened, kind, selection):
    question, more = tokens_of(1), tokens_of(2, 4)

    def conversation(model):
        first = answered(model, question, 5)
        second = answered(model, [*question, *first.tokens, *more], 6)
        return first.tokens, second.tokens, second.cached_tokens

    expected = conversation(opened(kind, selection=selection, window=2))
    assert expected[2] >= LENGTH + 7, "of the second turn only what is new is computed"
    model = opened(kind, selection=selection, window=2)
    answered(model, tokens_of(3), None)
    answered(model, question, None)  # computed otherwise, and not gone on from
    assert conversation(model) == expected
    answered(model, [*question, *expected[0], *more], None)
    assert conversation(model) == expected  # regenerated
    answered(model, tokens_of(4), 5)
    assert conversation(model)[:2] == expected[:2]


def test_a_seeded_answer_does_not_go_on_from_what_was_computed_otherwise(opened):
    model = opened("tiny")
    first = answered(model, tokens_of(1), None)
    turn = [*tokens_of(1), *first.tokens, 5, 6, 7]
    second = answered(model, turn, 3)
    assert second.cached_tokens == 0
    assert answered(opened("tiny"), turn, 3).tokens == second.tokens


# ---------------------------------------------------------------------------------------------- shared beginnings
SYSTEM = {"role": "system", "content": "You are careful, and you say so. " * 12}


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("kind", MOE)
def test_a_conversation_with_another_ones_system_message_computes_only_the_rest(opened, kind, seed):
    model = opened(kind, memory_budget=10**9)
    chosen = GenerationOptions(max_tokens=6, temperature=1.5 if seed else 0.0, top_p=1.0, seed=seed)

    def asked(model, question):
        generation = model.generate([SYSTEM, {"role": "user", "content": question}], chosen)
        list(generation)
        return generation.summary

    first, second = asked(model, "Where is it?"), asked(model, "How many?")
    beginning = len(model.tokenizer.encode(SYSTEM["content"]))
    assert first.cached_tokens == 0
    assert beginning - 2 <= second.cached_tokens < second.prompt_tokens
    assert second.prompt_tokens - second.cached_tokens < 20
    assert asked(opened(kind, memory_budget=10**9), "How many?").tokens == second.tokens


def test_a_snapshot_where_others_branch_off_stays(opened):
    model = opened("qwen3_next", memory_budget=10**9)
    model.recall(tokens_of(1, 300), branch=70)
    model.prefill(tokens_of(1, 300), branch=70)
    for number in range(2, 9):
        kept = model.recall([*model.cached_tokens, *tokens_of(number, 20)]).tokens
        model.prefill([*model.cached_tokens, *tokens_of(number, 20)][kept:])
    assert model.recall([*tokens_of(1, 80), 9]).tokens == 70

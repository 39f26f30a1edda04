"""All bundles are read while the model is loaded where every one has room: no answer then reads."""

import numpy as np
import pytest

from engine.errors import BudgetError, CancelledError
from engine.inference.evaluate import evaluate
from engine.inference.load import load
from engine.planning.outlook import Outlook
from engine.settings import GenerationOptions, Settings
from engine.store.installed import open_stored
from engine.tokens.corpus import Sequence
from tests.helpers.mlx_models import write_moe

TOKENS = np.random.default_rng(1).integers(3, 320, size=40).tolist()
PROMPT = 24
ROOMY = 400_000_000  # bytes, in which the tiny models have room


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    return write_moe(tmp_path_factory.mktemp("moe") / "model")


@pytest.fixture(params=["predictor", "exact", "dense", "experts"])
def case(request, tiny_model):
    """A folder, and how it is loaded."""
    if request.param == "experts":
        return request.getfixturevalue("experts"), {}
    return tiny_model, {"selection": request.param}


def answer(model) -> tuple[np.ndarray, list]:
    """Logits of the prompt's last token and of every token after it, and their passes."""
    steps = [model.prefill(TOKENS[:PROMPT]), *(model.decode(token) for token in TOKENS[PROMPT:])]
    return np.stack([np.array(logits[0, -1]) for logits, _ in steps]), [each for _, each in steps]


def answered(folder, **settings):
    model = load(folder, Settings(**settings))
    try:
        return answer(model)
    finally:
        model.close()


def test_no_answer_reads(case):
    folder, settings = case
    told = []
    model = load(folder, Settings(memory_budget=ROOMY, read_at_once=True, **settings),
                 lambda share, stage="preparing": told.append((stage, share)))  # fmt: skip
    try:
        layers = len(model.streaming.layers)
        assert told == [("reading", (number + 1) / layers) for number in range(layers)]
        for layer in model.streaming.layers:
            whole = np.concatenate([part.view.copy() for part in layer.stream()])
            assert np.array_equal(np.sort(layer.pool.pointer), np.arange(layer.source.bundles))
            assert np.array_equal(whole, layer.pool.view)
        _, passes = answer(model)
        assert sum(each.bytes_read + each.reads for each in passes) == 0
        assert not any(any(each.loaded) for each in passes)
        assert all(each.resident == [layer.source.bundles for layer in model.streaming.layers] for each in passes)
    finally:
        model.close()


def test_the_logits_are_those_of_what_is_read_when_it_is_needed(case):
    folder, settings = case
    at_once, _ = answered(folder, memory_budget=ROOMY, read_at_once=True, **settings)
    when_needed, _ = answered(folder, memory_budget=ROOMY, **settings)
    bound = 0.2 if settings.get("selection") == "predictor" else 1e-4  # what is beside the predicted ones counts there
    assert np.abs(at_once - when_needed).max() <= bound * (when_needed.max() - when_needed.min())


def test_without_a_wish_for_it_or_without_room_or_a_window_nothing_is_read_yet(case):
    folder, settings = case
    smallest = Outlook.of(open_stored(folder), None).smallest_budget(Settings(**settings))
    for others in ({"memory_budget": ROOMY}, {"memory_budget": smallest, "read_at_once": True},
                   {"memory_budget": ROOMY, "window": 0, "read_at_once": True},
                   {"memory_budget": ROOMY, "hot_neurons": False, "read_at_once": True}):  # fmt: skip
        model = load(folder, Settings(**settings, **others))
        try:
            assert not any(layer.filled or layer.pool.num_used for layer in model.streaming.layers)
            assert np.isfinite(answer(model)[0]).all()
        finally:
            model.close()


def test_it_can_be_stopped_and_loaded_again(case):
    folder, settings = case

    def stop(share, stage="preparing"):
        raise CancelledError("Stopped.")

    wanted = Settings(memory_budget=ROOMY, read_at_once=True, **settings)
    with pytest.raises(CancelledError):
        load(folder, wanted, stop)
    model = load(folder, wanted)
    try:
        assert sum(each.bytes_read for each in answer(model)[1]) == 0
    finally:
        model.close()


def test_what_is_here_for_good_stays_when_the_past_is_forgotten(tiny_model):
    model = load(tiny_model, Settings(memory_budget=ROOMY, read_at_once=True))
    try:
        answers = []
        for _ in range(2):
            generation = model.generate("The weather", GenerationOptions(max_tokens=8, seed=3))
            answers.append([(piece.token, piece.statistics.reads) for piece in generation])
        assert answers[0] == answers[1]
        assert not any(reads for _, reads in answers[0])
    finally:
        model.close()


@pytest.mark.parametrize("selection", ["exact", "dense"])
def test_after_half_of_it_is_given_back_the_rest_is_read_when_it_is_needed(tiny_model, selection):
    expected = evaluated(tiny_model, selection, give_back=False)
    assert np.abs(evaluated(tiny_model, selection, give_back=True) - expected).max() <= 1e-3 * np.ptp(expected)


def evaluated(folder, selection, give_back) -> np.ndarray:
    model = load(folder, Settings(selection=selection, memory_budget=ROOMY, read_at_once=True))
    try:
        if give_back:
            for _ in range(8):  # the first parts come from what computing has beyond its needs
                model.give_back()
            assert not any(layer.filled for layer in model.streaming.layers)
        result, logits = evaluate(model, [Sequence(TOKENS, 0)], keep_logits=True)[:2]
        assert (result.bytes_read > 0) == give_back
        return logits
    finally:
        model.close()


def test_too_small_a_budget_is_still_refused(experts):
    with pytest.raises(BudgetError):
        load(experts, Settings(memory_budget=1, read_at_once=True))

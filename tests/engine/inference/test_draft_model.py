"""A small model that drafts: it changes nothing that is said, follows the large one, and goes where it has no room."""

import shutil
from contextlib import closing
from dataclasses import replace
from threading import Event

import mlx.core as mx
import numpy as np
import pytest

from engine.errors import CancelledError, ReadError
from engine.inference.checkpoint import CheckpointExecution
from engine.inference.decoding import Decoding
from engine.inference.draft_model import DraftModel
from engine.inference.drafts import Answer
from engine.inference.load import load
from engine.inference.prepared import PreparedExecution
from engine.inference.sampling import Sampling, sampler
from engine.planning.memory import Planner
from engine.planning.outlook import Outlook
from engine.settings import NEUTRAL_SAMPLING, OUR_SAMPLING, GenerationOptions, Settings
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.system.folders import models_folder
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.dense_models import write_dense

PROMPT, ANSWER = [int(t) for t in np.random.default_rng(1).integers(0, 300, 40)], 24
LIKELIEST = Sampling(**{**OUR_SAMPLING, "temperature": 0.0})
LIVELY = Sampling(**{**NEUTRAL_SAMPLING, "temperature": 1.5, "top_p": 0.95, "repetition_penalty": 1.2})
KINDS = ("llama", "gemma3_text", "lfm2")  # whose caches are trimmed, rotate, or are recurrent


class Always:
    """So many drafts of a drafter for each pass, whatever was measured."""

    def __init__(self, drafter, count):
        self._drafter, self._count = drafter, count

    @property
    def source(self):
        return self._drafter.name

    def begin(self, answer):
        self._drafter.begin(answer)

    def after(self, known, most, certain=()):
        if self._drafter.kind_after(known) is None:
            return []
        if self._drafter.catching_up_s(known):
            self._drafter.catch_up(known)
        return self._drafter.draft(known, min(self._count, most))

    def verified(self, passed, decided, seconds, drafting_s, waited_s):
        pass


def draft_model(folder, rows=512):
    execution = CheckpointExecution(MlxFolder.open(folder))
    draft = DraftModel(execution, Planner.whole(execution.sizes, Settings()))
    draft.resize(rows)
    return draft


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A model of each kind, and the first with other weights."""
    folder = tmp_path_factory.mktemp("models")
    made = {kind: write_dense(folder / kind, kind, form=None, dtype=mx.float32) for kind in KINDS}
    weights = mx.load(str(made["llama"] / "model.safetensors"))
    made["noised"] = shutil.copytree(made["llama"], folder / "noised")
    noised = {name: w + 0.3 * mx.std(w) * mx.random.normal(w.shape, key=mx.random.key(3)) if w.ndim > 1 else w
              for name, w in weights.items()}  # fmt: skip
    mx.save_safetensors(str(made["noised"] / "model.safetensors"), noised)
    return made


@pytest.fixture(scope="module")
def model(folders):
    loaded = load(folders["llama"], Settings(draft_model="none"))
    yield loaded
    loaded.close()


def answer(model, drafts, sampling, seed=3, ends=()):
    model.forget()
    sample = sampler(sampling, model.vocabulary, range(model.vocabulary), seed)
    decoding = Decoding(model, sample, drafts, ends)
    return [each.token for each in decoding.tokens(*model.prefill(PROMPT), ANSWER)], decoding


@pytest.mark.parametrize("sampling", [LIKELIEST, LIVELY], ids=["greedy", "seeded"])
@pytest.mark.parametrize("kind", [*KINDS, "noised"])
def test_an_answer_with_a_draft_model_is_the_one_without(model, folders, kind, sampling):
    plain, _ = answer(model, Always(draft := draft_model(folders[kind]), 0), sampling)
    for count in (1, 4):
        found, decoding = answer(model, Always(draft, count), sampling)
        assert found == plain
        assert decoding.drafters == {kind: (decoding.drafted, decoding.accepted)}
        if kind == "llama":
            assert decoding.accepted == decoding.drafted
    draft.close()


def test_a_model_that_is_nearly_the_same_is_mostly_right(model, folders):
    draft = draft_model(folders["noised"])
    _, decoding = answer(model, Always(draft, 3), LIVELY)
    draft.close()
    assert 0.2 * decoding.drafted < decoding.accepted < decoding.drafted


def test_neurons_draft_as_well(tiny_model):
    loaded = load(tiny_model, Settings(selection="exact", draft_model="none"))
    execution = PreparedExecution(PreparedModel.open(tiny_model))
    draft = DraftModel(execution, Planner.whole(execution.sizes, Settings(selection="exact")))
    plain, _ = answer(loaded, Always(draft, 0), LIVELY)
    found, decoding = answer(loaded, Always(draft, 3), LIVELY)
    draft.close()
    loaded.close()
    assert found == plain
    assert decoding.accepted > 0.5 * decoding.drafted


@pytest.mark.parametrize("kind", KINDS)
def test_its_context_follows_what_is_known(folders, kind):
    """The drafts are those of a context that was made anew, however the text went on."""
    draft, fresh = draft_model(folders[kind]), draft_model(folders[kind])
    known, numbers = list(PROMPT), np.random.default_rng(2)
    begin = Answer(sampler(LIKELIEST, 320, range(320)), 320)
    draft.begin(begin)
    for _ in range(8):
        drafts = draft.draft(known, 4)
        fresh.begin(begin)
        fresh.draft([5, *known[:2]], 1)
        fresh.begin(begin)
        assert drafts == fresh.draft(known, 4)
        right = int(numbers.integers(0, 5))
        known += [*drafts[:right], int(numbers.integers(0, 300))]
    draft.close()
    fresh.close()


def test_it_says_nothing_of_what_it_has_no_room_or_no_token_for(folders):
    draft = draft_model(folders["llama"], rows=41)
    draft.begin(Answer(sampler(LIKELIEST, 320, range(320)), 320))
    assert draft.kind_after(PROMPT) is not None
    assert len(draft.draft(PROMPT, 4)) == 2  # the last of which is not computed
    assert draft.kind_after([*PROMPT, 1, 2]) is None
    assert draft.kind_after([1, 2, 4000]) is None
    draft.close()
    assert draft.kind_after(PROMPT) is None
    assert draft.draft(PROMPT, 4) == []


def test_it_stops_when_the_answer_does_and_goes_on_with_the_next(folders):
    draft, stop = draft_model(folders["llama"]), Event()
    draw = sampler(LIKELIEST, 320, range(320))
    draft.begin(Answer(draw, 320, cancelled=stop))
    stop.set()
    with pytest.raises(CancelledError):
        draft.draft(PROMPT, 4)
    draft.begin(Answer(draw, 320))
    whole = draft.draft(PROMPT, 4)
    draft.begin(Answer(draw, 320, ends={whole[1]}))
    assert draft.draft(PROMPT, 4) == whole[: whole.index(whole[1]) + 1]  # nothing beyond an end
    draft.close()


@pytest.mark.parametrize("vocabulary", [300, 350])
def test_more_rows_than_the_large_model_has_are_cut_off_and_fewer_never_drawn(folders, vocabulary):
    draft, seen = draft_model(folders["llama"]), []
    draft.begin(Answer(lambda logits, before: seen.append(logits) or 7, vocabulary))
    draft.draft(PROMPT, 1)
    draft.close()
    assert seen[0].shape == (1, vocabulary)
    assert mx.all(seen[0][0, 320:] == -mx.inf)
    assert mx.all(mx.isfinite(seen[0][0, :300]))


# ------------------------------------------------------------------------------------------- beside a large model
@pytest.fixture(scope="module")
def family(folders, tmp_path_factory):
    """A large model and a small one with the same tokens, and one with others."""
    folder = tmp_path_factory.mktemp("family")
    large = shutil.copytree(folders["llama"], folder / "large")
    small = shutil.copytree(folders["noised"], folder / "small")
    other = shutil.copytree(folders["noised"], folder / "other")
    for each, tokens in ((large, 320), (small, 320), (other, 310)):
        write_tokenizer(each, tokens)
    return large, small, other


def asked(model, **changes):
    generation = model.generate("Do you like music?", GenerationOptions(max_tokens=20, seed=5, **changes))
    text = "".join(piece.text for piece in generation)
    return text, generation.summary


def test_a_model_is_loaded_with_the_one_that_is_named_within_its_budget(family):
    large, small, _ = family
    sizes = Outlook.of(MlxFolder.open(large), None)
    budget = sizes.full_budget(Settings()) + 50_000_000
    loaded = load(large, Settings(memory_budget=budget, draft_model=str(small)))
    alone = load(large, Settings(memory_budget=budget, draft_model="none"))
    item = loaded.budget.items["draft_model"]
    assert loaded.draft_model.name == "small"
    assert item > MlxFolder.open(small).bytes
    assert loaded.budget.total <= budget
    assert "draft_model" not in alone.budget.items
    assert asked(loaded)[0] == asked(alone)[0]
    assert asked(loaded, temperature=0.0)[0] == asked(alone, temperature=0.0)[0]
    loaded.reserve(300)
    assert loaded.budget.items["draft_model"] > item  # its context grows with the other
    loaded.close()
    alone.close()


def test_a_model_with_other_tokens_does_not_draft_and_it_is_said_why(family):
    large, _, other = family
    loaded = load(large, Settings(draft_model=str(other)))
    assert loaded.draft_model is None
    assert loaded.drafting.reason.startswith("None: other has other tokens.")
    loaded.close()


def test_it_is_left_out_where_the_budget_has_no_room_and_goes_before_the_context_is_too_short(family):
    large, small, _ = family
    sizes, settings = Outlook.of(MlxFolder.open(large), None), Settings(draft_model=str(small))
    smallest = sizes.smallest_budget(Settings())
    loaded = load(large, replace(settings, memory_budget=smallest))
    assert loaded.draft_model is None
    loaded.close()
    drafting = load(large, replace(settings, memory_budget=sizes.full_budget(Settings()) + 50_000_000))
    longest, item = drafting.context, drafting.budget.items["draft_model"]
    drafting.set_budget(smallest + item // 2)
    assert "draft_model" not in drafting.budget.items
    assert drafting.draft_model is None
    assert drafting.context <= longest
    assert asked(drafting)[1].drafted == 0 or "small" not in asked(drafting)[1].drafters
    drafting.close()


def test_it_goes_once_the_memory_that_it_holds_has_cost_more_than_it_brings(family):
    large, small, _ = family
    outlook, settings = Outlook.of(MlxFolder.open(large), None), Settings(draft_model=str(small), context=256)
    loaded = load(large, replace(settings, memory_budget=outlook.full_budget(Settings()) + 50_000_000))
    assert loaded.draft_model.room_share == 0  # all of the large one is in memory as well
    room = loaded.budget.items["draft_model"]
    loaded.close()
    smallest = outlook.smallest_budget(Settings(context=256))
    loaded = load(large, replace(settings, memory_budget=smallest + room + 200_000))
    assert 0 < loaded.draft_model.room_share <= 1
    pool = loaded.budget.items["pool"]
    for _ in range(3):
        loaded.drafts.verified(1, [7], 1.0, 0.0, 0.1)
        loaded.keep_within_budget(0)
    assert loaded.draft_model is not None
    for _ in range(10):
        loaded.drafts.verified(1, [7], 1.0, 0.0, 0.1)
        loaded.keep_within_budget(0)
    assert loaded.draft_model is None
    assert loaded.budget.items["pool"] > pool
    loaded.close()


@pytest.fixture
def scarce(family):
    """A large model in a budget that has room for the draft model, though not for all of both."""
    large, small, _ = family
    settings = Settings(draft_model=str(small), context=512)
    outlook = Outlook.of(MlxFolder.open(large), None)
    roomy = load(large, replace(settings, memory_budget=outlook.full_budget(settings) + 50_000_000))
    room = roomy.budget.items["draft_model"]
    roomy.close()
    loaded = load(large, replace(settings, memory_budget=outlook.smallest_budget(settings) + room + 200_000))
    yield loaded
    loaded.close()


def lose(model):
    """Passes of a second that wait for flash, as long as the draft model stays."""
    recover(model, 5)
    for _ in range(500):
        model.drafts.verified(1, [7], 1.0, 0.0, 1.0)
        model.keep_within_budget(0)
        if model.draft_model is None:
            return


def recover(model, passes=200):
    """Passes of a second that wait for nothing."""
    for _ in range(passes):
        model.drafts.verified(1, [7], 1.0, 0.0, 0.0)


def test_it_comes_again_with_an_answer_once_the_account_allows_that(family, scarce):
    with closing(load(family[0], Settings(draft_model="none"))) as alone:
        said = asked(alone, temperature=0.0)[0]
    held = scarce.budget
    lose(scarce)
    assert scarce.draft_model is None
    assert "draft_model" not in scarce.budget.items
    assert scarce.outlook.draft is None
    assert asked(scarce, temperature=0.0)[0] == said
    assert scarce.draft_model is None  # nothing is repaid
    recover(scarce)
    scarce.keep_within_budget(0)
    assert scarce.draft_model is None  # no answer has begun
    assert asked(scarce, temperature=0.0)[0] == said
    assert scarce.draft_model.name == "small"
    assert scarce.budget == held
    assert scarce.outlook.draft is not None
    lose(scarce)
    assert scarce.draft_model is None


def test_it_goes_for_a_long_conversation_and_comes_again_with_the_next(scarce):
    long = [int(token) for token in np.random.default_rng(2).integers(5, 300, 500)]
    for _ in scarce.generate(long, GenerationOptions(max_tokens=4)):
        pass
    assert scarce.draft_model is None
    recover(scarce)
    assert asked(scarce)[1].prompt_tokens < 100
    assert scarce.draft_model.name == "small"
    assert scarce.budget.total <= scarce.settings.memory_budget


def test_one_that_fails_gives_its_room_and_stays_away(scarce, monkeypatch):
    def fail(*_):
        raise ReadError("the disk is gone")

    monkeypatch.setattr(CheckpointExecution, "compute", fail)
    assert scarce.draft_model.draft([5, 6, 7], 2) == []
    monkeypatch.undo()
    assert scarce.draft_model is None
    scarce.keep_within_budget(0)
    assert "draft_model" not in scarce.budget.items
    asked(scarce)
    assert scarce.draft_model is None


def test_one_that_cannot_be_loaded_again_leaves_its_room_to_the_large_one(scarce, monkeypatch):
    lose(scarce)
    held = scarce.budget
    recover(scarce)

    def fail(*_):
        raise ReadError("the disk is gone")

    monkeypatch.setattr(CheckpointExecution, "install", fail)
    assert asked(scarce)[0]
    assert scarce.budget == held
    monkeypatch.undo()
    asked(scarce)
    assert scarce.draft_model is None


@pytest.mark.parametrize("named", [True, False])
def test_another_budget_holds_what_loading_with_it_would(home, family, named):
    large, small, _ = family
    if not named:
        shutil.copytree(small, models_folder() / "small")
    settings = Settings(draft_model=str(small) if named else "auto", context=512)
    outlook = Outlook.of(MlxFolder.open(large), None)
    low, high = outlook.smallest_budget(settings), outlook.full_budget(settings) + 20_000_000
    budgets = [low + (high - low) * i // 8 for i in (8, 3, 8, 0, 6, 1, 7, 2, 4, 8)]
    loaded = load(large, replace(settings, memory_budget=budgets[0]))
    assert loaded.draft_model is not None or not named
    for budget in budgets:
        loaded.set_budget(budget)
        recover(loaded)
        loaded.keep_within_budget(0)
        with closing(load(large, replace(settings, memory_budget=budget))) as fresh:
            assert loaded.budget == fresh.budget
            assert (loaded.draft_model is None) == (fresh.draft_model is None)
    loaded.close()


def test_the_full_budget_holds_all_of_both(family):
    large, small, _ = family
    settings = Settings(draft_model=str(small), context=512)
    alone = Outlook.of(MlxFolder.open(large), None)
    loaded = load(large, replace(settings, memory_budget=alone.full_budget(settings) + 50_000_000))
    full = loaded.outlook.full_budget(settings)
    assert full >= alone.full_budget(settings) + loaded.budget.items["draft_model"]
    loaded.set_budget(full)
    assert loaded.draft_model.room_share == 0
    assert loaded.budget.capacities == tuple(demand.bundles for demand in loaded.budget.demands)
    loaded.close()


def test_what_is_forecast_is_what_is_held_with_it_and_once_it_is_gone(family):
    large, small, _ = family
    settings = Settings(draft_model=str(small), context=256)
    outlook = Outlook.of(MlxFolder.open(large), None)
    settings = replace(settings, memory_budget=outlook.full_budget(settings) + 50_000_000)
    loaded = load(large, settings)
    assert loaded.budget.items["draft_model"] > 0
    assert loaded.outlook.plan(settings, 256).items == loaded.budget.items
    loaded.draft_model.close()
    loaded.keep_within_budget(0)
    assert loaded.outlook.draft is None
    assert "draft_model" not in loaded.outlook.plan(settings).items
    loaded.close()

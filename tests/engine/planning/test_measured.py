"""Each answer's measurement brings the next forecast of that model on this machine nearer to it."""

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.flash.profile import profile_path, usual_profile
from engine.inference.load import load
from engine.planning.measured import MAX_FACTOR, MAX_TOKENS, UNMEASURED, Measured, factor
from engine.planning.outlook import Outlook
from engine.settings import GenerationOptions, Settings
from engine.store.mlx_folder import MlxFolder
from engine.system.folders import models_folder
from tests.helpers.checkpoints import write_tokenizer
from tests.helpers.mlx_models import write_moe
from tests.helpers.moe_configs import VOCABULARY

PROFILE = usual_profile()
PARTS = ("io_ms", "memory_ms", "compute_ms")


@pytest.fixture(scope="module")
def moe(tmp_path_factory):
    folder = write_moe(tmp_path_factory.mktemp("moe") / "qwen", num_experts=32)
    write_tokenizer(folder, VOCABULARY)
    return folder


@pytest.fixture
def outlook(moe):
    return Outlook.of(MlxFolder.open(moe), PROFILE)


def half(outlook):
    """Settings with room for half of the experts."""
    smallest, full = outlook.smallest_budget(Settings()), outlook.full_budget(Settings())
    return Settings(memory_budget=(smallest + full) // 2)


def cost(prediction, **changes):
    found = {name: getattr(prediction, name) for name in (*PARTS, "hit_rate")}
    return found | changes


def test_what_was_measured_is_what_is_forecast(outlook):
    settings = half(outlook)
    plain = outlook.predict(settings)
    hits = 1 - 0.5 * (1 - plain.hit_rate)
    told = cost(plain, hit_rate=hits, io_ms=3 * plain.io_ms, compute_ms=plain.compute_ms / 2)
    after = outlook.after(settings, told, 100).predict(settings)
    assert after.hit_rate == pytest.approx(hits)
    for name in PARTS:
        assert getattr(after, name) == pytest.approx(told[name])


def test_it_helps_with_another_budget_as_well(outlook):
    settings = half(outlook)
    smaller = Settings(memory_budget=outlook.smallest_budget(Settings()))
    told = cost(outlook.predict(settings), compute_ms=3 * outlook.predict(settings).compute_ms)
    after = outlook.after(settings, told, 100).predict(smaller)
    assert after.compute_ms == pytest.approx(3 * outlook.predict(smaller).compute_ms)
    assert after.hit_rate == pytest.approx(outlook.predict(smaller).hit_rate)


def test_answer_by_answer_it_comes_nearer(outlook):
    settings = half(outlook)
    plain = outlook.predict(settings)
    found = outlook.after(settings, cost(plain, compute_ms=5 * plain.compute_ms), 50)
    distances = []
    for _ in range(6):
        found = found.after(settings, cost(plain, compute_ms=2 * plain.compute_ms), 100)
        distances.append(found.predict(settings).compute_ms - 2 * plain.compute_ms)
    assert distances == sorted(distances, reverse=True)
    assert 0 < distances[-1] < 0.4 * plain.compute_ms


@pytest.mark.parametrize("tokens", [0, 3])
def test_a_few_tokens_teach_nothing(outlook, tokens):
    settings = half(outlook)
    assert outlook.after(settings, cost(outlook.predict(settings), compute_ms=9e9), tokens) is outlook
    assert outlook.after(settings, {}, 100) is outlook


def test_a_drive_that_is_measured_anew_begins_anew(outlook, moe):
    settings = half(outlook)
    learned = outlook.after(settings, cost(outlook.predict(settings), compute_ms=1e4), 100)
    learned.measured.save(moe)
    assert Measured.load(moe, PROFILE) == learned.measured
    assert Outlook.of(MlxFolder.open(moe), PROFILE).predict(settings) == learned.predict(settings)
    other = replace(PROFILE, measured="later")
    assert Measured.load(moe, other) == UNMEASURED
    assert Measured.load(moe, None) == UNMEASURED
    assert replace(learned, profile=other).predict(settings) == outlook.predict(settings)


def test_it_is_the_content_s_wherever_it_lies(moe, tmp_path):
    Measured(PROFILE.measured, 10, misses=2.0).save(moe)
    copy = shutil.copytree(moe, tmp_path / "copy", copy_function=shutil.copy2)
    assert Measured.load(copy, PROFILE).misses == 2.0
    (copy / "config.json").write_text("{}")
    assert Measured.load(copy, PROFILE) == UNMEASURED
    assert Measured.load(tmp_path / "nowhere", PROFILE) == UNMEASURED


def test_in_the_hub_s_cache_it_goes_by_the_hashes(moe, tmp_path):
    for snapshot in ("one", "two"):
        (tmp_path / snapshot).mkdir()
        for path in moe.iterdir():
            blob = tmp_path / f"blobs-{snapshot}" / f"hash-of-{path.name}"
            blob.parent.mkdir(exist_ok=True)
            shutil.copy(path, blob)  # at another time
            (tmp_path / snapshot / path.name).symlink_to(blob)
    Measured(PROFILE.measured, 10, misses=2.0).save(tmp_path / "one")
    assert Measured.load(tmp_path / "two", PROFILE).misses == 2.0
    assert Measured.load(moe, PROFILE) == UNMEASURED


@pytest.mark.parametrize("content", ["", "[]", '{"misses": -1}', '{"io": 1e300}', '{"tokens": "many"}', "\x00"])
def test_a_damaged_note_is_none(moe, content):
    Measured(PROFILE.measured, 10, misses=2.0).save(moe)
    (path,) = (models_folder() / ".measured").iterdir()
    path.write_text(content)
    assert Measured.load(moe, PROFILE) == UNMEASURED


@given(st.lists(st.tuples(*[st.floats(0, 1e12)] * 2, st.integers(1, MAX_TOKENS)), max_size=30))
def test_whatever_is_measured_stays_within_bounds(answers):
    found = UNMEASURED
    for measured, expected, tokens in answers:
        value = factor(measured, expected, 0.01)
        found = found.joined(Measured("now", tokens, value, value, value, value))
        assert 1 / MAX_FACTOR <= found.io <= MAX_FACTOR
        assert found.tokens <= MAX_TOKENS


def test_an_answer_of_a_real_model_is_learned_from(moe):
    PROFILE.save(profile_path(moe))
    settings = half(Outlook.of(MlxFolder.open(moe), PROFILE))
    before = Outlook.of(MlxFolder.open(moe), PROFILE).predict(settings)
    model = load(moe, replace(settings, drafts="none"))
    try:
        generation = model.generate([{"role": "user", "content": "hello"}], GenerationOptions(max_tokens=30, seed=1))
        list(generation)
        here = model.outlook.predict(settings)
    finally:
        model.close()
    told = generation.summary.per_token
    next_time = Outlook.of(MlxFolder.open(moe), PROFILE).predict(settings)
    assert next_time == here
    assert abs(next_time.total_ms - told["total_ms"]) < abs(before.total_ms - told["total_ms"])
    (note,) = (models_folder() / ".measured").glob("*.json")
    assert json.loads(note.read_text())["tokens"] == len(generation.summary.tokens) - 1  # the first is the prompt's

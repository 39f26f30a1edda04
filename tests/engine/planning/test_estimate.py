"""The estimate of what would become of a model, told from its config or from its number of parameters alone."""

import json
from dataclasses import replace

import pytest

from engine.bench.shapes import SHAPES
from engine.planning.estimate import estimate, usual_config
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.manifest import PreparedModel
from engine.system.built_in import STARTER_FOLDER
from tests.helpers.drives import profile

GB = 1_000_000_000


@pytest.mark.parametrize(("name", "parameters"), [("opt-1.3b", 1.3e9), ("opt-6.7b", 6.7e9), ("llama-2-7b", 6.7e9)])
def test_a_usual_model_of_a_size_is_much_like_a_real_one(name, parameters):
    config = SHAPES[name].config
    real = estimate(config, 0.96, profile(), None, 5, "bfloat16")
    usual = estimate(usual_config(round(parameters), config["model_type"]), 0.96, profile(), None, 5, "bfloat16")
    assert usual.smallest == pytest.approx(real.smallest, rel=0.2)
    assert usual.whole == pytest.approx(real.whole, rel=0.2)
    assert usual.tokens_per_second == pytest.approx(real.tokens_per_second, rel=0.3)


def test_it_is_near_what_is_known_once_the_model_is_there():
    prepared = PreparedModel.open(STARTER_FOLDER)
    config = json.loads((STARTER_FOLDER / "config.json").read_text())
    # All but how its neurons are used again, which nobody can know before: they are taken to be used like OPT's.
    layers = [replace(report, use=None) for report in prepared.layer_reports]
    prepared = replace(prepared, manifest=replace(prepared.manifest, layers=layers))
    known = Outlook.of(prepared, profile()).predict(Settings())
    told = estimate(config, 0.9, profile(), None, 5, prepared.manifest.dtype)
    assert told.tokens_per_second == pytest.approx(known.tokens_per_second, rel=0.3)


def test_sparser_models_need_less_and_are_faster():
    config = usual_config(7 * GB, "llama")
    dense, sparse = (estimate(config, s, profile(), 13 * GB, 5) for s in (0.75, 0.97))
    assert sparse.smallest < dense.smallest <= dense.whole == sparse.whole
    assert sparse.tokens_per_second > dense.tokens_per_second


def test_a_budget_that_is_too_small_and_a_drive_that_is_not_known_promise_nothing():
    config = usual_config(7 * GB, "opt")
    assert estimate(config, None, profile(), 1 * GB, 5).tokens_per_second is None
    assert estimate(config, None, None, 12 * GB, 5).tokens_per_second is None

from dataclasses import asdict, fields, replace

import pytest

from app.chat.receipt import Receipt
from app.host.model_info import ModelInfo
from engine.planning.cost import Prediction
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.statistics import PER_TOKEN, Summary, means
from engine.store.manifest import PreparedModel
from engine.store.mlx_folder import MlxFolder
from engine.system.built_in import STARTER_FOLDER
from tests.helpers.dense_models import write_dense
from tests.helpers.drives import profile
from tests.helpers.fake_engine import FakeOutlook, expert_statistics, token_statistics
from tests.helpers.mlx_models import write_moe

COST = {
    "bytes_read": 201e6,
    "hit_rate": 0.96,
    "total_ms": 300.0,
    "io_ms": 60.0,
    "memory_ms": 3.0,
    "compute_ms": 237.0,
    "reads": 12.0,
    "active_neurons": 3000.0,
    "loaded_neurons": 120.0,
    "resident_neurons": 8000.0,
}
MODEL = ModelInfo(
    name="OPT 6.7B",
    model_bytes=13_300_000_000,
    context=2048,
    settings=Settings(memory_budget=6_500_000_000),
    planned={"pool": 2_700_000_000},
    footprint_bytes=0,
    outlook=FakeOutlook(),
    flash_bytes=8_600_000_000,
)


def receipt(cost=None, selection="predictor", **changes) -> Receipt:
    fields = {"tokens": [1] * 12, "tokens_per_second": 3.31, "time_to_first_token_s": 1.8, "prompt_tokens": 30}
    summary = Summary(**{**fields, "finish_reason": "stop", "per_token": {**COST, **(cost or {})}, **changes})
    return Receipt.of(summary, replace(MODEL, settings=replace(MODEL.settings, selection=selection)))


def line(**changes) -> str:
    return receipt(**changes).line().replace("\u00a0", " ")


def test_in_one_line():
    assert line() == "3.3 tok/s"


def test_it_says_how_neurons_were_selected():
    for selection, words in (("exact", "exact"), ("dense", "all neurons"), ("predictor", "approximate")):
        assert dict(receipt(selection=selection).rows())["Selection"].startswith(words)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (0.0021, "approximate, +0.2\u00a0% perplexity"),
        (-0.0021, "approximate, \u22120.2\u00a0% perplexity"),
        (-0.0001, "approximate, no loss measured"),
        (0.0, "approximate, no loss measured"),
        (None, "approximate"),
    ],
)
def test_it_tells_the_measured_loss_of_predicting(loss, words):
    rows = dict(Receipt(selection="predictor", loss=loss, window=5, per_token=COST).rows())
    assert rows["Selection"] == f"{words}, window of 5 tokens"


FIGURES = [2**31, 2**60, -1, 1e300, float("nan"), float("inf"), 10**400, "5", None, [1], True]


@pytest.mark.parametrize("value", FIGURES, ids=lambda value: repr(value)[:8])
def test_a_figure_that_makes_no_sense_is_never_shown(value):
    """The receipts in a chat are opened with it."""
    whole = asdict(receipt())
    contents = [whole | {field.name: value} for field in fields(Receipt)]
    contents += [whole | {"per_token": COST | {name: value}} for name in COST]
    for content in contents:
        read = Receipt.from_json(content)
        if read is not None:
            assert read.line() is not None
            assert read.rows()
            assert read.hint() is not None
            assert 0 <= read.context_tokens <= 2**32


@pytest.mark.parametrize(
    ("reason", "words"),
    [("cancelled", "stopped"), ("length", "cut off after 12 tokens"), ("context", "cut off, the context is full")],
)
def test_it_says_why_an_answer_is_not_complete(reason, words):
    assert line(finish_reason=reason).endswith(f" · {words}")


def test_its_line_complains_of_nothing():
    assert line(left_early=145) == "3.3 tok/s"


def test_what_was_not_measured_is_left_out():
    one_token = receipt(tokens=[1], tokens_per_second=0.0, per_token={})
    assert one_token.line().replace("\u00a0", " ") == "first token 1.8 s"
    assert Receipt(finish_reason="cancelled").line() == "stopped"
    assert one_token.hint() == ""
    assert "Time per token" not in dict(one_token.rows())


def test_it_takes_the_engine_s_own_means():
    cost = means([token_statistics(1), token_statistics(2)])
    assert dict(receipt(cost).rows())["Hit rate"]


def test_in_detail():
    rows = {name: value.replace("\u00a0", " ") for name, value in receipt().rows()}
    assert rows["Model"] == "OPT 6.7B"
    assert rows["Weights"] == "13.3 GB model, 5.9 GB of it on flash"  # as the title bar says
    assert rows["Tokens"] == "30 prompt tokens (0 from cache), 12 generated"
    assert rows["Time per token"] == ("300 ms: flash 60 ms (20 %), bookkeeping 3.0 ms (1.0 %), computing 237 ms (79 %)")
    assert rows["Neurons"] == "3,000 active, 120 read, 8,000 in the pool"
    assert rows["Selection"] == "approximate, window of 5 tokens"


def test_it_says_how_flash_was_read_where_ways_were_tried():
    assert "Read" not in dict(receipt().rows())
    for way, words in (
        ("none", "when it is needed"),
        ("ahead", "ahead, while attention"),
        ("both", "ahead, and while"),
    ):
        assert dict(receipt(overlap=way).rows())["Read"].startswith(words)
    assert "Read" not in dict(receipt(overlap="in another version").rows())


def test_it_says_how_many_drafts_were_right():
    assert "Drafts" not in dict(receipt().rows())
    drafted = receipt(passes=5, drafted=8, accepted=6)
    assert dict(drafted.rows())["Drafts"] == "6 of 8 drafted tokens right, 2.2 tokens a pass"
    assert Receipt.from_json(drafted.to_json()) == drafted
    helped = receipt(passes=5, drafted=8, accepted=6, drafters={"lookup": (3, 2), "Qwen3-0.6B": (5, 4)})
    assert dict(helped.rows())["Helper model"] == "4 of 5 drafted tokens right (Qwen3-0.6B)"
    assert "Helper model" not in dict(drafted.rows())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cost": {"io_ms": 29.0, "compute_ms": 268.0}}, "Computing takes 89 % of the time, waiting for flash 9.7 %"),
        ({"cost": {"io_ms": 29.0, "compute_ms": 268.0}, "left_early": 145}, "more memory would hardly make it faster."),
        ({"cost": {"io_ms": 135.0, "compute_ms": 159.0}}, "Waiting for flash 45 % of the time, computing 53 %."),
        ({"cost": {"io_ms": 135.0, "compute_ms": 159.0}}, "with 5.9 GB more"),
        ({"cost": {"io_ms": 213.0, "compute_ms": 84.0, "hit_rate": 0.5}}, "with 5.9 GB more"),
        ({"cost": {"io_ms": 213.0, "compute_ms": 84.0}, "selection": "dense"}, "predicted selection reads far less"),
        ({"left_early": 145}, "too small for a window of 5"),
        ({"left_early": 144}, "with 5.9 GB more"),  # of 12 tokens that read 120 neurons each
    ],
)
def test_the_hint_says_what_would_help(changes, words):
    assert words in receipt(**changes).hint().replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("longer", "words"),
    [((8, 900_000_000), "A window of 8 would need 900 MB more memory"), ((8, 0), "fits the memory budget")],
)
def test_the_hint_names_a_window_that_is_worth_it(longer, words):
    summary = Summary(tokens=[1], per_token=COST | {"io_ms": 213.0, "compute_ms": 84.0, "hit_rate": 0.5})
    found = Receipt.of(summary, replace(MODEL, longer_window=longer))
    assert words in found.hint().replace("\u00a0", " ")
    assert Receipt.from_json(found.to_json()) == found


def forecast_in_figures(prediction: Prediction, kind: str) -> dict[str, float]:
    """The means of an answer whose tokens cost what was predicted."""
    figures = {name: getattr(prediction, name) for name in PER_TOKEN}
    return figures | {f"all_{kind}s": 1.0, f"active_{kind}s": 1.0, f"loaded_{kind}s": 1.0}


def starter(folder):
    return PreparedModel.open(STARTER_FOLDER)


def experts(folder):
    return MlxFolder.open(write_moe(folder / "experts", "qwen3_moe"))


def layers(folder):
    return MlxFolder.open(write_dense(folder / "layers", "qwen3"))


@pytest.mark.parametrize(("stored", "kind"), [(starter, "neuron"), (experts, "expert"), (layers, "block")])
@pytest.mark.parametrize("bandwidth", [1e7, 1e8, 1e9])
def test_what_it_says_of_more_memory_is_what_the_cost_model_says(stored, kind, bandwidth, tmp_path):
    outlook = Outlook.of(stored(tmp_path), profile(iops=bandwidth / 16384, bandwidth=bandwidth))
    low, high = outlook.smallest_budget(Settings()), outlook.full_budget(Settings())
    budgets = [Settings(memory_budget=low + (high - low) * i // 16, read_at_once=True) for i in range(17)]
    in_memory, hints = outlook.predict(budgets[-1]), []
    assert in_memory.bytes_read == 0
    for settings in budgets:
        found, pool = outlook.predict(settings), outlook.plan(settings).items["pool"]
        figures = forecast_in_figures(found, kind)
        shown = Receipt(per_token=figures, tokens=99, pool_bytes=pool, flash_bytes=10**12, selection="predictor")
        hints.append(shown.hint())
        if "nothing would be read any more" in hints[-1]:
            assert found.io_ms >= 0.1 * found.total_ms
        else:
            assert in_memory.total_ms > 0.9 * found.total_ms
    assert "nothing would be read any more" not in hints[-1]
    assert "nothing would be read any more" in hints[0] or bandwidth > 1e8


def test_a_pool_that_has_room_for_all_will_be_filled():
    cost = COST | {"io_ms": 213.0, "compute_ms": 84.0, "hit_rate": 0.79}
    found = Receipt.of(Summary(tokens=[1], per_token=cost), replace(MODEL, planned={"pool": 8_600_000_000}))
    assert "the next answers will be faster" in found.hint()


def test_it_is_stored_as_json_and_read_again():
    assert Receipt.from_json(receipt().to_json()) == receipt()


def test_damaged_figures_are_passed_over():
    assert Receipt.from_json({}) is None
    assert Receipt.from_json({"of_the_future": 1}) is None
    damaged = Receipt.from_json(
        {"tokens": "many", "tokens_per_second": 3, "per_token": {"hit_rate": "x"}, "model": None}
    )
    assert damaged == Receipt(tokens_per_second=3)


def test_of_a_model_of_experts_the_receipt_speaks_of_experts():
    per_token, sizes = means([expert_statistics(index) for index in range(9)]), {"flash_bytes": 17 * 10**9}
    receipt = Receipt(selection="predictor", window=5, tokens=9, left_early=50, per_token=per_token, **sizes)
    rows = dict(receipt.rows())
    assert rows["Experts"].startswith("384 active, ")
    assert "of 6,144 in memory" in rows["Experts"]
    assert "Neurons" not in rows
    assert "Selection" not in rows
    assert "neuron" not in receipt.hint()


def test_of_a_dense_model_the_receipt_speaks_of_weights():
    token = replace(
        token_statistics(), kind="block", active=(8, 8), loaded=(6, 8), resident=(2, 0), bundles=8, io_ms=900.0
    )
    receipt = Receipt(
        selection="predictor", window=5, tokens=9, per_token=means([token]), flash_bytes=3 * 10**9, pool_bytes=10**9
    )
    rows = dict(receipt.rows())
    assert "Flash" in rows
    assert not {"Neurons", "Experts", "Selection"} & set(rows)
    assert "with 2.0\u00a0GB more, nothing would be read any more" in receipt.hint()
    assert "neuron" not in receipt.hint()


def test_of_a_model_that_is_all_in_memory_nothing_is_told_that_streams():
    token = replace(expert_statistics(), active=(), loaded=(), resident=(), bundles=0, io_ms=0.0, bytes_read=0, reads=0)
    receipt = Receipt(selection="predictor", window=5, tokens=9, model_bytes=10**9, per_token=means([token]))
    rows = dict(receipt.rows())
    assert not {"Flash", "Experts", "Neurons", "Hit rate", "Read for the prompt", "Selection"} & set(rows)
    assert "flash" not in rows["Time per token"]
    assert receipt.hint() == "All of the model is in memory, so computing takes all of the time."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"read_back_tokens": 1843, "cached_tokens": 1843}, "1,843 tokens read back from disk"),
        ({"context_trouble": "damaged"}, "read anew, as what was kept on disk was damaged"),
        ({"context_trouble": "other"}, "read anew, as it was kept for another model or other settings"),
        ({"context_trouble": "of a later version"}, None),
    ],
)
def test_it_says_what_of_the_chat_came_from_disk(changes, words):
    shown = receipt(**changes)
    assert dict(shown.rows()).get("Chat") == words
    assert Receipt.from_json(shown.to_json()) == shown

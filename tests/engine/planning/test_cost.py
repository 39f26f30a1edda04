"""The drive's profile and the cost model: their arithmetic, on a drive whose every figure is known."""

import pytest

from engine.bench.shapes import SHAPES
from engine.errors import CheckpointError
from engine.flash.profile import DriveProfile, drive_of
from engine.planning.estimate import predict_config
from engine.planning.shape import ModelShape
from engine.settings import Settings
from tests.helpers.drives import BANDWIDTH, FAST, IOPS, PROCESSOR, profile


def test_the_reader_uses_the_fewest_threads_that_are_fast():
    assert profile().threads == 32


def test_reads_are_limited_by_their_number_then_by_their_bytes():
    p = profile()
    assert p.reads_per_s(8192) == pytest.approx(IOPS)
    assert p.reads_per_s(1 << 20) == pytest.approx(BANDWIDTH / (1 << 20))
    assert p.reads_per_s(64 << 20) == pytest.approx(BANDWIDTH / (64 << 20))
    assert p.sequential_bytes_per_s == pytest.approx(BANDWIDTH)
    assert p.seconds(1000, 8192) == pytest.approx(1000 / IOPS)
    assert p.seconds(1000, 8192, batches=125) == pytest.approx(4 * 1000 / IOPS)  # 8 outstanding instead of 32
    assert p.seconds(0, 8192) == 0


def test_a_gap_is_read_through_while_one_read_is_cheaper_than_two():
    # Two reads of 4 KiB take 20 us; in that time the drive reads 100 kB, more than a few rows' gap.
    p = profile()
    assert p.gap(4096) == 4 * 4096
    assert 1 / p.reads_per_s(2 * 32768 + p.gap(32768)) <= 2 / p.reads_per_s(32768)
    assert p.gap(512 << 10) <= 16384  # limited by bytes: a gap costs what it holds


def test_a_profile_is_saved_and_found_again(tmp_path):
    path = tmp_path / "drives" / "disk.json"
    assert DriveProfile.load(path) is None
    profile().save(path)
    assert DriveProfile.load(path) == profile()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"drive": "d", "measured": "", "points": [], "processor": {}}'])
def test_a_profile_that_cannot_be_used_is_none(tmp_path, content):
    (tmp_path / "disk.json").write_text(content)
    assert DriveProfile.load(tmp_path / "disk.json") is None


def test_a_folder_that_does_not_exist_yet_is_on_its_parents_drive(tmp_path):
    assert drive_of(tmp_path / "not" / "yet") == drive_of(tmp_path)


def test_opt_6_7b_has_the_papers_size():
    shape = ModelShape.from_config(SHAPES["opt-6.7b"].config)
    assert shape.row_bytes == 16384
    assert shape.bundle_bytes == pytest.approx(8.59e9, rel=0.001)
    assert shape.model_bytes == pytest.approx(13.3e9, rel=0.01)
    assert shape.context_bytes(2048) == pytest.approx(0.0806 * 13.3e9, rel=0.01)  # 8 % of the model (paper)


@pytest.mark.parametrize("name", ["falcon-7b", "llama-2-7b", "opt-1.3b"])
def test_shapes_have_their_names_size(name):
    shape, billions = ModelShape.from_config(SHAPES[name].config), float(name.split("-")[-1].rstrip("b"))
    assert shape.model_bytes / 2e9 == pytest.approx(billions, rel=0.05)


def test_a_prediction_is_the_sum_of_its_parts():
    config = SHAPES["opt-6.7b"].config
    p = predict_config(
        config, profile(), Settings(4, 20 * 10**9, hot_neurons=False), dtype="bfloat16", predictor_bytes=0
    )
    shape = ModelShape.from_config(config, "bfloat16")
    assert p.fits
    assert p.window == 4
    assert p.bytes_read == pytest.approx(0.024 * shape.bundle_bytes)
    assert p.reads == pytest.approx(12583, rel=0.001)  # the paper's
    assert p.io_ms == pytest.approx(1e3 * p.reads / IOPS)
    assert p.pool_bytes == pytest.approx(0.24 * shape.bundle_bytes, rel=0.01)
    assert p.compute_ms == pytest.approx(
        1e3 * ((shape.resident_bytes - shape.looked_up_bytes) / 10e9 + 0.24 * shape.bundle_bytes / 5e9 + 32e-4 + 3e-4)
    )
    assert p.memory_ms == pytest.approx(1e3 * (32 * 2e-5 + 0.24 * 32 * 16384 * 1e-9))
    assert p.tokens_per_second == pytest.approx(1000 / (p.io_ms + p.memory_ms + p.compute_ms))
    assert p.hit_rate == pytest.approx(1 - 0.24)


def test_what_the_window_leaves_free_keeps_hot_neurons():
    config = SHAPES["opt-6.7b"].config
    budgets = [int(n * 1e8) for n in (72, 76, 80, 100, 140)]
    with_them = [predict_config(config, profile(), Settings(4, budget), dtype="bfloat16") for budget in budgets]
    without = [
        predict_config(config, profile(), Settings(4, budget, hot_neurons=False), dtype="bfloat16")
        for budget in budgets
    ]
    assert 0 < without[0].window < 4  # nothing is left free
    assert with_them[0].bytes_read < 0.97 * without[0].bytes_read  # of what does not fit, the most used stay
    assert [p.bytes_read for p in with_them] == sorted((p.bytes_read for p in with_them), reverse=True)
    assert with_them[-1].bytes_read < without[-1].bytes_read / 10
    assert all(w.pool_bytes >= o.pool_bytes for w, o in zip(with_them, without, strict=True))
    assert all(p.dram_bytes <= budget for p, budget in zip(with_them, budgets, strict=True))


def test_less_memory_means_a_smaller_window_and_more_reads():
    config = SHAPES["opt-1.3b"].config
    budgets = [int(n * 1e8) for n in (13, 15, 18, 30)]
    found = [
        predict_config(config, profile(), Settings(8, budget, context=256), dtype="bfloat16") for budget in budgets
    ]
    assert [p.window for p in found] == sorted(p.window for p in found)
    assert [p.bytes_read for p in found] == sorted((p.bytes_read for p in found), reverse=True)
    assert not found[0].fits
    assert found[-1].fits
    assert all(p.dram_bytes <= b for p, b in zip(found[1:], budgets[1:], strict=True))
    assert predict_config(config, profile(), Settings(5)).fits


def test_attention_beside_the_ffn_hides_reads():
    def io(name, processor=FAST, **settings):
        wanted = Settings(4, 6_000_000_000, **settings)
        return predict_config(SHAPES[name].config, profile(processor=processor), wanted).io_ms

    shape = ModelShape.from_config(SHAPES["falcon-1.3b"].config)
    attention_ms = 1e3 * shape.attention_bytes / 1e12
    alone = io("falcon-1.3b", early_reads=False)
    assert 0 < attention_ms < alone
    assert io("falcon-1.3b") == pytest.approx(alone - attention_ms)
    assert io("falcon-1.3b", PROCESSOR) == 0  # slow enough to hide all of it
    assert io("opt-1.3b") == io("opt-1.3b", early_reads=False) > 0
    assert not ModelShape.from_config(SHAPES["falcon-7b"].config | {"parallel_attn": False}).parallel


def test_without_bundling_a_neuron_is_as_many_reads_as_it_has_parts():
    config = SHAPES["llama-2-7b"].config
    whole, parts = (predict_config(config, profile(), Settings(2, 10**11, bundling=b)) for b in (True, False))
    assert parts.reads == pytest.approx(3 * whole.reads)
    assert parts.bytes_read == pytest.approx(whole.bytes_read)


def test_a_config_that_says_too_little_is_refused():
    with pytest.raises(CheckpointError, match="num_hidden_layers"):
        predict_config({"model_type": "opt", "activation_function": "relu", "hidden_size": 8}, profile(), Settings(4))

"""A token's use of a layer whose bundles stay on flash, and what it costs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.planning.cost import ModelCost, predict
from engine.planning.layers import FINEST_SHARE, EveryLayer, ExpertLayer, NeuronLayer, expected_hits, hit_rate, uses
from engine.planning.reuse import OPT
from engine.planning.shape import BundleShape, ModelShape
from engine.settings import Settings
from tests.helpers.drives import profile

BYTES = 1_769_472  # of an expert of Qwen3.5-35B-A3B in 4 bits
QWEN = [ExpertLayer(BundleShape("expert", "", 256, BYTES, BYTES, reads=9, chosen=8))] * 40


def predicted(layers, slots, budget=6 * 10**9):
    bundles = tuple(layer.bundles for layer in layers)
    shape = ModelShape(bundles, (), 10**9, 0, 0, 0, 2048, "bfloat16", "bfloat16", packed=True)
    return predict(ModelCost(shape, layers), profile(), slots, Settings(window=1), budget, 10**9)


@pytest.mark.parametrize(("share", "published"), [(0.06, 0.56), (0.25, 0.74), (0.35, 0.84), (0.47, 0.92), (1.0, 1.0)])
def test_hits_are_those_that_were_published(share, published):
    assert hit_rate(share) == pytest.approx(published)


shares = st.floats(0, 1)


@given(shares, shares, st.floats(0.01, 1))
def test_more_in_memory_never_misses_more(share, other, chosen):
    low, high = sorted((share, other))
    assert 0 <= hit_rate(low, chosen) <= hit_rate(high, chosen) <= 1


@given(st.floats(FINEST_SHARE, 0.9))
def test_room_for_just_a_token_is_as_good_for_few_experts_as_for_many(chosen):
    assert hit_rate(chosen, chosen) == pytest.approx(hit_rate(FINEST_SHARE))


def test_bytes_read_are_the_misses():
    slots = [64] * 40
    expected = predicted(QWEN, slots)
    missed = 40 * 8 * (1 - hit_rate(0.25))
    assert expected.bytes_read == pytest.approx(missed * BYTES)
    assert expected.reads == pytest.approx(9 * missed)
    assert expected.hit_rate == pytest.approx(0.74) == expected_hits(QWEN, uses(QWEN, slots, Settings()))
    assert expected.io_ms == pytest.approx(1e3 * profile().seconds(expected.reads, BYTES / 9, 40))


def test_nothing_is_read_where_all_have_a_slot():
    expected = predicted(QWEN, [256] * 40, 30 * 10**9)
    assert (expected.bytes_read, expected.io_ms, expected.hit_rate, expected.fits) == (0, 0, 1, True)


def test_fewer_slots_than_a_token_needs_do_not_fit():
    assert not predicted(QWEN, [7] * 40).fits


def test_a_model_without_experts_is_all_in_memory():
    expected = predicted([], [])
    assert expected.hit_rate == 1
    assert expected.compute_ms > 0


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_where_every_bundle_is_needed_what_has_no_slot_is_read(slots, count):
    layer = EveryLayer(BundleShape("neuron", "", count, 4096, 4096))
    use = layer.use(slots, Settings())
    assert (use.needed, use.multiplied) == (count, count)
    assert use.missed + use.held == count
    assert use.held == min(slots, count)
    assert layer.demand().minimum == 0


KINDS = {
    "neuron": NeuronLayer(BundleShape("neuron", "", 4096, 16384, 16384), OPT.selected, OPT),
    "expert": QWEN[0],
    "every": EveryLayer(BundleShape("neuron", "", 64, 16384, 16384)),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(slots=st.lists(shares, min_size=2, max_size=2).map(sorted), hot=st.booleans(), window=st.integers(0, 32))
def test_of_any_kind_more_slots_hold_more_and_miss_no_more(kind, slots, hot, window):
    layer = KINDS[kind]
    wanted, count = Settings(window=window, hot_neurons=hot), layer.bundles.count
    few, many = (layer.use(share * count, wanted) for share in slots)
    assert many.missed <= few.missed + 1e-6
    assert many.held >= few.held - 1e-6
    assert 0 <= many.missed <= many.needed + 1e-6 <= count + 2e-6
    assert layer.demand().minimum <= count


@pytest.mark.parametrize("item_bytes", [1, 2, 4])
def test_a_slab_has_no_more_numbers_than_mlx_counts(item_bytes):
    """Kimi K2: 384 experts of 24 MB a layer are more than one array of 16-bit numbers has room for."""
    bundles = BundleShape("expert", "", 384, 24_000_000, 24_000_000, chosen=8, item_bytes=item_bytes)
    demand = ExpertLayer(bundles).demand()
    assert demand.bundles * bundles.bytes <= item_bytes * (2**31 - 1)
    assert demand.bundles == min(384, item_bytes * (2**31 - 1) // 24_000_000)
    assert demand.minimum == 8

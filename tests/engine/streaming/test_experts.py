"""Experts in slots give, bit for bit, what mlx-lm's container gives with all of them in memory."""

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx import nn
from mlx_lm.models.switch_layers import QuantizedSwitchLinear, SwitchGLU, SwitchLinear, SwitchMLP

from engine.arrays.packed import available
from engine.flash.reader import open_reader
from engine.models.probe import probed
from engine.settings import Settings
from engine.store.layout import Layout
from engine.store.safetensors_file import read_safetensors
from engine.streaming import slots as in_slots
from engine.streaming.checkpoint import CheckpointInstallation
from engine.streaming.experts import SORTED_PAIRS
from engine.streaming.found import ExpertContainer, Streamable
from engine.streaming.overlap import Way
from tests.helpers.planning import slots

EXPERTS, WIDTH, INNER = 12, 32, 64


def container(kind, quantised: bool, width: int = WIDTH, inner: int = INNER):
    mx.random.seed(2)
    made = kind(width, inner, EXPERTS, bias=True)
    for name, linear in made.children().items():
        if isinstance(linear, SwitchLinear):
            linear.bias = mx.random.normal(linear.bias.shape)
            made[name] = linear.to_quantized(32, 4) if quantised else linear
    return made


class Streamed:
    """The same container with few slots, and what it is compared with."""

    def __init__(self, folder, kind=SwitchGLU, quantised=True, capacity=5, window=1, beside=False, size=(WIDTH, INNER)):
        self.whole, mine = container(kind, quantised, *size), container(kind, quantised, *size)
        self.norm = mine.norm = nn.RMSNorm(WIDTH)
        tensors = {
            f"{name}.{tensor}": array
            for name, child in mine.children().items()
            if isinstance(child, SwitchLinear | QuantizedSwitchLinear)
            for tensor, array in child.parameters().items()
        }
        mx.save_safetensors(str(folder / "experts.safetensors"), tensors)
        stored = read_safetensors(folder / "experts.safetensors")
        layout = Layout.of({name: stored[name] for name in tensors})
        self.reader = open_reader(2)
        network = {"experts": mine}
        self.container = ExpertContainer("experts", mine, layout)
        how = Settings(window=window), slots(capacity, EXPERTS), 3 * layout.slot_bytes, self.reader
        self.streaming = CheckpointInstallation(*how, Streamable((self.container,))).install(network)
        self.streaming.overlap.way = Way.BOTH if beside else Way.NONE
        self.experts = network["experts"]

    @property
    def pool(self):
        return self.streaming.layers[0].pool

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.streaming.close()
        self.reader.close()

    def __call__(self, x: mx.array, indices: mx.array, prompt: int = 0) -> mx.array:
        self.streaming.passes.begin(prompt)
        self.streaming.passes.advance(max(1, prompt))
        return self.experts(x, indices)


def routed(tokens: int, chosen: int, seed: int) -> tuple[mx.array, mx.array]:
    """x [1, tokens, width], and as many different experts for each token."""
    rng = np.random.default_rng(seed)
    indices = np.stack([rng.permutation(EXPERTS)[:chosen] for _ in range(tokens)])[None]
    return mx.array(rng.standard_normal((1, tokens, WIDTH), np.float32)), mx.array(indices.astype(np.uint32))


def equal(found: mx.array, expected: mx.array) -> bool:
    """Bit for bit where MLX computes both; elsewhere the sums are the same in another order."""
    if available() and found.shape == expected.shape:
        return mx.abs(found - expected).max().item() <= 1e-5 * mx.abs(expected).max().item()
    return found.shape == expected.shape and mx.array_equal(found, expected).item()


@settings(deadline=None, max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    chosen=st.integers(1, 5),
    quantised=st.booleans(),
    window=st.integers(0, 3),
    beside=st.booleans(),
    native=st.booleans(),
)
def test_any_routing_gives_what_the_container_gives(
    tmp_path_factory, lengths, chosen, quantised, window, beside, native
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(in_slots, "available", lambda: native and available())
        with Streamed(tmp_path_factory.mktemp("experts"), SwitchGLU, quantised, 5, window, beside) as streamed:
            late = []
            for seed, length in enumerate(lengths):
                x, indices = routed(length, chosen, seed)
                late.append((streamed(x, indices, length if length > 1 else 0), streamed.whole(x, indices)))
            assert all(equal(found, expected) for found, expected in late)


@pytest.mark.parametrize("tokens", [1, 30])
def test_a_container_of_two_matrices_too(tmp_path, tokens):
    with Streamed(tmp_path, SwitchMLP) as streamed:
        x, indices = routed(tokens, 4, 0)
        assert equal(streamed(x, indices), streamed.whole(x, indices))


def test_once_all_are_in_memory_nobody_waits_for_the_router(tmp_path, monkeypatch):
    with Streamed(tmp_path, capacity=EXPERTS) as streamed:
        x, indices = routed(40, 5, 0)
        streamed(x, indices, prompt=40)
        assert streamed.pool.holds_all
        monkeypatch.setattr(np, "unique", None)  # what would be asked of indices that are known
        x, indices = routed(3, 5, 1)
        assert equal(streamed(x, indices), streamed.whole(x, indices))
        assert streamed.streaming.passes.current.reads == 0


@pytest.mark.parametrize("capacity", [5, EXPERTS])
def test_a_token_s_experts_are_told_by_their_ids(tmp_path, capacity):
    """Also where all are in memory, and nobody asked for them while they were computed."""
    with Streamed(tmp_path, capacity=capacity) as streamed:
        x, indices = routed(40, 4, 0)
        mx.eval(streamed(x, indices, prompt=40))
        assert streamed.streaming.passes.current.statistics(EXPERTS).experts == ()
        for seed in range(5):
            x, indices = routed(1, 4, seed)
            mx.eval(streamed(x, indices))
            assert streamed.pool.holds_all == (capacity == EXPERTS)
            told = streamed.streaming.passes.current.statistics(EXPERTS)
            assert told.experts == (tuple(sorted(indices.reshape(-1).tolist())),)
            assert told.active == (4,)


def test_a_prompt_reads_only_what_it_needs_and_each_expert_once(tmp_path):
    with Streamed(tmp_path) as streamed:
        x, _ = routed(SORTED_PAIRS, 1, 0)
        indices = mx.array(np.tile([2, 7, 9], SORTED_PAIRS)[:SORTED_PAIRS].reshape(1, -1, 1).astype(np.uint32))
        assert equal(streamed(x, indices, prompt=SORTED_PAIRS), streamed.whole(x, indices))
        current, layout = streamed.streaming.passes.current, streamed.streaming.layers[0].source.layout
        assert current.bytes_read == 3 * layout.bundle_bytes
        assert (current.active, current.loaded) == ([3], [3])
        assert sorted(streamed.pool.pointer[streamed.pool.pointer >= 0].tolist()) == [2, 7, 9]


def test_a_slab_that_was_given_back_is_held_by_nobody(tmp_path):
    with Streamed(tmp_path, capacity=EXPERTS) as streamed:
        x, indices = routed(40, 5, 0)
        mx.eval(streamed(x, indices, prompt=40))
        before = mx.get_active_memory()
        slots = streamed.pool.view.nbytes
        streamed.streaming.resize([2], 0, slots)
        assert before - mx.get_active_memory() > slots / 2
        x, indices = routed(1, 2, 3)
        assert equal(streamed(x, indices), streamed.whole(x, indices))


def test_what_a_container_has_beside_its_matrices_is_found_where_its_block_looks(tmp_path):
    """As muse_spark's norm, which its block takes from the container."""
    with Streamed(tmp_path) as streamed:
        assert streamed.experts.norm is streamed.norm
        network = {"experts": streamed.container.module}
        with probed(network, {"experts": WIDTH}):
            assert network["experts"].norm is streamed.norm


@pytest.mark.parametrize("quantised", [True, False])
@pytest.mark.parametrize("capacity", [6, EXPERTS])
def test_a_gather_copies_nothing(tmp_path, monkeypatch, quantised, capacity):
    """Of slots whose tensors are seen through strides: what MLX would copy is a layer's whole slab."""
    monkeypatch.setattr(in_slots, "available", lambda: False)  # as where MLX multiplies
    with Streamed(tmp_path, quantised=quantised, capacity=capacity, size=(256, 512)) as streamed:
        x = mx.random.normal((1, 1, 256))
        for seed in range(12):  # all tensors' views are there, and experts come and go
            mx.eval(streamed(x, routed(1, 4, seed)[1]))
        smallest = min(tensor.stride for tensor in streamed.container.layout.tensors.values() if len(tensor.shape) > 1)
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        y = streamed(x, routed(1, 4, 99)[1])
        mx.eval(y)
        assert mx.get_peak_memory() - before < 64_000 < capacity * smallest
        assert mx.allclose(y, streamed.whole(x, routed(1, 4, 99)[1]), rtol=1e-5).item()


@settings(deadline=None, max_examples=15)
@given(seeds=st.lists(st.integers(0, 50), min_size=2, max_size=25), capacity=st.integers(3, 8), native=st.booleans())
def test_slots_are_not_overwritten_before_who_reads_them_is_computed(tmp_path_factory, seeds, capacity, native):
    """Outputs that nobody evaluates until many tokens later, whose slots hold other experts by then."""
    with pytest.MonkeyPatch.context() as patch:
        if not native:
            patch.setattr(in_slots, "available", lambda: False)
        with Streamed(tmp_path_factory.mktemp("experts"), capacity=capacity) as streamed:
            asked = [routed(1, 3, seed) for seed in seeds]
            late = [streamed(x, indices) for x, indices in asked]
            for y, (x, indices) in zip(late, asked, strict=True):
                assert mx.allclose(y, streamed.whole(x, indices), rtol=1e-5, atol=1e-6).item()

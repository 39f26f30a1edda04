"""Early work is done once, and nothing that comes of it is ever wrong."""

import mlx.core as mx
import numpy as np
import pytest
from mlx import nn

from engine.flash.reader import open_reader
from engine.memory.pool import BundlePool
from engine.store.layout import Layout
from engine.store.safetensors_file import read_safetensors
from engine.streaming.bundles import LayerBundles
from engine.streaming.early import EarlyModule, RouterGuess, router_of, take_early
from engine.streaming.lookahead import ExpertLookAhead
from engine.streaming.overlap import Overlap, Way
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.source import CheckpointFile, SlotSource

EXPERTS, CAPACITY = 40, 20


class Doubling(nn.Module):
    """Counts how often it is asked."""

    def __init__(self):
        super().__init__()
        self.times = 0

    def __call__(self, x):
        self.times += 1
        return 2 * x


def test_what_was_begun_is_there_and_what_was_not_is_computed():
    early, x = EarlyModule(Doubling()), mx.array([1.0, 2.0])
    assert early(x).tolist() == [2, 4]
    early.begin(x)
    assert (early(x).tolist(), early.module.times) == ([2, 4], 2)
    assert (early(x).tolist(), early.module.times) == ([2, 4], 3)  # it is kept for one call


def test_who_has_another_input_waits_his_turn_from_then_on():
    early, x, other = EarlyModule(Doubling()), mx.array([1.0]), mx.array([5.0])
    early.begin(x)
    assert early(other).tolist() == [10]
    early.begin(x)
    assert (early(other).tolist(), early.module.times) == ([10], 3)


def test_experts_of_another_width_leave_it_alone():
    early = EarlyModule(nn.Linear(3, 2))
    early.begin(mx.zeros((1, 2)))
    assert early(mx.zeros((1, 3))).shape == (1, 2)


def test_shared_experts_are_found_in_the_block_and_in_its_layer():
    layer = nn.Module()
    layer.shared_mlp, layer.mlp, layer.block = nn.Linear(2, 2), nn.Linear(2, 2), nn.Module()
    layer.block.shared_experts, layer.block.shared_expert_gate = nn.Linear(2, 2), nn.Linear(2, 1)
    layer.block.share_expert = None
    model = nn.Module()
    model.layers, model.shared_mlp = [layer], nn.Linear(2, 2)
    found = take_early(model, "layers.0.block.experts")
    assert found == [layer.block.shared_experts, layer.shared_mlp]
    for module in (layer.mlp, layer.block.shared_expert_gate, model.shared_mlp):
        assert isinstance(module, nn.Linear)


class Router(nn.Module):
    """Says weights and ids."""

    def __call__(self, x):
        return x, mx.array([[3, 1]])


def test_where_the_block_is_the_layer_its_router_is_asked():
    layer, model = nn.Module(), nn.Module()
    layer.router, model.layers = Router(), [layer, nn.Module()]
    assert router_of(model, "layers.0.experts.switch_glu", None)(mx.zeros((1, 2))).tolist() == [[3, 1]]
    assert router_of(model, "layers.1.experts.switch_glu", None) is None


class Experts:
    """A layer of experts on flash, as far as who guesses sees it."""

    def __init__(self, folder):
        mx.save_safetensors(str(folder / "experts.safetensors"), {"weight": mx.zeros((EXPERTS, 8, 8))})
        layout = Layout.of(dict(read_safetensors(folder / "experts.safetensors")))
        self.reader = open_reader(1)
        files = {path: CheckpointFile.open(self.reader, path) for path in layout.paths}
        source = SlotSource(self.reader, files, layout)
        pool = BundlePool(CAPACITY, source.row_bytes, "U32", EXPERTS, keep_hot=True, dense=False)
        self.passes, overlap = Passes(1, 1, "expert"), Overlap()
        overlap.way = Way.AHEAD
        self.ring = Ring(self.reader, source.row_bytes, "U32", source.row_bytes)
        self.bundles = LayerBundles(0, source, pool, self.passes, overlap, self.ring, look_ahead=ExpertLookAhead())

    def token(self, guess: RouterGuess, ids: list[int]) -> int:
        """One token whose guess was made before; returns how many experts were read for it."""
        self.passes.begin()
        self.passes.advance(1)
        said = guess(mx.zeros((1, 4)))
        if said is not None:
            guess.begin(said)
        before = self.bundles.look_ahead.read
        for _ in self.bundles.bring(np.array(ids)):
            pass
        return self.bundles.look_ahead.read - before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bundles.settle()
        self.ring.close()
        self.reader.close()


@pytest.mark.parametrize("right", [True, False])
def test_a_router_that_is_often_wrong_is_believed_less(tmp_path, right):
    rng = np.random.default_rng(0)
    with Experts(tmp_path) as experts:
        said, read = [], []
        guess = RouterGuess(lambda x: mx.array(said), experts)
        for _ in range(60):
            ids = np.sort(rng.permutation(EXPERTS)[:4])
            said = ids if right else (ids + 1) % EXPERTS
            read.append(experts.token(guess, ids.tolist()))
        assert sum(read[:3]) > 0
        assert (sum(read[20:]) > 40) == right


def test_a_router_that_cannot_be_asked_is_not_asked_again(tmp_path):
    asked = []

    def fail(x):
        asked.append(x)
        raise ValueError("another width")

    with Experts(tmp_path) as experts:
        guess = RouterGuess(fail, experts)
        for _ in range(3):
            experts.token(guess, [1, 2])
        assert len(asked) == 1

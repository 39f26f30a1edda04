"""Reads begin before attention: exactly where the FFN has the same input, as a guess where attention comes first."""

import numpy as np
import pytest

from engine.arrays.packed import available
from engine.inference.load import load
from engine.prepare.prepare import prepare
from engine.settings import Settings
from engine.streaming.overlap import Way
from tests.helpers.checkpoints import write_family, write_opt

TOKENS = np.random.default_rng(5).integers(3, 60, size=24).tolist()
PARALLEL = ["falcon-7b", "falcon-40b", "phi"]


@pytest.fixture(scope="module", params=[*PARALLEL, "opt"])
def prepared(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("early")
    checkpoint = folder / "checkpoint"  # without a tokenizer: tokens are as random as the weights
    written = write_opt(checkpoint, False) if request.param == "opt" else write_family(checkpoint, request.param, False)
    prepare(written, folder / "model")
    return folder / "model", request.param


def decoded(model, tokens, way=Way.NONE) -> np.ndarray:
    """Logits of each token after the first four."""
    model.streaming.overlap.begin = lambda: None
    model.streaming.overlap.way = way
    model.prefill(tokens[:4])
    return np.concatenate([np.array(model.decode(token)[0][0]) for token in tokens[4:]])


@pytest.mark.parametrize("way", list(Way))
def test_every_way_gives_the_dense_logits(prepared, way):
    results = []
    for settings in ({"selection": "dense"}, {"selection": "exact", "overlap": True, "window": 2}):
        model = load(prepared[0], Settings(**settings))
        results.append(decoded(model, TOKENS, way))
        model.close()
    dense, streamed = results
    assert np.abs(dense - streamed).max() <= 1e-5 * np.abs(dense).max()
    assert np.array_equal(dense, streamed) or not available()


@pytest.mark.skipif(not available(), reason="where MLX computes, all neurons in memory are multiplied")
@pytest.mark.parametrize("selection", ["exact", "predictor"])
def test_every_way_gives_the_same_to_the_bit(prepared, selection):
    results = []
    for way in Way:
        model = load(prepared[0], Settings(selection=selection, overlap=True, window=1, hot_neurons=False))
        results.append(decoded(model, TOKENS, way))
        results.append(several_at_once(model, TOKENS[:5]))
        model.close()
    for way in range(1, len(Way)):
        assert np.array_equal(results[0], results[2 * way])
        assert np.array_equal(results[1], results[2 * way + 1])


@pytest.mark.parametrize(("asked", "selection"), [(None, "predictor"), (False, "predictor"), (None, "dense")])
def test_ways_are_tried_unasked_where_nothing_depends_on_them(prepared, asked, selection):
    model = load(prepared[0], Settings(selection=selection, overlap=asked, memory_budget=None))
    try:
        model.prefill(TOKENS[:2])
        for token in TOKENS[2:16]:
            model.decode(token)
        assert bool(model.overlap) == (asked is None and available() and selection != "dense")
    finally:
        model.close()


def several_at_once(model, tokens) -> np.ndarray:
    """Logits of tokens that are decoded together."""
    return np.array(model.verify(tokens)[0])


def test_reads_are_under_way_while_attention_is_computed(prepared):
    folder, family = prepared
    model = load(folder, Settings(selection="predictor", overlap=True, window=1, hot_neurons=False))
    reading, begun = [], []
    try:
        for module, layer in zip(model.network.layers, model.streaming.layers, strict=True):
            watch_attention(module, lambda b=layer: (reading.append(b.reads_ahead), begun.append(b.begun is not None)))
        decoded(model, TOKENS, Way.AHEAD)
        assert any(reading)
        assert all(begun) if family in PARALLEL else not any(begun)
        assert not any(layer.reads_ahead for layer in model.streaming.layers)
    finally:
        model.close()


def test_without_early_reads_nothing_begins_before_attention(prepared):
    model = load(prepared[0], Settings(selection="exact", window=1, hot_neurons=False, early_reads=False))
    begun = []
    try:
        for module, layer in zip(model.network.layers, model.streaming.layers, strict=True):
            watch_attention(module, lambda b=layer: begun.append(b.begun is not None or b.reads_ahead))
        decoded(model, TOKENS)
        assert len(begun) > 0
        assert not any(begun)
    finally:
        model.close()


def test_after_an_attention_that_failed_the_next_token_is_right(prepared):
    folder, _ = prepared
    expected, result = [], []
    for fails, logits in ((False, expected), (True, result)):
        model = load(folder, Settings(selection="exact", overlap=True, window=1))
        logits.append(decoded(model, TOKENS[:12], Way.AHEAD))
        if fails:
            watch_attention(model.network.layers[-1], broken := Broken())
            with pytest.raises(Broken.Error):
                model.decode(TOKENS[12])
            broken.mended = True
        logits += [np.array(model.decode(token)[0][0]) for token in TOKENS[12:]]
        model.close()
    expected, result = np.concatenate(expected), np.concatenate(result)
    assert np.abs(expected - result).max() <= 1e-5 * np.abs(expected).max()


class Broken:
    """Fails until it is mended."""

    class Error(Exception):
        pass

    mended = False

    def __call__(self):
        if not self.mended:
            raise self.Error


def watch_attention(layer, see) -> None:
    """Call see() whenever the layer's attention is computed for a token that is decoded."""
    name = "self_attention" if "self_attention" in layer else "self_attn"
    attention = layer[name]

    class Watched(type(attention)):
        def __call__(self, x, *others):
            if x.shape[1] == 1:
                see()
            return super().__call__(x, *others)

    attention.__class__ = Watched

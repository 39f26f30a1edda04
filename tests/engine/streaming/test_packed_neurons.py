"""Quantised neurons that are streamed compute what the same quantised model computes in memory, of every family."""

import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.arrays import packed
from engine.arrays.aligned import aligned_rows
from engine.bench.traces import RecordedSelection
from engine.inference.load import load
from engine.models.activations import Activation
from engine.prepare.prepare import prepare
from engine.settings import Settings
from engine.store.bundle_file import BundleFile
from engine.store.manifest import BUNDLES, ORDER, PreparedModel
from engine.store.packing import Packing
from engine.streaming.bundles import Part
from engine.streaming.packed_neurons import PackedProduct
from tests.helpers.checkpoints import FAMILIES, write_family, write_opt
from tests.helpers.packed import packed_parts

TOKENS = np.random.default_rng(5).integers(3, 60, size=24).tolist()
FORMS = [("opt", 8), ("opt", 4), ("llama", 4), ("bamboo", 8), ("sparsellama", 4), ("falcon-7b", 8), ("nemotron", 4)]
WIDE = {"hidden_size": 64}


def write(folder, family, tokenizer=False):
    if family == "opt":
        return write_opt(folder, tokenizer, ffn_dim=97, word_embed_proj_dim=64, **WIDE)
    sizes = {"head_dim": 16} if "head_dim" in FAMILIES[family] else {}
    return write_family(folder, family, tokenizer, **WIDE, **sizes)


@pytest.fixture(scope="module", params=FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
def models(request, tmp_path_factory):
    """A model with quantised neurons, and one in 32 bits of the very same weights."""
    family, bits = request.param
    folder = tmp_path_factory.mktemp("packed")
    original = write(folder / "original", family)
    prepare(original, folder / "packed", bits=bits)
    rounded = round_neurons(original, folder / "packed", folder / "rounded")
    prepare(rounded, folder / "plain", predictors="factorised")
    return folder / "packed", folder / "plain"


def round_neurons(original, prepared, out):
    """The checkpoint with the neurons' weights as the prepared model has them."""
    out.mkdir()
    tensors = load_file(original / "model.safetensors")
    orders, bundles = load_file(prepared / ORDER), BundleFile.open(prepared / BUNDLES)
    names = {"up": ("fc1", "up_proj", "dense_h_to_4h"), "down": ("fc2", "down_proj", "dense_4h_to_h"),
             "gate": ("gate_proj",)}  # fmt: skip
    raw = np.fromfile(prepared / BUNDLES, np.uint8)
    for layer, place in enumerate(bundles.layers):
        rows = raw[place.offset : place.offset + place.bytes].reshape(place.bundles, place.row_bytes)
        order = orders[f"layers.{layer}"]
        for part in bundles.parts:
            [name] = [n for n in tensors if f"layers.{layer}." in n.replace("h.", "layers.", 1)
                      and n.endswith("weight") and any(each in n for each in names[part])]  # fmt: skip
            values = np.empty((len(order), bundles.width), np.float32)
            values[order] = bundles.packing.part(rows, part)[: len(order)]
            tensors[name] = np.ascontiguousarray(values.T if part == "down" else values)
    save_file(tensors, out / "model.safetensors")
    (out / "config.json").write_bytes((original / "config.json").read_bytes())
    return out


def logits(folder, **settings) -> np.ndarray:
    """Logits of a prompt and of each token after it."""
    model = load(folder, Settings(**settings))
    try:
        found = [np.array(model.prefill(TOKENS[:8])[0][0, -1])]
        found += [np.array(model.decode(token)[0][0, -1]) for token in TOKENS[8:]]
    finally:
        model.close()
    return np.array(found)


def test_streamed_is_what_the_same_model_computes_in_memory(models):
    packed_model, plain = models
    wanted = logits(plain, selection="dense")
    found = logits(packed_model, selection="dense")
    assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("hot", [True, False])
def test_exact_selection_computes_what_all_neurons_do_to_the_bit(models, hot):
    packed_model, _ = models
    assert PreparedModel.open(packed_model).bundles.packing is not None
    dense, settings = logits(packed_model, selection="dense"), {"selection": "exact", "hot_neurons": hot}
    assert np.array_equal(logits(packed_model, window=2, **settings), dense)
    model = load(packed_model, Settings(**settings))
    budget = model.budget.smallest
    model.close()
    assert np.array_equal(logits(packed_model, memory_budget=budget, **settings), dense)
    beside = logits(packed_model, memory_budget=budget, overlap=True, **settings)  # what is read comes later
    assert np.array_equal(beside, dense)


def test_predicted_selection_reads_groups_and_loses_little(models):
    packed_model, _ = models
    dense, found = logits(packed_model, selection="dense"), []
    model = load(packed_model, Settings(selection="predictor", window=0, hot_neurons=False))
    recorded: list[list[np.ndarray]] = [[] for _ in range(model.layers)]
    model.replace_selectors(lambda i, selection: RecordedSelection(selection, recorded[i]))
    try:
        each = PreparedModel.open(packed_model).bundles.neurons
        found.append(np.array(model.prefill(TOKENS[:8])[0][0, -1]))
        for token in TOKENS[8:]:
            answer, current = model.decode(token)
            found.append(np.array(answer[0, -1]))
            groups = [len(np.unique(layer[-1] // each)) for layer in recorded]
            assert current.active == current.loaded == groups
            assert sum(groups) <= model.layers * model.bundles < model.layers * model.neurons
    finally:
        model.close()
    assert np.abs(np.array(found) - dense).max() <= 0.5 * np.abs(dense).max()


def test_without_bundling_every_part_is_a_read(models):
    packed_model, _ = models
    settings = {"selection": "exact", "window": 1, "hot_neurons": False}
    together, apart = (logits(packed_model, bundling=bundling, **settings) for bundling in (True, False))
    assert np.array_equal(together, apart)


# ------------------------------------------------------------------------------------------------ the product
GATED = [Activation("relu"), Activation("relu2"), Activation("relu", True), Activation("drelu", True)]


@pytest.mark.parametrize("activation", GATED, ids=lambda a: f"{a.name}-{a.gated}")
@pytest.mark.parametrize("tokens", [1, 3, 9])
@pytest.mark.parametrize("way", ["native", "mlx"])
def test_every_way_of_computing_gives_the_same(monkeypatch, activation, tokens, way):
    if way == "native" and not packed.available():
        pytest.skip("MLX computes on the GPU here")
    packing = Packing.of(4, activation.parts, 128, "float32")
    neurons = 5 * packing.neurons - 1
    parts, wide = packed_parts(packing, neurons, 3)
    slab = aligned_rows(7, packing.row_bytes, "U32")
    order, rows = np.random.default_rng(1).permutation(neurons), np.array([6, 0, 3, 2, 5])
    slab.view[rows] = packing.pack(parts, order)
    bias = np.random.default_rng(2).standard_normal(neurons).astype(np.float32)
    x = np.random.default_rng(4).standard_normal((1, tokens, 128)).astype(np.float32)
    monkeypatch.setattr("engine.streaming.neurons.available", lambda: way == "native")
    product = PackedProduct(activation, bias, packing)
    ids, none = np.arange(5), np.empty(0, np.int64)
    hidden, y = product.after(None, mx.array(x), Part(ids, slab, rows, none))
    *inputs, down = (part[order] for part in wide)
    products = [x[0] @ part.T for part in inputs]
    products[0] += bias
    wanted = activation.hidden(*products)
    assert np.allclose(np.array(hidden)[0, :, :neurons], wanted, rtol=1e-3, atol=1e-3)
    assert not np.array(hidden)[0, :, neurons:].any()
    assert np.allclose(np.array(y)[0], wanted @ down, rtol=1e-3, atol=1e-2)
    _, more = product.after(y, mx.array(x), Part(ids[2:], slab, rows[2:], none))
    part = wanted[:, 2 * packing.neurons :] @ down[2 * packing.neurons :]
    assert np.allclose(np.array(more)[0], wanted @ down + part, rtol=1e-3, atol=1e-2)


def test_bundles_that_are_still_arriving_add_nothing(monkeypatch):
    activation = Activation("relu")
    packing = Packing.of(8, activation.parts, 64, "float32")
    parts, _ = packed_parts(packing, 4 * packing.neurons, 3)
    slab = aligned_rows(4, packing.row_bytes, "U32")
    slab.view[:] = packing.pack(parts, np.arange(4 * packing.neurons))
    monkeypatch.setattr("engine.streaming.neurons.available", lambda: False)
    product = PackedProduct(activation, np.zeros(4 * packing.neurons, np.float32), packing)
    x = mx.random.normal((1, 1, 64))
    some = product.after(None, x, Part(np.arange(4), slab, slice(0, 4), np.array([1, 3])))[1]
    alone = product.after(None, x, Part(np.array([0, 2]), slab, np.array([0, 2]), np.empty(0, np.int64)))[1]
    assert np.allclose(np.array(some), np.array(alone), rtol=1e-5, atol=1e-5)

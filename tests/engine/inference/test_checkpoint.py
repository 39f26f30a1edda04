"""A checkpoint in MLX's format is run where it lies, and gives what mlx-lm computes with all of it in memory."""

import gc
import os
import threading
import weakref

import mlx.core as mx
import numpy as np
import pytest
from mlx.nn.layers.base import Module
from mlx_lm.models.cache import QuantizedKVCache

from engine.arrays.kv_cache import KVCache
from engine.bench.random_checkpoint import write_random_checkpoint
from engine.errors import CancelledError, CheckpointError
from engine.inference.checkpoint import without_head
from engine.inference.load import load
from engine.models.checkpoint import module_at
from engine.settings import Settings
from engine.streaming.early import EarlyModule
from engine.streaming.overlap import Way
from tests.helpers.dense_models import write_dense
from tests.helpers.held import Held
from tests.helpers.mlx_models import FORMS, InMemory, write_moe
from tests.helpers.moe_configs import VOCABULARY
from tests.helpers.planning import budgets_of, budgets_of_experts

TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 40).tolist()
PROMPT = 24


def streamed(folder, budget: int | None, **settings) -> np.ndarray:
    """Logits of the prompt's last token and of every token after it."""
    model = load(folder, Settings(memory_budget=budget, **settings))
    try:
        logits = [model.prefill(TOKENS[:PROMPT])[0][0, -1]]
        logits += [model.decode(token)[0][0, -1] for token in TOKENS[PROMPT:]]
        return np.stack([np.array(row) for row in logits])
    finally:
        model.close()


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    spread = expected.max() - expected.min()
    assert np.abs(found - expected).max() <= 1e-4 * spread
    assert np.array_equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_quantisation_gives_the_logits_of_mlx_lm(form, tmp_path):
    folder = write_moe(tmp_path / "model", form=FORMS[form], hidden_size=128, moe_intermediate_size=128)
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    for budget in budgets_of_experts(folder):
        assert_equal(streamed(folder, budget), expected)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """Folder, and mlx-lm's logits of all tokens."""
    folder = write_moe(tmp_path_factory.mktemp("moe") / "qwen")
    return folder, np.array(InMemory(folder).logits(TOKENS))


@pytest.mark.parametrize("window", [0, 1, 2, 7])
@pytest.mark.parametrize("overlap", [False, True])
def test_every_window_and_way_gives_the_same(qwen, window, overlap):
    folder, expected = qwen
    for budget in budgets_of_experts(folder)[:2]:
        assert_equal(streamed(folder, budget, window=window, overlap=overlap), expected[PROMPT - 1 :])


@pytest.mark.parametrize("model_type", ["qwen3_moe", "gpt_oss", "deepseek_v3", "gemma4_text", "llama4", "nemotron_h"])
def test_slots_are_not_overwritten_before_who_reads_them_is_computed(model_type, tmp_path):
    """Tokens whose logits nobody looks at leave graphs that read the slots."""
    folder = write_moe(tmp_path / "model", model_type)
    expected = np.array(InMemory(folder).logits(TOKENS))
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[0]))
    try:
        caches, late = model.caches, []
        for token in TOKENS:
            model.streaming.passes.begin()
            model.streaming.passes.advance(1)
            late.append(model.network(mx.array([[token]]), cache=caches)[0, 0])
        assert_equal(np.stack([np.array(row) for row in late]), expected)
    finally:
        model.close()


def test_all_logits_of_a_prompt_are_there_for_who_measures(qwen):
    folder, expected = qwen
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[0]))
    try:
        assert_equal(np.array(model.prefill(TOKENS, observer=Watcher())[0][0]), expected)
    finally:
        model.close()


class Watcher:
    """Wants all logits, and nothing else."""

    def computed(self, layer, hidden):
        pass

    def streamed(self, layer, x, neurons, hidden):
        pass


def test_what_comes_from_flash_is_named(qwen, tmp_path):
    dense = write_moe(tmp_path / "dense", mlp_only_layers=list(range(64)))
    for folder, budget, kind in ((qwen[0], None, "expert"), (dense, budgets_of(dense)[0], "block"), (dense, None, "")):
        model = load(folder, Settings(memory_budget=budget))
        assert model.streams == kind
        model.close()


def test_a_token_is_counted(qwen):
    folder, _ = qwen
    smallest, _, largest = budgets_of_experts(folder)
    model = load(folder, Settings(memory_budget=smallest))
    try:
        assert model.streaming.capacities == (4, 4, 4)
        model.prefill(TOKENS[:PROMPT])
        bundle = model.streaming.layers[0].source.layout.bundle_bytes
        for token in TOKENS[PROMPT:]:
            current = model.decode(token)[1]
            assert current.active == [4, 4, 4]
            assert current.resident == [4, 4, 4]
            row_bytes = model.streaming.tables[0].bundles.source.layout.bundle_bytes
            assert current.bytes_read - sum(current.loaded) * bundle in (0, row_bytes)
    finally:
        model.close()
    model = load(folder, Settings(memory_budget=largest))
    try:
        assert model.streaming.capacities == (16, 16, 16)
        model.prefill(TOKENS * 2)
        reads = [model.decode(token)[1].reads for token in TOKENS]
        assert not any(reads[-8:])
    finally:
        model.close()


def test_a_prompt_leaves_its_most_used_experts_in_memory(qwen):
    folder, _ = qwen
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[1]))
    try:
        model.prefill(TOKENS)
        assert all(layer.pool.num_held == layer.pool.capacity for layer in model.streaming.layers[:-1])
        assert sum(model.decode(TOKENS[0])[1].loaded) < 12
    finally:
        model.close()


def test_of_a_prompt_the_last_layer_computes_its_last_token_alone(qwen):
    """Its experts change nothing that a cache holds."""
    folder, _ = qwen
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[1]))
    try:
        loaded = model.prefill(TOKENS)[1].loaded
        assert min(loaded[:-1]) > 4 >= loaded[-1]
        assert model.prefill(TOKENS, observer=Watcher())[1].loaded[-1] > 4  # whose logits are all looked at
    finally:
        model.close()


@pytest.mark.parametrize("model_type", ["qwen3_moe", "qwen3_next", "gpt_oss", "granitemoehybrid", "lfm2_moe"])
def test_going_back_is_as_if_the_rest_had_never_been(model_type, tmp_path):
    """Regenerating, editing, branching: also where caches rotate or recur, and cannot be trimmed."""
    folder = write_moe(tmp_path / "model", model_type)
    expected = np.array(InMemory(folder).logits(TOKENS))
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[1]))
    try:
        for _ in range(2):
            kept = model.trim(min(len(model.cached_tokens), PROMPT - 1))
            logits = [np.array(model.prefill(TOKENS[kept:PROMPT])[0][0, -1])]
            logits += [np.array(model.decode(token)[0][0, -1]) for token in TOKENS[PROMPT:]]
            assert_equal(np.stack(logits), expected[PROMPT - 1 :])
        assert model.trim(PROMPT - 1) == PROMPT - 1  # no token of the prompt is computed again
        assert model.trim(5) in (0, 5)
    finally:
        model.close()


def test_a_token_that_was_stopped_leaves_the_context_as_it_was(tmp_path):
    folder = write_moe(tmp_path / "model", "qwen3_next")
    expected = np.array(InMemory(folder).logits(TOKENS))
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[0]))
    try:
        model.prefill(TOKENS[:PROMPT])
        stopped = threading.Event()
        stopped.set()
        with pytest.raises(CancelledError):
            model.decode(TOKENS[PROMPT], cancelled=stopped)
        kept = len(model.cached_tokens)
        rest = np.array(model.prefill(TOKENS[kept:], observer=Watcher())[0][0])
        assert_equal(rest, expected[kept:])
    finally:
        model.close()


@pytest.mark.parametrize("read_at_once", [False, True])
def test_a_model_that_streams_nothing_is_stopped_before_its_next_token(tmp_path, read_at_once):
    folder = write_moe(tmp_path / "model", num_experts=0, mlp_only_layers=[0, 1, 2])
    model = load(folder, Settings(read_at_once=read_at_once))
    try:
        assert model.streams == ""
        model.prefill(TOKENS[:PROMPT])
        stopped = threading.Event()
        stopped.set()
        with pytest.raises(CancelledError):
            model.decode(TOKENS[PROMPT], cancelled=stopped)
        with pytest.raises(CancelledError):
            model.prefill(TOKENS[PROMPT:], cancelled=stopped)
        assert model.cached_tokens == TOKENS[:PROMPT]
    finally:
        model.close()


def test_nothing_is_copied_to_be_multiplied(tmp_path):
    # On the CPU, scales that are floats would be converted to float32 with every product.
    shape = {"hidden_size": 256, "moe_intermediate_size": 256, "num_hidden_layers": 1}
    folder = write_moe(tmp_path / "model", form=FORMS["mxfp4"], **shape)
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[2]))
    try:
        model.prefill(TOKENS * 2)
        model.decode(TOKENS[0])
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        model.decode(TOKENS[1])
        assert mx.get_peak_memory() - before < model.streaming.layers[0].pool.view.nbytes / 4
    finally:
        model.close()


def test_memory_is_given_back_and_the_answer_goes_on(qwen):
    folder, expected = qwen
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[1]))
    try:
        logits = [np.array(model.prefill(TOKENS[:PROMPT])[0][0, -1])]
        for token in TOKENS[PROMPT:]:
            model.give_back()
            logits.append(np.array(model.decode(token)[0][0, -1]))
        assert model.streaming.capacities == model.budget.capacities[:3] == (4, 4, 4)
        assert_equal(np.stack(logits), expected[PROMPT - 1 :])
    finally:
        model.close()


def test_experts_that_are_stored_otherwise_are_refused_in_a_line(tmp_path):
    folder = write_moe(tmp_path / "model", form=None)
    weights = mx.load(str(folder / "model.safetensors"))
    for name in [name for name in weights if "switch_mlp" in name]:
        stacked = weights.pop(name)
        for expert in range(len(stacked)):
            weights[name.replace("switch_mlp", f"experts.{expert}")] = stacked[expert]
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    with pytest.raises(CheckpointError, match=r"not stored as they are used .*`flashbulb prepare`"):
        load(folder)


def test_a_model_without_experts_runs_in_memory(tmp_path):
    folder = write_moe(tmp_path / "model", num_experts=0, mlp_only_layers=[0, 1, 2])
    expected = np.array(InMemory(folder).logits(TOKENS))
    assert_equal(streamed(folder, None), expected[PROMPT - 1 :])


@pytest.mark.parametrize("model_type", ["qwen3_moe", "qwen3_next", "gpt_oss", "deepseek_v3", "gemma4_text", "mixtral"])
def test_the_next_layers_router_is_asked_before_and_what_it_says_is_never_wrong(model_type, tmp_path):
    more = {"num_local_experts": 16} if model_type in ("gpt_oss", "mixtral") else {}  # a fifth of a pool is guessed
    folder = write_moe(tmp_path / "model", model_type, **more)
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[1], overlap=True))
    try:
        model.streaming.overlap.begin = lambda: None
        model.streaming.overlap.way = Way.BOTH
        logits = [np.array(model.prefill(TOKENS[:PROMPT])[0][0, -1])]
        logits += [np.array(model.decode(token)[0][0, -1]) for token in TOKENS[PROMPT:]]
        assert_equal(np.stack(logits), expected)
        learned = [layer.look_ahead for layer in model.streaming.layers[1:]]
        assert all(ahead.read >= ahead.right for ahead in learned)
        assert sum(ahead.read for ahead in learned) > 0
    finally:
        model.close()


@pytest.mark.parametrize("model_type", ["qwen2_moe", "granitemoehybrid", "llama4"])
def test_what_stands_beside_the_experts_is_computed_while_they_are_read_and_once(model_type, tmp_path):
    """llama4's shared expert is given another input than the experts, so that it has to wait its turn."""
    folder = write_moe(tmp_path / "model", model_type)
    expected = np.array(InMemory(folder).logits(TOKENS))[PROMPT - 1 :]
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[0], overlap=True))
    try:
        model.streaming.overlap.begin = lambda: None
        model.streaming.overlap.way = Way.BOTH
        found = [module for _, module in model.network.named_modules() if isinstance(module, EarlyModule)]
        counted = [Counted(module.module) for module in found]
        for early, module in zip(found, counted, strict=True):
            early.module = module
        assert found
        logits = [np.array(model.prefill(TOKENS[:PROMPT])[0][0, -1])]
        for module in counted:
            module.times = 0
        logits += [np.array(model.decode(token)[0][0, -1]) for token in TOKENS[PROMPT:]]
        assert_equal(np.stack(logits), expected)
        more = 1 if model_type == "llama4" else 0  # until that is known
        for module in counted:
            assert len(TOKENS) - PROMPT <= module.times <= len(TOKENS) - PROMPT + more
    finally:
        model.close()


class Counted(Module):
    """A module that counts its calls."""

    def __init__(self, module):
        super().__init__()
        self.module, self.times = module, 0

    def __call__(self, x):
        self.times += 1
        return self.module(x)


def test_a_loaded_checkpoint_holds_no_tensor_as_it_was_stored_beside_what_it_computes_with(tmp_path):
    """Twice the memory would be there, as it computes in another dtype."""
    folder = write_moe(tmp_path / "model", form=None, hidden_size=256, vocab_size=4096)
    before = mx.get_active_memory()
    model = load(folder, Settings(context=256))
    try:
        assert not hasattr(model.network, "sanitize") or "sanitize" not in vars(model.network)
        assert mx.get_active_memory() - before <= model.budget.total
    finally:
        model.close()


@pytest.mark.parametrize("tied", [False, True])
def test_a_block_whose_logits_nobody_wants_computes_none(tied, tmp_path):
    folder = write_moe(tmp_path / "model", tie_word_embeddings=tied)
    path = "model.embed_tokens" if tied else "lm_head"
    for budget in budgets_of_experts(folder)[::2]:
        model = load(folder, Settings(memory_budget=budget))
        try:
            head = module_at(model.network, path)
            with without_head(model.network, path):
                there = module_at(model.network, path)
                logits = (there.as_linear if tied else there)(mx.zeros((1, 3, 64)))
            assert logits.shape == (1, 3, 1)
            assert module_at(model.network, path) is head
            assert not tied or head.as_linear(mx.zeros((1, 3, 64))).shape == (1, 3, 320)
        finally:
            model.close()


@pytest.mark.skipif(mx.metal.is_available(), reason="nothing is converted")
def test_weights_that_are_converted_while_loading_are_never_there_twice(tmp_path):
    width, vocabulary = 64, 100_000
    config = {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "vocab_size": vocabulary,
        "max_position_embeddings": 64,
        "tie_word_embeddings": True,
    }
    write_random_checkpoint(tmp_path / "dense", config, None)
    budget = budgets_of(tmp_path / "dense")[2]
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    model = load(tmp_path / "dense", Settings(memory_budget=budget))
    try:
        held = mx.get_active_memory() - before
        assert held >= 4 * width * vocabulary
        assert mx.get_peak_memory() - before <= held + width * vocabulary
    finally:
        model.close()


def test_a_context_in_8_bits_takes_half_of_the_memory_and_says_nearly_the_same(tmp_path):
    folder = write_moe(tmp_path / "model", head_dim=64)
    found = {}
    for small in (False, True):
        model = load(folder, Settings(small_context=small))
        try:
            logits = [np.array(model.prefill(TOKENS[:PROMPT])[0][0, -1])]
            logits += [np.array(model.decode(token)[0][0, -1]) for token in TOKENS[PROMPT:]]
            found[small] = np.stack(logits), model.budget.items["kv_cache"]
            assert {type(cache) for cache in model.caches} == {QuantizedKVCache if small else KVCache}
            model.prefill(TOKENS * (300 // len(TOKENS)))
            assert {np.array(cache.keys[0] if small else cache.keys).shape[2] for cache in model.caches} == {512}
        finally:
            model.close()
    (exact, whole), (near, half) = found[False], found[True]
    assert half < 0.6 * whole
    assert 0 < np.abs(near - exact).max() < 0.05 * np.ptp(exact)


def test_a_model_whose_heads_know_no_8_bits_keeps_its_context_as_it_is(tmp_path):
    model = load(write_moe(tmp_path / "model", head_dim=16), Settings(small_context=True))
    try:
        model.prefill(TOKENS[:PROMPT])
        assert {type(cache) for cache in model.caches} == {KVCache}
    finally:
        model.close()


@pytest.mark.parametrize(
    ("write", "model_type"),
    [(write_moe, "qwen3_moe"), (write_moe, "qwen3_next"), (write_dense, "llama"), (write_dense, "gemma3n")],
)
def test_a_model_that_was_closed_is_gone_before_garbage_is_looked_for(write, model_type, tmp_path):
    """Its files and its slots are needed by the next one."""
    folder = write(tmp_path / "model", model_type)
    for budget in budgets_of(folder):
        gc.collect()
        gc.disable()
        try:
            model = load(folder, Settings(memory_budget=budget))
            model.prefill(TOKENS[:PROMPT])
            model.decode(TOKENS[PROMPT])
            layers = [weakref.ref(layer) for layer in (*model.streaming.all_layers, *model.streaming.all_others)]
            model.close()
            del model
            assert layers
            assert not any(layer() for layer in layers)
            assert str(folder / "model.safetensors") not in Held.of(os.getpid()).open
        finally:
            gc.enable()

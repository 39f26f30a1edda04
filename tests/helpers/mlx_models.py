"""Tiny mixture-of-experts checkpoints in MLX's format, made by mlx-lm's own classes: each architecture, each form."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.nn.layers.quantized import QuantizedEmbedding
from mlx.utils import tree_flatten, tree_map
from mlx_lm.models.cache import make_prompt_cache
from mlx_lm.utils import load_model

from engine.models.mlx_lm import build_quantised
from tests.helpers.moe_configs import CONFIGS, VOCABULARY

AFFINE4 = {"group_size": 32, "bits": 4, "mode": "affine"}
FORMS: dict[str, dict[str, Any] | None] = {  # by name, of quantisation; None: 32 bits
    "affine-2-g32": {"group_size": 32, "bits": 2, "mode": "affine"},
    "affine-3-g64": {"group_size": 64, "bits": 3, "mode": "affine"},
    "affine-4-g32": AFFINE4,
    "affine-4-g128": {"group_size": 128, "bits": 4, "mode": "affine"},
    "affine-5-g64": {"group_size": 64, "bits": 5, "mode": "affine"},
    "affine-6-g32": {"group_size": 32, "bits": 6, "mode": "affine"},
    "affine-8-g64": {"group_size": 64, "bits": 8, "mode": "affine"},
    "mxfp4": {"group_size": 32, "bits": 4, "mode": "mxfp4"},
    "mxfp8": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    "nvfp4": {"group_size": 16, "bits": 4, "mode": "nvfp4"},
    "float32": None,
}


def write_moe(
    folder: Path, model_type: str = "qwen3_moe", form: dict[str, Any] | None = AFFINE4, **changed: Any
) -> Path:
    """A checkpoint of random weights in a new folder. changed: of the config."""
    mx.random.seed(1)
    model, config = build_quantised({"model_type": model_type, **CONFIGS[model_type], **changed}, form)
    if form is None:
        model.set_dtype(mx.float32)
    # Routers that are zero to begin with would choose the same experts for every token.
    model.update(tree_map(lambda a: _random(a) if a.ndim > 1 else a, model.parameters()))
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), dict(tree_flatten(model.parameters())))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _random(array: mx.array) -> mx.array:
    is_zero = mx.issubdtype(array.dtype, mx.floating) and not mx.any(array != 0).item()
    return mx.random.normal(array.shape).astype(array.dtype) if is_zero else array


class _FloatEmbedding(QuantizedEmbedding):
    """MLX's own is bfloat16 where scales are no floats."""

    def __call__(self, x: mx.array) -> mx.array:
        return super().__call__(x).astype(mx.float32)


class InMemory:
    """mlx-lm's own model, all of it in memory, computing in float32; on Metal as its scales are."""

    def __init__(self, folder: Path):
        self._model, _ = load_model(folder)
        if mx.metal.is_available():
            return
        self._model.set_dtype(mx.float32)
        for module in self._model.modules():
            if type(module) is QuantizedEmbedding:
                module.__class__ = _FloatEmbedding

    def logits(self, tokens: list[int]) -> mx.array:
        """float32 [tokens, vocabulary]."""
        logits = self._model(mx.array([tokens]), cache=make_prompt_cache(self._model))[0].astype(mx.float32)
        mx.eval(logits)
        return logits

    def step_by_step(self, tokens: list[int], prompt: int) -> mx.array:
        """As `logits` of a prompt's last token and of all after it, which come one by one: some architectures of mlx-lm
        say something else of several at once."""
        cache = make_prompt_cache(self._model)
        self._model(mx.array([tokens[: prompt - 1]]), cache=cache)
        found = [self._model(mx.array([[token]]), cache=cache)[0, -1] for token in tokens[prompt - 1 :]]
        logits = mx.stack(found).astype(mx.float32)
        mx.eval(logits)
        return logits

    def greedy(self, tokens: list[int], count: int) -> tuple[list[int], mx.array]:
        """The likeliest `count` tokens after these, one by one, and the logits that say so, [count, vocabulary]."""
        cache, following, found = make_prompt_cache(self._model), tokens, []
        for _ in range(count):
            logits = self._model(mx.array([following]), cache=cache)[0, -1].astype(mx.float32)
            mx.eval(logits)
            found.append(logits)
            following = [mx.argmax(logits).item()]
        return [mx.argmax(logits).item() for logits in found], mx.stack(found)


def write_original(folder: Path, tokenizer: bool = True) -> Path:
    """A mixture of experts as its makers publish it: 16 bits, a tensor for each matrix of each expert."""
    from tests.helpers.checkpoints import write_tokenizer

    mx.random.seed(1)
    config = {"model_type": "qwen3_moe", **CONFIGS["qwen3_moe"], "hidden_size": 64, "moe_intermediate_size": 64}
    model, _ = build_quantised(config, None)
    weights = {}
    for name, array in tree_flatten(model.parameters()):
        values = (0.05 * mx.random.normal(array.shape)).astype(mx.bfloat16)
        if ".switch_mlp." in name:
            weights |= {name.replace("switch_mlp", f"experts.{e}"): expert for e, expert in enumerate(values)}
        else:
            weights[name] = values
    folder.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    (folder / "config.json").write_text(json.dumps(config))
    if tokenizer:
        write_tokenizer(folder, VOCABULARY)
    return folder

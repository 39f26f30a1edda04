"""The outlook of a model on this machine, before anything of it is downloaded: the cost model on its config.

Where even the config is not known, that of a usual transformer with as many parameters takes its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.flash.profile import DriveProfile
from engine.memory.budget import FLOAT32_BELOW, FREE_MEMORY_SHARE, SHARE_WITHOUT_BUDGET, SPARE_ROWS
from engine.planning.cost import PREDICTOR_SHARE, WORKSPACE, predict
from engine.planning.expert_cost import ExpertLayer, ModelCost, predict_experts
from engine.planning.reuse import like_opt
from engine.planning.shape import CONTEXT, ModelShape

READS_AN_EXPERT = 9  # weights, scales and biases of three matrices
CONTEXT_BYTES = 500_000_000  # of a conversation, where no config says more
USUAL_SPARSITY = 0.9  # where nobody has measured it
GATED = ("bamboo", "llama", "mistral", "sparsellama")
VOCABULARY = {True: 32_000, False: 50_272}  # of gated models, and of others: what is usual
FFN = {True: 2.6875, False: 4.0}  # neurons for each element of the width
ASPECT = 128  # width for each layer
MAX_LAYERS = 1_000


@dataclass(frozen=True)
class Estimate:
    """Bytes of memory: smallest and whole are the budgets below which it does not run, and with which nothing streams;
    budget is the one assumed. tokens_per_second: None where the drive was not measured, or the budget is too small.
    """

    smallest: int
    whole: int
    budget: int
    tokens_per_second: float | None


def estimate(
    config: dict[str, Any],
    sparsity: float | None,
    profile: DriveProfile | None,
    budget: int | None,
    window: int,
    dtype: str | None = None,
    available: int = 0,
) -> Estimate:
    """config: a Hugging Face config.json, parsed, or a `usual_config`. sparsity: share of neurons that are zero for a
    token. budget: bytes, None for what the engine takes by itself where `available` bytes of memory are free.

    Raises CheckpointError if the config does not say how large the model is.
    """
    small = ModelShape.from_config(config, dtype).model_bytes < FLOAT32_BELOW
    computed = "float32" if small else None
    shape = ModelShape.from_config(config, dtype, computed)
    selected = max(0.001, 1 - (USUAL_SPARSITY if sparsity is None else sparsity))
    predictors = int(PREDICTOR_SHARE * shape.model_bytes) if shape.streams_neurons else 0
    fixed = shape.resident_bytes + predictors + shape.context_bytes(shape.context) + WORKSPACE
    smallest = fixed + _smallest_pools(shape, selected)
    whole = fixed + shape.bundle_bytes
    if budget is None:
        share = 1.0 if whole <= FREE_MEMORY_SHARE * available else SHARE_WITHOUT_BUDGET
        budget = max(smallest, fixed + int(share * shape.bundle_bytes))
    budget = min(budget, whole)
    speed = None
    if profile and shape.streams_neurons and budget >= smallest:
        expected = predict(
            config, profile, budget, window, reuse=like_opt(selected), dtype=dtype, compute_dtype=computed, fixed=fixed
        )
        speed = expected.tokens_per_second
    elif profile and not shape.streams_neurons and budget >= smallest:
        layers = [ExpertLayer(b.count, b.bytes, READS_AN_EXPERT, b.chosen or b.count) for b in shape.bundles]
        speed = _speed(layers, shape.attention_bytes + shape.head_bytes, profile, budget, fixed)
    return Estimate(smallest, whole, budget, speed)


def estimate_experts(
    experts: dict[str, int] | None, model_bytes: int, profile: DriveProfile | None, budget: int | None
) -> Estimate:
    """Of a model that runs as it is, of which no config is known. experts: as the catalogue says, None for a model
    without any, all of which is resident."""
    layers, resident = [], model_bytes
    if experts:
        layer = ExpertLayer(experts["count"], experts["bytes"], READS_AN_EXPERT, experts["chosen"])
        layers, resident = [layer] * experts["layers"], experts["resident_bytes"]
    fixed = resident + CONTEXT_BYTES + WORKSPACE
    smallest = fixed + sum(layer.chosen * layer.bytes for layer in layers)
    whole = fixed + sum(layer.count * layer.bytes for layer in layers)
    if budget is None:
        budget = max(smallest, fixed + int(SHARE_WITHOUT_BUDGET * (whole - fixed)))
    budget = min(budget, whole)
    speed = _speed(layers, resident, profile, budget, fixed) if profile and budget >= smallest else None
    return Estimate(smallest, whole, budget, speed)


def _speed(layers: Sequence[ExpertLayer], multiplied: int, profile: DriveProfile, budget: int, fixed: int) -> float:
    """Tokens a second of a model of experts whose slots share what is left of a budget."""
    share = min(1.0, (budget - fixed) / max(1, sum(layer.count * layer.bytes for layer in layers)))
    slots = [int(share * layer.count) for layer in layers]
    return predict_experts(ModelCost(layers, multiplied), profile, slots, budget, fixed, 1).tokens_per_second


def _smallest_pools(shape: ModelShape, selected: float) -> int:
    """Bytes of the pools that hold what one token needs."""
    if shape.streams_neurons:
        return int(min(1.0, SPARE_ROWS * selected) * shape.bundle_bytes)
    return sum(bundle.bytes * (bundle.chosen or bundle.count) for bundle in shape.bundles)


def usual_config(parameters: int, model_type: str) -> dict[str, Any]:
    """A config like those of most transformers of that size: Llama's where its kind has gated FFNs, else OPT's."""
    gated = model_type in GATED
    width = max(64, round(ASPECT * (parameters / (12 * ASPECT**2)) ** (1 / 3) / 64) * 64)
    embeddings = VOCABULARY[gated] * width * (2 if gated else 1)
    layers = min(MAX_LAYERS, max(1, round((parameters - embeddings) / (12 * width**2))))
    kind = {"model_type": "llama", "hidden_act": "relu"} if gated else {"model_type": "opt"}
    return kind | {
        "activation_function": "relu",
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "num_hidden_layers": layers,
        "intermediate_size": round(FFN[gated] * width),
        "ffn_dim": round(FFN[gated] * width),
        "max_position_embeddings": CONTEXT,
        "vocab_size": VOCABULARY[gated],
        "torch_dtype": "bfloat16",
    }

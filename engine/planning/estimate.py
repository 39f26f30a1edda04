"""The outlook of a model on this machine, before anything of it is downloaded: the cost model on its config.

Where even the config is not known, that of a usual transformer with as many parameters takes its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from engine.errors import CheckpointError
from engine.flash.profile import DriveProfile
from engine.memory.budget import MAX_FLOAT32_BYTES, SHARE_WITHOUT_BUDGET, plan
from engine.memory.pool import ROW_BOOKKEEPING
from engine.models import ARCHITECTURES, build
from engine.planning.cost import ModelCost, Prediction, predict
from engine.planning.layers import ExpertLayer, NeuronLayer, StreamedLayer, layers_of
from engine.planning.measured import UNMEASURED, Measured
from engine.planning.memory import FIRST_TOKENS, FORECAST_TOKENS, default_share
from engine.planning.reuse import OPT, Reuse, like_opt
from engine.planning.shape import BundleShape, ModelShape
from engine.settings import Settings

PREDICTOR_SHARE = 0.024  # of the weights, where the predictors' size is not known (paper, B.3)
WORKSPACE_BYTES = 96_000_000  # bytes: stream buffers, activations, what MLX keeps, reader threads
READS_AN_EXPERT = 9  # weights, scales and biases of three matrices
CONTEXT_BYTES = 500_000_000  # of a conversation, where no config says more
USUAL_SPARSITY = 0.9  # where nobody has measured it
VOCABULARY = {True: 32_000, False: 50_272}  # of gated models, and of others: what is usual
FFN_RATIO = {True: 2.6875, False: 4.0}  # neurons for each element of the width
ASPECT_RATIO = 128  # width for each layer
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
    measured: Measured = UNMEASURED,
    bits: int | None = None,
) -> Estimate:
    """config: a Hugging Face config.json, parsed, or a `usual_config`. sparsity: share of neurons that are zero for a
    token. budget: bytes, None for what the engine takes by itself where `available` bytes of memory are free.
    measured: of the model's answers on this machine. bits: of neurons that are quantised, several of which are one
    bundle; sparsity is then of bundles.

    Raises CheckpointError if the config does not say how large the model is.
    """
    small = ModelShape.from_config(config, dtype, bits=bits).model_bytes < MAX_FLOAT32_BYTES
    shape = ModelShape.from_config(config, dtype, "float32" if small else None, bits)
    selected = max(0.001, 1 - (USUAL_SPARSITY if sparsity is None else sparsity))
    model = ModelCost(shape, _layers(shape, like_opt(selected)), _predictor_bytes(shape))
    return _estimate(model, _fixed_bytes(model), profile, Settings(window, budget), available, measured)


def estimate_experts(
    experts: dict[str, int] | None,
    model_bytes: int,
    profile: DriveProfile | None,
    budget: int | None,
    measured: Measured = UNMEASURED,
) -> Estimate:
    """Of a model that runs as it is, of which no config is known. experts: as the catalogue says, None for a model
    without any, all of which is resident."""
    bundles: tuple[BundleShape, ...] = ()
    resident = model_bytes
    if experts:
        size, resident = experts["bytes"], experts["resident_bytes"]
        layer = BundleShape("expert", "", experts["count"], size, size, READS_AN_EXPERT, chosen=experts["chosen"])
        bundles = (layer,) * experts["layers"]
    shape = ModelShape(bundles, (), resident, 0, 0, 0, FORECAST_TOKENS, "bfloat16", "bfloat16", packed=True)
    model = ModelCost(shape, [ExpertLayer(each) for each in bundles])
    return _estimate(
        model, resident + CONTEXT_BYTES + WORKSPACE_BYTES, profile, Settings(memory_budget=budget), 0, measured
    )


def predict_config(
    config: dict[str, Any],
    profile: DriveProfile,
    settings: Settings,
    *,
    reuse: Reuse = OPT,
    dtype: str | None = None,
    predictor_bytes: int | None = None,
) -> Prediction:
    """The cost of a decoded token of a model of neurons, of which nothing but its config is known.

    settings: without a budget, half of the neurons are in memory. reuse: how every layer's neurons are used again.
    Raises CheckpointError for a config that makes no model, or one whose neurons are not streamed.
    """
    shape = ModelShape.from_config(config, dtype)
    if not shape.streams_neurons:
        raise CheckpointError("How fast this model would be is not known: it streams no neurons.")
    predictors = _predictor_bytes(shape) if predictor_bytes is None else predictor_bytes
    reads = 1 if settings.bundling else shape.parts
    model = ModelCost(shape, [NeuronLayer(each, reuse.selected, reuse, reads) for each in shape.bundles], predictors)
    fixed = _fixed_bytes(model, settings.context)
    budget = settings.memory_budget or fixed + int(SHARE_WITHOUT_BUDGET * _pool_bytes(model.layers))
    return predict(model, profile, _slots(model.layers, budget - fixed), settings, budget, fixed)


def usual_config(parameters: int, model_type: str) -> dict[str, Any]:
    """A config like those of most transformers of that size: Llama's where its kind has gated FFNs, else OPT's."""
    gated = _is_gated(model_type)
    width = max(64, round(ASPECT_RATIO * (parameters / (12 * ASPECT_RATIO**2)) ** (1 / 3) / 64) * 64)
    embeddings = VOCABULARY[gated] * width * (2 if gated else 1)
    layers = min(MAX_LAYERS, max(1, round((parameters - embeddings) / (12 * width**2))))
    neurons = round(FFN_RATIO[gated] * width)
    return _config_of("llama" if gated else "opt", width, neurons, layers, VOCABULARY[gated])


@cache
def _is_gated(model_type: str) -> bool:
    """True if the FFNs of such models are gated, as the smallest of them says."""
    if model_type not in ARCHITECTURES:
        return False
    model, _ = build(_config_of(model_type, width=64, neurons=64, layers=1, vocabulary=64))
    return bool(model.layers[0].ffn.activation.gated)


def _config_of(model_type: str, width: int, neurons: int, layers: int, vocabulary: int) -> dict[str, Any]:
    family = ARCHITECTURES[model_type]
    return {
        "model_type": model_type,
        family.key: family.activations[0],
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "num_hidden_layers": layers,
        "intermediate_size": neurons,
        "ffn_dim": neurons,
        "max_position_embeddings": FORECAST_TOKENS,
        "vocab_size": vocabulary,
        "torch_dtype": "bfloat16",
    }


def _estimate(
    model: ModelCost,
    fixed: int,
    profile: DriveProfile | None,
    settings: Settings,
    available: int,
    measured: Measured,
) -> Estimate:
    """fixed: bytes of all but the pools."""
    demands = [layer.demand() for layer in model.layers]
    longer = model.shape.context_bytes(FORECAST_TOKENS) - model.shape.context_bytes(FIRST_TOKENS)
    least = sum(demand.bytes(demand.minimum) for demand in demands)
    smallest = fixed - longer + least
    whole = fixed + sum(demand.bytes(demand.bundles) for demand in demands)
    budget = settings.memory_budget
    if budget is None:
        budget = max(smallest, fixed + int(default_share(fixed, demands, available) * (whole - fixed)))
    budget = min(budget, whole)
    if profile is None or budget < smallest:
        return Estimate(smallest, whole, budget, None)
    held = min(fixed, budget - least)  # near the smallest budget the context is shorter
    slots = plan(budget, {"resident": held}, demands).capacities
    expected = predict(model, profile, slots, settings, budget, held, measured)
    return Estimate(smallest, whole, budget, expected.tokens_per_second)


def _layers(shape: ModelShape, reuse: Reuse) -> list[StreamedLayer]:
    if shape.streams_neurons:
        return [NeuronLayer(bundles, reuse.selected, reuse) for bundles in shape.bundles]
    return layers_of(shape)


def _predictor_bytes(shape: ModelShape) -> int:
    return int(PREDICTOR_SHARE * shape.model_bytes) if shape.streams_neurons else 0


def _fixed_bytes(model: ModelCost, context: int | None = None) -> int:
    """Bytes of all but the pools."""
    context_bytes = model.shape.context_bytes(context or min(model.shape.context, FORECAST_TOKENS))
    return model.shape.resident_bytes + model.selector_bytes + context_bytes + WORKSPACE_BYTES


def _pool_bytes(layers: Sequence[StreamedLayer]) -> int:
    return sum(layer.bundles.count * (layer.bundles.bytes + ROW_BOOKKEEPING) for layer in layers)


def _slots(layers: Sequence[StreamedLayer], room: int) -> list[float]:
    """Slots of layers that share `room` bytes, each the same part of its bundles."""
    share = max(0.0, min(1.0, room / max(1, _pool_bytes(layers))))
    return [share * layer.bundles.count for layer in layers]

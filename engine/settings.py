"""What a user can choose: how a model is held, and how it answers."""

import math
from dataclasses import dataclass

SELECTIONS = ("predictor", "exact", "dense")


@dataclass(frozen=True)
class Settings:
    """How a model is loaded.

    window: tokens for which a neuron stays in memory (paper, section 3.1); 0 keeps nothing from token to token.
    memory_budget: bytes, a hard ceiling on what loading and running the model adds to the process; None takes room for
    half of the FFN. selection: `predictor`, `exact` (true activations) or `dense` (all neurons, the reference).
    threshold_shift: added to every predictor's threshold, in logits; below 0, more neurons are read and fewer of those
    that matter are missed. What predicting costs was measured without a shift only. context: tokens, None for the
    model's own. compute_dtype: `float32` or None, which computes small models in float32 and large ones in their own
    dtype.

    How flash is read, each of which can be switched off. reader_threads: reads outstanding at once, and read_gap: bytes
    between two bundles that are read through (0 joins only neighbours, -1 nothing); None takes what the drive's profile
    says. bundling: a neuron's parts are one read (3.2); without, each part is its own. overlap: what a layer will
    probably need is read while its attention is computed, and resident neurons are computed while the others are read,
    where that is found to be faster; what is in memory is then as timing has it, and so is the order of sums: it is off
    unless asked for. early_reads: layers that have attention and FFN side by side read while attention is computed:
    there the neurons are known by then, and nothing depends on timing.
    hot_neurons: rows that the window does not need keep the neurons that were used most often.
    """

    window: int = 5
    memory_budget: int | None = None
    selection: str = "predictor"
    threshold_shift: float = 0.0
    context: int | None = None
    compute_dtype: str | None = None
    reader_threads: int | None = None
    read_gap: int | None = None
    bundling: bool = True
    overlap: bool = False
    early_reads: bool = True
    hot_neurons: bool = True

    def __post_init__(self):
        if self.selection not in SELECTIONS:
            raise ValueError(f"selection is one of {', '.join(SELECTIONS)}, not {self.selection!r}")
        if not math.isfinite(self.threshold_shift):
            raise ValueError(f"a threshold is shifted by a number, not by {self.threshold_shift!r}")
        if self.window < 0:
            raise ValueError("a window holds 0 tokens or more")


@dataclass(frozen=True)
class GenerationOptions:
    """How an answer is sampled. temperature 0 takes the likeliest token; seed None is different every time.

    top_k: the likeliest tokens that may be sampled, 0 for all. repetition_penalty: what the scores of the last tokens
    are divided by, 1 for no penalty.
    """

    max_tokens: int = 256
    temperature: float = 0.7
    top_p: float = 0.9
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int = 0
    repetition_penalty: float = 1.0

"""The measurements that were made while a model was prepared, as its manifest holds them."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from engine.system.documents import Line

Share = Annotated[float, Meta(ge=0, le=1)]
Probability = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=0, le=1 << 50)]
Perplexity = Annotated[float, Meta(gt=0, le=1e305)]


@dataclass(frozen=True)
class Use:
    """The use of a layer's neurons over so many tokens: the shares that these need together, and that each brings."""

    window: Annotated[int, Meta(ge=1, le=1 << 20)]
    resident: Share
    loaded: Share


@dataclass(frozen=True)
class GroupReport:
    """Groups of neurons, each of which is one bundle. neurons: of a group. exact, predicted: shares of the groups that
    a token needs, in the mean, by its active neurons and by those that the predictor names. unordered: the first of
    these, had neurons the checkpoint's order. use: of groups, by active neurons."""

    neurons: Annotated[int, Meta(ge=1, le=100)]
    exact: Share
    predicted: Share
    unordered: Share
    use: Use


@dataclass(frozen=True)
class LayerReport:
    """One layer: its sparsity, and its predictor's rank, threshold and errors. use: None where it was not measured.
    groups: of quantised neurons."""

    neurons: Annotated[int, Meta(ge=1, le=10_000_000)]
    sparsity: Share
    rank: Annotated[int, Meta(ge=1, le=1_000_000)]
    threshold: Probability
    recall: Share
    false_positives: Share
    predictor: Line = "trained"
    output_error: Annotated[float, Meta(ge=0, le=1e30)] | None = None
    use: Use | None = None
    groups: GroupReport | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """The text that a model was calibrated on, and what predicted selection costs on its held-out part.

    Perplexities are None where they were not measured. original_perplexity: of a model whose neurons were quantised,
    before they were.
    """

    text: Line
    tokens: Count = 0
    held_out_tokens: Count = 0
    exact_perplexity: Perplexity | None = None
    predicted_perplexity: Perplexity | None = None
    original_perplexity: Perplexity | None = None

    @property
    def loss(self) -> float | None:
        """The perplexity that predicting costs, as a share."""
        if self.exact_perplexity is None or self.predicted_perplexity is None:
            return None
        return self.predicted_perplexity / self.exact_perplexity - 1

    @property
    def quantisation_loss(self) -> float | None:
        """The perplexity that quantising the neurons costs, as a share; None where they were not."""
        if self.exact_perplexity is None or self.original_perplexity is None:
            return None
        return self.exact_perplexity / self.original_perplexity - 1

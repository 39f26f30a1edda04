"""The loss by keys and values in 8 bits, measured on a text against the same model with exact ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engine.errors import FlashbulbError
from engine.inference.evaluate import Evaluation, evaluate
from engine.inference.load import load
from engine.inference.model import LoadedModel
from engine.planning.measured import ContextLoss
from engine.settings import Settings
from engine.tokens.corpus import Sequence


@dataclass(frozen=True)
class Comparison:
    """Both evaluations of a text, and what follows from them."""

    exact: Evaluation
    small: Evaluation

    @property
    def loss(self) -> ContextLoss:
        """The loss that was measured."""
        pairs = zip(self.exact.likeliest, self.small.likeliest, strict=True)
        same = sum(one == other for one, other in pairs)
        tokens = len(self.exact.likeliest)
        return ContextLoss(tokens, self.small.perplexity / self.exact.perplexity - 1, same / tokens)


def compare(
    folder: Path,
    settings: Settings,
    read: Callable[[LoadedModel], list[Sequence]],
    progress: Callable[[float], None] = lambda _: None,
) -> Comparison:
    """Evaluate a model on what `read` makes of it, with exact keys and values and then with small ones, its prompts in
    blocks; one model at a time is in memory. Keeps what is found for `info` and the window.

    Raises FlashbulbError for a model whose context cannot be kept smaller, and what loading raises.
    """
    found = []
    for small in (False, True):
        model = load(folder, replace(settings, small_context=small))
        try:
            _check(model)
            told = _half(progress, small)
            found.append(evaluate(model, read(model), prefill=True, progress=told)[0])
        finally:
            model.close()
    comparison = Comparison(*found)
    comparison.loss.save(folder)
    return comparison


def _half(progress: Callable[[float], None], second: bool) -> Callable[[int, int], None]:
    return lambda done, total: progress((done / max(1, total) + second) / 2)


def _check(model: LoadedModel) -> None:
    if not model.can_keep_small:
        raise FlashbulbError(
            "What {name} remembers cannot be kept in 8 bits: its attention knows no such keys and values.",
            name=model.name,
        )

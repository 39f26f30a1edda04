"""One story about a model's weights, told with the same words and figures wherever it is told."""

from app.widgets import units
from app.widgets.language import tr


def weights_in_words(model_bytes: float, on_flash_bytes: float) -> str:
    """A model's size, and how much of its weights stays on flash. Both in bytes of its files."""
    if not on_flash_bytes:
        return tr("{0} model, all in memory").format(units.size(model_bytes))
    return tr("{0} model, {1} of it on flash").format(units.size(model_bytes), units.size(on_flash_bytes))

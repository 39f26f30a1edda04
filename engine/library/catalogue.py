"""The catalogue: models that are worth having."""

import json
from pathlib import Path

from engine.models import ARCHITECTURES

CATALOGUE = Path(__file__).parents[2] / "resources" / "catalogue.json"


def catalogue() -> list[dict]:
    """The catalogue's models; `supported` tells whether this Flashbulb can prepare their architecture."""
    models = json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]
    return [model | {"supported": model["model_type"] in ARCHITECTURES} for model in models]

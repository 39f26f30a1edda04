"""Loading the model that a command is given."""

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.arguments import settings_of
from engine.cli.output import Progress, note
from engine.settings import DRAFT_MODEL_AUTO, DRAFT_MODEL_NONE

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel


def loaded_model(args: Namespace, read_at_once: bool = False) -> "LoadedModel":
    """The model that `args.model` names, loaded as the arguments say. read_at_once: as in the engine's settings. Raises
    what `engine.load` raises."""
    from engine.inference.load import load

    settings = replace(settings_of(args), read_at_once=read_at_once)
    with Progress("loading", not getattr(args, "json", False)) as progress:
        loaded = load(args.model, settings, progress)
    named = settings.draft_model not in (DRAFT_MODEL_AUTO, DRAFT_MODEL_NONE)
    if named and loaded.draft_model is None and loaded.drafting:
        note(f"Draft model: {loaded.drafting.reason}")
    return loaded

"""Loading the model that a command is given."""

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.cli.arguments import settings_of
from engine.cli.output import Progress

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel


def loaded_model(args: Namespace, read_at_once: bool = False) -> "LoadedModel":
    """The model that `args.model` names, loaded as the arguments say. read_at_once: as in the engine's settings. Raises
    what `engine.load` raises."""
    from engine.inference.load import load

    with Progress("loading", not getattr(args, "json", False)) as progress:
        return load(args.model, replace(settings_of(args), read_at_once=read_at_once), progress)

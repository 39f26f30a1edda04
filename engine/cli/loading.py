"""Loading the model that a command is given."""

from argparse import Namespace
from typing import TYPE_CHECKING

from engine.cli.arguments import settings_of
from engine.cli.output import Progress

if TYPE_CHECKING:
    from engine.inference.model import LoadedModel


def loaded_model(args: Namespace) -> "LoadedModel":
    """The model that `args.model` names, loaded as the arguments say. Raises what `engine.load` raises."""
    from engine.inference.load import load

    with Progress("preparing", not getattr(args, "json", False)) as progress:
        return load(args.model, settings_of(args), progress)

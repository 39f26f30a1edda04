"""Chat templates that are code of mlx-lm: for models whose makers wrote none in Jinja. None is a repository's code."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pkgutil import iter_modules
from threading import Event
from types import ModuleType
from typing import Any

import mlx_lm.chat_templates
import mlx_lm.models

from engine.errors import CancelledError, TemplateError

TOLD = ("enable_thinking", "tools")  # variables that these templates know


@dataclass(frozen=True)
class LibraryTemplate:
    """The template of a name in mlx-lm, used as a ChatTemplate is. One that mlx-lm does not have fails when used."""

    name: str

    @property
    def place(self) -> str:
        """The place where it stands, for people."""
        return "mlx-lm"

    @cached_property
    def written(self) -> str:
        """The program: every mark that it writes stands in it. Empty for one that is not there."""
        module = module_of(self.name)
        return inspect.getsource(module) if module else ""

    @property
    def controls(self) -> frozenset[str]:
        """The options of how to reason that it knows."""
        return frozenset({"enable_thinking"} if "enable_thinking" in self.written else ())

    def render(
        self, messages: list[dict[str, Any]], most: int, cancelled: Event | None = None, **variables: Any
    ) -> str:
        """The text of a conversation, of at most `most` characters. Raises TemplateError, or CancelledError."""
        if cancelled is not None and cancelled.is_set():
            raise CancelledError("Rendering the chat template was cancelled.")
        module = module_of(self.name)
        if module is None or not hasattr(module, "apply_chat_template"):
            raise TemplateError(
                "This model's chat template is a program ({name}) that Flashbulb does not have.", 0, name=self.name
            )
        told = {name: variables[name] for name in TOLD if variables.get(name) is not None}
        prompted = bool(variables.get("add_generation_prompt"))
        try:
            return str(module.apply_chat_template(messages, add_generation_prompt=prompted, **told))[:most]
        except Exception as error:  # whatever it makes of messages that it was not written for
            raise TemplateError(
                "The chat template {name} of mlx-lm fails: {reason}.", 0, name=self.name, reason=_reason(error)
            ) from error


def module_of(name: str) -> ModuleType | None:
    """mlx-lm's module of chat templates of this name; None where there is none."""
    return _module(mlx_lm.chat_templates, name)


def defaults_of(model_type: object) -> Mapping[str, Any]:
    """Settings of a tokenizer that mlx-lm has for models of a type whose files say nothing."""
    module = _module(mlx_lm.models, model_type)
    defaults: Mapping[str, Any] = getattr(module, "TOKENIZER_DEFAULTS", {})
    return defaults


def response_format(name: object) -> Mapping[str, Any]:
    """The marks of answers that belong to a template of mlx-lm; none where it has none."""
    module = _module(mlx_lm.chat_templates, name)
    found: Mapping[str, Any] = getattr(module, "RESPONSE_FORMAT", {})
    return found


def _module(package: ModuleType, name: object) -> ModuleType | None:
    """A module by a name that a stranger wrote: only one that the package has is imported."""
    known = {module.name for module in iter_modules(package.__path__)}
    return import_module(f"{package.__name__}.{name}") if isinstance(name, str) and name in known else None


def _reason(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")

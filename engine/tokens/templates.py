"""Chat templates, rendered by a helper process with limits, which is kept warm.

A template is a program by a stranger: `engine.tokens.rendering` says what it may do and for how long.
"""

import atexit
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Event
from typing import Any

from engine.errors import TemplateError
from engine.system.helper import Helper
from engine.text import Text

FAULTS: Mapping[str, str] = {
    "time": Text("it does not come to an end"),
    "length": Text("it writes without an end"),
    "recursion": Text("it calls itself without an end"),
    "memory": Text("it takes too much memory"),
}


CONTROLS: Mapping[str, str] = {  # a name that a template reads, and the option that it is told by
    "enable_thinking": "enable_thinking",
    "thinking": "enable_thinking",
    "thinking_budget": "enable_thinking",
    "reasoning_effort": "reasoning_effort",
    "thinking_effort": "reasoning_effort",
}


@dataclass(frozen=True)
class ChatTemplate:
    """A model's chat template: its Jinja source, its file or where else it stands, and the variables it is given.

    variables: names of special tokens to their text, as transformers gives them. with_tools: the source that is used
    where there are tools, "" for the same.
    """

    source: str
    place: str
    variables: Mapping[str, str | list[str]]
    with_tools: str = ""

    @property
    def written(self) -> str:
        """Everything in which marks may stand that it writes."""
        return self.source + self.with_tools

    @cached_property
    def controls(self) -> frozenset[str]:
        """The options of how to reason that it knows: `enable_thinking`, `reasoning_effort`, or neither."""
        if not any(name in self.source for name in CONTROLS):
            return frozenset()  # without waiting for the helper
        read = renderer.ask({"template": self.source}).get("names", [])
        return frozenset(option for name, option in CONTROLS.items() if name in read)

    def render(
        self,
        messages: list[dict[str, Any]],
        most: int,
        cancelled: Event | None = None,
        **variables: Any,
    ) -> str:
        """The text of a conversation, of at most `most` characters. variables: beside the template's own.

        Raises TemplateError with the template's line, or CancelledError.
        """
        given = {"tools": None, "documents": None, **self.variables, **variables, "messages": messages}
        source = (given["tools"] and self.with_tools) or self.source
        reply = renderer.ask({"template": source, "variables": given, "most": most}, cancelled)
        if "text" in reply:
            return str(reply["text"])
        raise self._error(reply["fault"], str(reply["reason"]), int(reply["line"]))

    def _error(self, fault: str, reason: str, line: int) -> TemplateError:
        why, endless = FAULTS.get(fault) or reason.rstrip("."), fault in FAULTS
        if not line:
            words = Text("The chat template in {place} fails: {reason}.", place=self.place, reason=why)
            return TemplateError(words, line, endless=endless)
        words = Text(
            "The chat template fails in line {line} of {place}: {reason}.", line=line, place=self.place, reason=why
        )
        return TemplateError(words, line, endless=endless)


renderer = Helper("engine.tokens.rendering")
atexit.register(renderer.close)

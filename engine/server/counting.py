"""Tokens of a prompt, counted without loading its model, beside whatever the engine does."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.server.answering import Prompt
from engine.server.models import ServedModel
from engine.server.refusals import BAD, RefusedError
from engine.settings import GenerationOptions
from engine.system.allocator import give_back_free_memory

if TYPE_CHECKING:  # which takes MLX to import
    from engine.tokens.tokenizer import Tokenizer

MAX_CONTEXT = 1 << 40  # tokens: nothing is too long to be counted
KEPT_TOKENIZERS = 2  # each takes some 100 MB


@dataclass(frozen=True)
class _Counted:
    """A model, as far as a prompt needs it."""

    name: str
    tokenizer: "Tokenizer | None"
    context: int = MAX_CONTEXT


class Tokenizers:
    """Tokenizers of the models that were asked for last, for any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int], Tokenizer | None] = OrderedDict()

    def count(self, model: ServedModel, prompt: Prompt, options: GenerationOptions) -> int:
        """The tokens of a prompt. Raises RefusedError, and what `encode` and `read_tokenizer` do."""
        from engine.tokens.prompt import encode

        with self._lock:
            tokens = len(encode(_Counted(model.name, self._tokenizer(model)), prompt, options))
        give_back_free_memory()
        return tokens

    def capabilities(self, model: ServedModel) -> list[str]:
        """The things that a model can do besides writing text, in Ollama's words: `tools`, `thinking`, `insert`. Raises
        what `read_tokenizer` does."""
        from engine.tokens.gaps import form_of

        with self._lock:
            tokenizer = self._tokenizer(model)
            template = tokenizer.template if tokenizer else None
            tools = template is not None and "tools" in template.written
            thinks = template is not None and bool(template.controls)
            inserts = tokenizer is not None and form_of(tokenizer) is not None
        able = {"completion": True, "tools": tools, "thinking": thinks, "insert": inserts}
        return [name for name, can in able.items() if can]

    def _tokenizer(self, model: ServedModel) -> "Tokenizer | None":
        key = model.name, model.modified
        if key not in self._kept:
            self._kept[key] = _read(model)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_TOKENIZERS:
            self._kept.popitem(last=False)
        return self._kept[key]


def _read(model: ServedModel) -> "Tokenizer | None":
    from engine.store.installed import open_stored
    from engine.tokens.tokenizer import read_tokenizer

    if not model.place.is_dir():
        raise RefusedError(BAD, f"{model.name} is made ready when it is first asked to answer: ask it something first.")
    return read_tokenizer(model.place, open_stored(model.place).config)

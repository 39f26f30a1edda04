"""Keeping the contexts of a loaded model on disk, and reading them back instead of prefilling."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import mlx.core as mx

from engine.inference.contexts import Contexts, Label, Remembered
from engine.inference.kept import BLOCK_TOKENS, DamagedContextError, Head, KeptContexts, fingerprint
from engine.inference.packing import block_of, rest_of, row_shapes, state_of, stops_of
from engine.inference.states import Caches, always_trims
from engine.settings import Settings
from engine.store.manifest import BUNDLES, MANIFEST, PREDICTOR, RESIDENT
from engine.store.mlx_folder import WEIGHTS
from engine.tokens.prompt import common_prefix

MIN_TOKENS = 32  # that are worth reading or writing
FILES = ("config.json", MANIFEST, BUNDLES, RESIDENT, PREDICTOR, WEIGHTS)  # that a model's numbers depend on
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadBack:
    """The outcome of a look on disk. tokens: read back. trouble: why a conversation's own context is of no use,
    "damaged" or "other" where it is another model's; empty for none. pools: bundles that were in memory, by layer."""

    tokens: int = 0
    trouble: str = ""
    pools: Sequence[Sequence[int]] = ()


class Keeping:
    """The contexts of one model in files. fresh(): the model's caches, empty."""

    def __init__(self, files: KeptContexts, model: str, contexts: Contexts, fresh: Callable[[], Caches]):
        self._files, self._model, self._contexts, self._fresh = files, model, contexts, fresh

    def read_back(self, prompt: list[int], seeded: bool, conversation: str) -> ReadBack:
        """Make what is kept of a prompt's beginning the present context, where that is much more than what is in
        memory."""
        trouble = self._files.trouble_with(conversation, self._model) if conversation else ""
        found = self._best(prompt[:-1], seeded)
        if found is None or found[2] < self._contexts.reach(prompt, seeded) + MIN_TOKENS:
            return ReadBack(trouble=trouble)
        path, head, tokens = found
        try:
            self._take_up(path, head, tokens)
        except DamagedContextError as error:
            log.warning("a kept context is not used: %s", error)
            self._files.discard(path)
            return ReadBack(trouble="damaged")
        return ReadBack(tokens, trouble, head.pools)

    def keep(self, held: Callable[[], list[list[int]]], interrupted: Callable[[], bool] = lambda: False) -> None:
        """Write what belongs to conversations and is not on disk yet, the present context first, until somebody
        interrupts. held(): the bundles in memory, by layer. What cannot be written is not tried again until it has
        changed."""
        written: set[str] = set()
        for number, context in enumerate(self._contexts.all):
            label, tokens = context.label, len(context.tokens)
            if label.conversation and label.conversation not in written and label.kept_tokens != tokens:
                self._write(context, held() if number == 0 else [], interrupted)
                label.kept_tokens = 0 if interrupted() else tokens
            written.add(label.conversation)

    def _best(self, wanted: list[int], seeded: bool) -> tuple[Path, Head, int] | None:
        """The kept context that has most of these tokens, and how many."""
        found = [(path, head, head.reach(common_prefix(head.tokens, wanted), seeded))
                 for path, head in self._files.heads(self._model)]  # fmt: skip
        return max(found, key=lambda each: each[2], default=None)

    def _take_up(self, path: Path, head: Head, tokens: int) -> None:
        names = head.blocks[: -(-tokens // BLOCK_TOKENS)]
        rest = self._files.rest_of(path, head)
        blocks = [self._files.check_block(name, head.block_bytes) for name in names]
        self._contexts.leave(tokens)
        state = state_of(head, blocks, rest, tokens, self._fresh())
        label = Label(blocks=tuple(names[: tokens // BLOCK_TOKENS]))
        self._contexts.take_up(head.tokens[:tokens], state, [each for each in head.points if each <= tokens], label)
        self._files.touch(path)

    def _write(self, context: Remembered, pools: list[list[int]], interrupted: Callable[[], bool]) -> None:
        state, label, tokens = context.state, context.label, context.tokens
        whole = all(cache.offset == len(tokens) for cache in state.caches if always_trims(cache))
        if len(tokens) < MIN_TOKENS or not whole:
            return
        points = sorted({point for point in context.points if point <= len(tokens)})
        head = Head(self._model, list(tokens), points, stops_of(state), row_shapes(state), list(label.blocks), pools)
        try:
            found = self._files.write(
                label.conversation, head, rest_of(state), lambda number: block_of(state, number), interrupted
            )
        except (OSError, TypeError) as error:
            log.warning("a context is not kept: %s", error)
            return
        if found is not None:
            label.blocks = tuple(found.blocks)


def fingerprint_of(folder: Path, settings: Settings) -> str:
    """The fingerprint of a model in a folder, under settings that its numbers depend on. Raises OSError."""
    files = sorted({path for pattern in FILES for path in folder.glob(pattern)})
    versions = version("mlx"), version("mlx-lm"), mx.metal.is_available()
    numbers = settings.selection, settings.threshold_shift, settings.compute_dtype, settings.small_context
    return fingerprint(files, *numbers, versions)

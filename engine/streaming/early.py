"""Work for experts before it is their turn: the next layer's router is asked, and what stands beside them is
computed while they are read. Exact whatever comes of it."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
from mlx.nn.layers.base import Module

from engine.models.checkpoint import module_at, replace_module
from engine.streaming.bundles import LayerBundles
from engine.streaming.lookahead import ExpertLookAhead

SHARED = re.compile(r"shared?_(experts?|mlp)")  # the names of resident modules beside experts
Ask = Callable[[mx.array], mx.array]


class AskedError(Exception):
    """Ends a block that was called for its router's answer alone. indices: the answer."""

    def __init__(self, indices: mx.array):
        super().__init__()
        self.indices = indices


class Experts(Protocol):
    """The experts of a layer, as far as their router is asked ahead. asked: only for its answer, with which AskedError
    is raised."""

    bundles: LayerBundles
    asked: bool


class RouterGuess:
    """A guess at a layer's experts: its own router's answer to the input of the layer before. From one layer to the
    next the residual stream changes little.

    ask: the ids, unevaluated, for such an input. can_be_asked: false once that failed.
    """

    def __init__(self, ask: Ask, experts: Experts):
        self._ask, self._bundles = ask, experts.bundles
        self.can_be_asked = True

    def __call__(self, x: mx.array) -> mx.array | None:
        """The ids, unevaluated; None where nothing is to be guessed."""
        bundles = self._bundles
        wanted = self.can_be_asked and bundles.overlap.ahead and not bundles.passes.current.is_prompt
        if not wanted or bundles.pool.holds_all:
            return None
        try:
            return self._ask(x)
        except Exception:  # routers that take another input than their experts
            self.can_be_asked = False
            return None

    def begin(self, ids: mx.array) -> None:
        """Start reading what was guessed and is not here: as much of it as is usually right, the most used first."""
        pool, ahead = self._bundles.pool, self._bundles.look_ahead
        guessed = np.unique(np.array(ids)).astype(np.int64)
        missing = guessed[pool.absent[guessed]]
        assert isinstance(ahead, ExpertLookAhead)
        self._bundles.expect(pool.most_used(missing, ahead.width(len(missing))))


def router_of(network: Module, path: str, experts: Experts) -> Ask | None:
    """The way to ask for the experts of the container at `path`: its block is called, which ends at the experts; or,
    where that is the whole layer, the layer's `router`. None where there is neither."""
    block = path.rpartition(".")[0].removesuffix(".experts")
    owner = module_at(network, block)
    if not block.rpartition(".")[2].isdigit():
        return lambda x: _answer_of(owner, x, experts)
    router = owner.get("router")
    return None if router is None else lambda x: _ids_among(router(x))


def _answer_of(block: Any, x: mx.array, experts: Experts) -> mx.array:
    """x: [..., width], as the experts of the layer before were given it: some blocks make one list of all tokens."""
    experts.asked = True
    try:
        block(x if x.ndim > 2 else x[None])
    except AskedError as answer:
        return answer.indices
    finally:
        experts.asked = False
    raise ValueError("a block that does not ask its experts")


def _ids_among(outputs: tuple[mx.array, ...]) -> mx.array:
    return next(output for output in outputs if mx.issubdtype(output.dtype, mx.integer))


class EarlyModule(Module):
    """Takes the place of a resident module beside a layer's experts, such as a shared expert. It may be computed before
    its block asks for it, which then finds the answer here."""

    def __init__(self, module: Module):
        super().__init__()
        self.module: Any = module
        self._known: tuple[mx.array, mx.array] | None = None  # an input, and the output for it
        self._wanted = True

    def __call__(self, x: mx.array) -> mx.array:
        """The module's own output for x."""
        known, self._known = self._known, None
        if known is None:
            return self._compute(x)
        self._wanted = known[0] is x  # else its input is another than the experts': never again
        return known[1] if self._wanted else self._compute(x)

    def begin(self, x: mx.array) -> None:
        """Start computing what will probably be asked for."""
        if not self._wanted:
            return
        try:
            self._known = x, self._compute(x)
        except Exception:  # experts of another width
            self._wanted = False
        else:
            mx.async_eval(self._known[1])

    def _compute(self, x: mx.array) -> mx.array:
        y: mx.array = self.module(x)
        return y


def take_early(network: Module, path: str) -> list[EarlyModule]:
    """Early modules in the places of those beside the container at `path`, in its block or its layer."""
    return [early for owner in _owners(path) for early in _taken(network, owner)]


def _owners(path: str) -> Iterator[str]:
    """The paths of a container's block and of what that lies in, up to its layer."""
    while (path := path.rpartition(".")[0]) and not path.rpartition(".")[2].isdigit():
        yield path
    if path:
        yield path


def _taken(network: Module, owner: str) -> Iterator[EarlyModule]:
    for name, module in list(module_at(network, owner).items()):
        if SHARED.fullmatch(name) and isinstance(module, Module):
            early = EarlyModule(module)
            replace_module(network, f"{owner}.{name}", early)
            yield early

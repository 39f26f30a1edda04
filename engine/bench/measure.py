"""One run of a model in a process of its own, so that its peak footprint is its own and its memory can be capped.

    python -m engine.bench.measure SPECIFICATION.json

Prints a JSON object. What is asked is a `Specification`; whoever asks uses `measure`.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from engine.bench.machine import memory_cap
from engine.errors import BudgetError, FlashbulbError

if TYPE_CHECKING:  # what they import belongs to the capped memory
    from collections.abc import Iterator

    import mlx.core as mx

    from engine.bench.traces import ReplayedSelection
    from engine.inference.model import LoadedModel
    from engine.sparsity.selectors import Selector
    from engine.statistics import TokenStatistics
    from engine.streaming.passes import Pass

CAP_RESERVE_BYTES = 16_000_000  # bytes below a cap that nothing is planned for: page tables, the system's own buffers


@dataclass(frozen=True)
class Specification:
    """settings: of `engine.Settings`. cap: bytes for the whole process, or None; without a budget, it is the budget.

    prompt: token ids, prefilled; then `warm` tokens are decoded greedily that are not counted, and `tokens` that are.
    reuse: of a trace to be replayed, [live, mean, spread], or None for the model's own selection. agreement: of its
    guesses, the fields of `traces.Agreement`. routing: of a trace of experts to be replayed: experts of a layer,
    experts of a token, seed. drafts: tokens that each pass verifies beside the last one, and the share that is right of
    those that come after right ones; which these are is drawn. reread: every token reads the resident weights again, as
    naive loading does. stages: as many tokens again are decoded to see where the time goes. reserved: tokens that the
    context has room for.
    """

    model: str
    settings: dict[str, Any]
    prompt: list[int]
    tokens: int
    warm: int = 0
    reuse: list[float] | None = None
    agreement: tuple[tuple[float, ...], ...] | None = None
    routing: tuple[int, int, int] | None = None
    drafts: tuple[int, float] | None = None
    reread: bool = False
    stages: bool = False
    cap: int | None = None
    reserved: int = 0


@dataclass(frozen=True)
class Measured:
    """The outcome of a run. costs: of each decoded token. stages: ms of a token, by stage. capacities: slots by layer.
    capped: whether the cap was the system's. failed: why there are no costs."""

    costs: list[dict[str, Any]] = field(default_factory=list)
    device_bytes: float | None = None
    dram_bytes: int = 0
    budget_bytes: int = 0
    budget_items: dict[str, Any] = field(default_factory=dict)
    footprint_bytes: int = 0
    baseline_bytes: int = 0
    prefill_s: float = 0.0
    prefill_bytes: int = 0
    time_to_first_token_s: float = 0.0
    window_cut: int = 0
    capacities: list[int] = field(default_factory=list)
    stages: dict[str, float] | None = None
    direct: bool = True
    capped: bool = False
    failed: str | None = None


def measure(specification: Specification, folder: Path) -> Measured:
    """Run it in another process. folder: for the file that says what to do. Raises FlashbulbError if that breaks."""
    path = folder / "specification.json"
    path.write_text(json.dumps(asdict(specification)))
    with memory_cap(specification.cap) as group:
        command = [sys.executable, "-m", "engine.bench.measure", str(path), *([str(group)] if group else [])]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        finally:
            path.unlink()
    if done.returncode == 0:
        return Measured(**json.loads(done.stdout))
    if done.returncode == -9:
        return Measured(failed="ended by the system for the memory it used", capped=group is not None)
    raise FlashbulbError(
        "A measurement broke: {reason}", reason=done.stderr.strip().splitlines()[-1:] or done.returncode
    )


def main(argv: list[str]) -> None:
    """The child process: run what a file says, print what was measured."""
    content = json.loads(Path(argv[0]).read_text())
    specification = Specification(**{f.name: content[f.name] for f in fields(Specification)})
    if len(argv) > 1:
        (Path(argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
    from engine.inference.load import release  # only now: what that imports belongs to the capped memory

    try:
        result = measure_here(specification)
    except BudgetError as error:
        result = Measured(failed=str(error))
    print(json.dumps(asdict(result) | {"capped": len(argv) > 1}))
    release()


def measure_here(specification: Specification) -> Measured:
    """A run in this process. Raises BudgetError."""
    from engine.bench.machine import bytes_each, device_bytes
    from engine.inference.load import load
    from engine.settings import Settings
    from engine.system.footprint import footprint, peak_footprint

    settings = dict(specification.settings)
    if specification.cap is not None and "memory_budget" not in settings:
        settings["memory_budget"] = specification.cap - _private_bytes() - CAP_RESERVE_BYTES
    baseline = footprint()
    model = load(specification.model, Settings(**settings))
    try:
        if specification.reuse is not None:
            _replay(model, specification, specification.reuse)
        if specification.routing is not None:
            _replay_routing(model, specification, specification.routing)
        model.reserve(specification.reserved)
        began = perf_counter()
        logits, current = model.prefill(specification.prompt)
        prefill_s, prefill_bytes = perf_counter() - began, current.bytes_read
        token = likeliest(logits)
        first_s = perf_counter() - began
        naive = _Naive(model) if specification.reread else None
        costs, before = [], device_bytes()
        decoded = (
            _verified(model, token, *specification.drafts) if specification.drafts else _decoded(model, token, naive)
        )
        for count, cost in enumerate(islice(decoded, specification.warm + specification.tokens)):
            if count == specification.warm:
                before = device_bytes()
            if count >= specification.warm:
                costs.append(_cost(cost))
        after = device_bytes()
        items, peak, cut = model.budget.items, peak_footprint(), model.left_early
        return Measured(
            costs=costs,
            stages=_stages(model, token, specification.tokens) if specification.stages else None,
            device_bytes=bytes_each(before, after, specification.tokens),
            dram_bytes=sum(size for name, size in items.items() if name not in ("kv_cache", "workspace")),
            budget_bytes=model.budget.ceiling,
            budget_items=items,
            footprint_bytes=peak,
            baseline_bytes=baseline,
            prefill_s=prefill_s,
            prefill_bytes=prefill_bytes,
            time_to_first_token_s=first_s,
            window_cut=cut,
            capacities=list(model.streaming.capacities),
            direct=model.direct_io,
        )
    finally:
        model.close()


def _decoded(model: "LoadedModel", token: int, naive: "_Naive | None") -> "Iterator[TokenStatistics]":
    """The cost of token after token, the likeliest each time."""
    while True:
        logits, current = model.decode(token)
        if naive is not None:
            naive.read_resident(current)
        token = likeliest(logits)
        yield current.statistics(model.bundles)


def _verified(model: "LoadedModel", token: int, drafts: int, share: float) -> "Iterator[TokenStatistics]":
    """The cost of each of the tokens that passes decide, of which each verifies `drafts`, as often right as `share`."""
    random = Random(0)
    while True:
        logits, current = model.verify([token] * (1 + drafts))
        right = next((i for i in range(drafts) if random.random() >= share), drafts)
        token = likeliest(logits[:, : 1 + right])
        model.keep(len(model.cached_tokens) - (drafts - right))
        yield from current.statistics(model.bundles).shares(1 + right)


def likeliest(logits: "mx.array") -> int:
    """The likeliest next token, by the last token's logits [1, tokens, vocabulary]."""
    import mlx.core as mx

    token: Any = mx.argmax(logits[0, -1]).item()
    return int(token)


def _stages(model: "LoadedModel", token: int, tokens: int) -> dict[str, float]:
    from engine.bench.stages import Stopwatch

    watch = Stopwatch(model)
    for _ in range(min(tokens, model.context - len(model.cached_tokens) - 1)):
        token = likeliest(watch.decode(token))
    return watch.milliseconds()


class _Naive:
    """Reads the resident weights into a scratch buffer, and adds that to a token's I/O."""

    def __init__(self, model: "LoadedModel"):
        from engine.store.manifest import RESIDENT

        self._reader = model.reader
        self._file = model.reader.open(model.stored.folder / RESIDENT)

    def read_resident(self, current: "Pass") -> None:
        from engine.bench.table2 import read_whole

        began = perf_counter()
        read, reads = read_whole(self._reader, self._file, self._file.size)
        current.read(perf_counter() - began, read, reads)


def _replay(model: "LoadedModel", specification: Specification, reuse: list[float]) -> None:
    """Let every layer select what a trace says, beside what its predictor computes."""
    from engine.bench.traces import Agreement, ReplayedSelection, draw
    from engine.planning.reuse import Reuse

    agreement = Agreement(*specification.agreement) if specification.agreement else None
    drafts, _ = specification.drafts or (0, 0.0)
    tokens = (1 + drafts) * (specification.warm + specification.tokens)
    trace = draw(Reuse(*reuse), model.layers, model.neurons, tokens)

    def replayed(layer: int, selector: "Selector") -> "ReplayedSelection":
        tokens = [layers[layer] for layers in trace.tokens]
        return ReplayedSelection(selector, tokens, agreement=agreement, window=model.settings.window)

    model.replace_selectors(replayed)


def _replay_routing(model: "LoadedModel", specification: Specification, routing: tuple[int, int, int]) -> None:
    """Let every layer use the experts that a trace says, whatever its router says."""
    from engine.bench.routing import draw_routing, replay

    experts, top_k, seed = routing
    tokens = len(specification.prompt) + specification.warm + specification.tokens
    trace = draw_routing(experts, top_k, model.layers, tokens, seed)
    replay(trace, model.network)


def _cost(statistics: "TokenStatistics") -> dict[str, Any]:
    """A token's statistics, with neurons counted over all layers."""
    return asdict(statistics) | {name: sum(getattr(statistics, name)) for name in ("active", "loaded", "resident")}


def _private_bytes() -> int:
    """Memory of this process that a cap counts for certain: what it shares with other processes may be theirs."""
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    from engine.system.footprint import footprint

    return footprint()


if __name__ == "__main__":
    main(sys.argv[1:])

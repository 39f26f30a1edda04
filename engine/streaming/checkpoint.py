"""Installing in a model of mlx-lm's: what of it has no room in memory is streamed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from mlx.nn.layers.base import Module

from engine.flash.reader import Reader
from engine.memory.budget import MemoryBudget
from engine.memory.pool import BundlePool
from engine.models.checkpoint import module_at, replace_module
from engine.settings import Settings
from engine.store.layout import SLOT_ALIGNMENT, Layout
from engine.streaming.bundles import LayerBundles
from engine.streaming.early import RouterGuess, router_of, take_early
from engine.streaming.experts import StreamedExperts
from engine.streaming.found import ExpertContainer, LinearBlocks, Streamable, TableRows
from engine.streaming.install import Streaming
from engine.streaming.linears import StreamedLinear
from engine.streaming.lookahead import ExpertLookAhead
from engine.streaming.overlap import Overlap
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.source import CheckpointFile, SlotSource
from engine.streaming.tables import StreamedTable

SLOT_DTYPE = "U32"  # of slabs that hold bundles: their tensors are views of it
EXPERT_WINDOW = 1  # tokens


@dataclass(frozen=True)
class CheckpointInstallation:
    """Streamed modules for a model. budget: slots of each module that can be streamed, experts, linears, tables: a
    linear or a table that keeps a slot for each of its bundles stays what it is. ring_bytes: of one of the ring's
    buffers."""

    settings: Settings
    budget: MemoryBudget
    ring_bytes: int
    reader: Reader
    found: Streamable

    def install(self, network: Module) -> Streaming:
        """Put them in the place of the model's own."""
        linears = [self._linear(number, each, place) for number, (each, place) in enumerate(self._linears)]
        for before, after in pairwise([*linears, *linears[:1]]):
            before.bundles.after = after.bundles  # after the last, the first of the next token
        tables = self._install_matrices(network, linears)
        layers = self._install_experts(network)  # which look for linears beside them
        blocks, rows = [linear.bundles for linear in linears], [table.bundles for table in tables]
        planned = [*enumerate(layers), *zip(self._places(self._linears), blocks, strict=True)]
        planned += zip(self._places(self._tables), rows, strict=False)  # a head's rows have no pool
        layers, others = (layers, [*blocks, *rows]) if self.found.experts else (blocks, rows)
        return Streaming(self._passes, self._overlap, self._ring, layers, (), planned, others, tables)

    # ------------------------------------------------------------------------------------------------ linears, tables
    def _linear(self, number: int, each: LinearBlocks, place: int) -> StreamedLinear:
        pool = BundlePool(self.budget.capacities[place], each.layout.slot_bytes, SLOT_DTYPE, each.layout.bundles)
        number += len(self.found.experts)
        return StreamedLinear(each.module, each.layout, self._bundles(number, each.layout, pool, pinned=True))

    def _install_matrices(self, network: Module, linears: list[StreamedLinear]) -> list[StreamedTable]:
        """Linears and tables in their places; the tables, and after them what is table and head in one."""
        first = len(self.found.experts) + len(linears)
        tables: list[StreamedTable] = []
        for each, place in self._tables:
            tables.append(self._table(first + len(tables), each.module, each.layout, self.budget.capacities[place]))
            replace_module(network, each.path, tables[-1])
        for (linear, _), module in zip(self._linears, linears, strict=True):
            if linear.rows is not None:
                tables.append(self._table(first + len(tables), linear.module, linear.rows, 0, module))
            replace_module(network, linear.path, module if linear.rows is None else tables[-1])
        return tables

    def _table(
        self, number: int, table: Module, layout: Layout, slots: int, head: StreamedLinear | None = None
    ) -> StreamedTable:
        pool = BundlePool(slots, layout.slot_bytes, SLOT_DTYPE, layout.bundles, keep_hot=True, dense=False)
        return StreamedTable(table, layout, self._bundles(number, layout, pool), head)

    @cached_property
    def _linears(self) -> list[tuple[LinearBlocks, int]]:
        """Those that are streamed, and their places in the plan."""
        places = enumerate(self.found.linears, len(self.found.experts))
        return [(each, i) for i, each in places if not self.budget.demands[i].is_whole]

    @cached_property
    def _tables(self) -> list[tuple[TableRows, int]]:
        places = enumerate(self.found.tables, len(self.found.experts) + len(self.found.linears))
        return [(each, i) for i, each in places if not self.budget.demands[i].is_whole]

    @staticmethod
    def _places(streamed: Sequence[tuple[object, int]]) -> list[int]:
        return [place for _, place in streamed]

    # -------------------------------------------------------------------------------------------------------- experts
    def _install_experts(self, network: Module) -> list[LayerBundles]:
        modules = [self._experts(network, number, each) for number, each in enumerate(self.found.experts)]
        for before, after, expert in zip(modules, modules[1:], self.found.experts[1:], strict=False):
            ask = router_of(network, expert.path, after)
            before.guess = RouterGuess(ask, after) if ask else None
        return [module.bundles for module in modules]

    def _experts(self, network: Module, number: int, expert: ExpertContainer) -> StreamedExperts:
        """One container's, in its place."""
        layout, slots, hot = expert.layout, self.budget.capacities[number], self.settings.hot_neurons
        pool = BundlePool(slots, layout.slot_bytes, SLOT_DTYPE, layout.bundles, hot, dense=False)
        bundles = self._bundles(number, layout, pool, look_ahead=ExpertLookAhead())
        module = StreamedExperts(expert.module, layout, bundles)
        module.is_last = _is_in_last_layer(network, expert.path)
        module.beside = tuple(take_early(network, expert.path))
        replace_module(network, expert.path, module)
        return module

    # ------------------------------------------------------------------------------------------ what all of them share
    def _bundles(
        self,
        number: int,
        layout: Layout,
        pool: BundlePool,
        pinned: bool = False,
        look_ahead: ExpertLookAhead | None = None,
    ) -> LayerBundles:
        source = SlotSource(self.reader, self._files, layout)
        return LayerBundles(number, source, pool, self._passes, self._overlap, self._ring, pinned, look_ahead)

    @cached_property
    def _passes(self) -> Passes:
        blocks, rows = len(self._linears), len(self._tables) + sum(each.rows is not None for each, _ in self._linears)
        if self.found.experts:
            return Passes(len(self.found.experts), self._window, "expert", blocks + rows)
        return Passes(blocks, self.settings.window, "block", rows)

    @cached_property
    def _overlap(self) -> Overlap:
        """Nothing is guessed where linears are streamed: these keep the drive busy, each in its turn."""
        return Overlap(self.settings.overlap and bool(self.found.experts) and not self._linears)

    @cached_property
    def _ring(self) -> Ring:
        streamed = [*(each.layout for each in self.found.experts), *(each.layout for each, _ in self._linears)]
        slot_bytes = max((layout.slot_bytes for layout in streamed), default=SLOT_ALIGNMENT)
        return Ring(self.reader, slot_bytes, SLOT_DTYPE, self.ring_bytes if streamed else slot_bytes)

    @cached_property
    def _files(self) -> dict[Path, CheckpointFile]:
        """Those of what is streamed, open."""
        layouts = [each.layout for each in self.found.experts]
        layouts += [linear.layout for linear, _ in self._linears] + [table.layout for table, _ in self._tables]
        paths = dict.fromkeys(path for layout in layouts for path in layout.paths)
        return {path: CheckpointFile.open(self.reader, path) for path in paths}

    @property
    def _window(self) -> int:
        """A token of experts is enough, unless another window is asked for: beyond it the most used stay."""
        return EXPERT_WINDOW if self.settings.window == Settings.window else self.settings.window


def _is_in_last_layer(network: Module, path: str) -> bool:
    """True for a container in the last of the model's layers: what comes after it is the logits alone."""
    names = path.split(".")
    number = next((i for i, name in enumerate(names) if name.isdigit()), None)
    return number is not None and int(names[number]) == len(module_at(network, ".".join(names[:number]))) - 1

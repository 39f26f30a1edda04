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
from engine.streaming.active_rows import ActiveLinear, SparselyGated
from engine.streaming.bundles import LayerBundles
from engine.streaming.early import RouterGuess, router_of, take_early
from engine.streaming.experts import StreamedExperts
from engine.streaming.found import ExpertContainer, LinearBlocks, Streamable, TableRows
from engine.streaming.install import Streaming
from engine.streaming.linears import LinearProduct, StreamedLinear
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
        active = self._install_active_rows(network, linears, len(tables))
        layers = self._install_experts(network)  # which look for linears beside them
        blocks, rows = [linear.bundles for linear in linears], [each.bundles for each in (*tables, *active.values())]
        pools = dict(zip(self._places(self._linears), blocks, strict=True))
        pools |= zip(self._places(self._tables), rows, strict=False)  # a head's rows have no pool
        pools |= {place: linear.bundles for place, linear in active.items()}  # instead of the blocks'
        planned = [*enumerate(layers), *pools.items()]
        layers, others = (layers, [*blocks, *rows]) if self.found.experts else (blocks, rows)
        return Streaming(self._passes, self._overlap, self._ring, layers, (), planned, others, tables)

    # ------------------------------------------------------------------------------------------------ linears, tables
    def _linear(self, number: int, each: LinearBlocks, place: int) -> StreamedLinear:
        slots = 0 if each.active else self.budget.capacities[place]
        pool = BundlePool(slots, each.layout.slot_bytes, SLOT_DTYPE, each.layout.bundles)
        bundles = self._bundles(number + len(self.found.experts), each.layout, pool, pinned=True)
        bundles.only_prompts = each.active is not None
        return StreamedLinear(each.module, each.layout, bundles)

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

    def _install_active_rows(
        self, network: Module, linears: list[StreamedLinear], tables: int
    ) -> dict[int, ActiveLinear]:
        """By their places in the plan, those of which a token needs active rows alone, in the FFNs that say which."""
        number = len(self.found.experts) + len(linears) + tables
        installed: dict[int, ActiveLinear] = {}
        for (each, place), whole in zip(self._linears, linears, strict=True):
            if each.active is not None:
                layout, ffn, slots = each.active.layout, each.active.ffn, self.budget.capacities[place]
                pool = self._pool_of_rows(slots, layout, self.settings.hot_neurons)
                bundles = self._bundles(number + len(installed), layout, pool, gap=each.active.gap)
                installed[place] = ActiveLinear(whole, LinearProduct(each.module, layout), bundles)
                own = module_at(network, ffn.path)
                gated = SparselyGated(own.gate_proj, installed[place], own.down_proj, ffn.activation)
                replace_module(network, ffn.path, gated)
        return installed

    def _table(
        self, number: int, table: Module, layout: Layout, slots: int, head: StreamedLinear | None = None
    ) -> StreamedTable:
        pool = self._pool_of_rows(slots, layout)
        return StreamedTable(table, layout, self._bundles(number, layout, pool), head)

    @staticmethod
    def _pool_of_rows(slots: int, layout: Layout, hot: bool = True) -> BundlePool:
        return BundlePool(slots, layout.slot_bytes, SLOT_DTYPE, layout.bundles, hot, dense=False)

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
        gap: int | None = None,
    ) -> LayerBundles:
        source = SlotSource(self.reader, self._files, layout, gap)
        return LayerBundles(number, source, pool, self._passes, self._overlap, self._ring, pinned, look_ahead)

    @cached_property
    def _passes(self) -> Passes:
        blocks, rows = len(self._linears), len(self._tables)
        rows += sum((each.rows is not None) + (each.active is not None) for each, _ in self._linears)
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

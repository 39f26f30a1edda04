"""Installing in a model of mlx-lm's: what of it has no room in memory is streamed."""

from collections.abc import Mapping
from copy import copy
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
from engine.streaming.active_columns import ActiveColumns
from engine.streaming.active_rows import ActiveLinear, SparselyGated
from engine.streaming.bundles import LayerBundles
from engine.streaming.early import RouterGuess, router_of, take_early
from engine.streaming.experts import StreamedExperts
from engine.streaming.found import ActiveRows, ExpertContainer, LinearBlocks, Streamable, TableRows
from engine.streaming.install import Resizable, Streaming
from engine.streaming.linears import LinearProduct, StreamedLinear
from engine.streaming.lookahead import ExpertLookAhead
from engine.streaming.overlap import Overlap
from engine.streaming.passes import Passes
from engine.streaming.ring import Ring
from engine.streaming.source import CheckpointFile, SlotSource
from engine.streaming.tables import StreamedTable
from engine.streaming.whole import MatrixPlace

SLOT_DTYPE = "U32"  # of slabs that hold bundles: their tensors are views of it
EXPERT_WINDOW = 1  # tokens


@dataclass(frozen=True)
class CheckpointInstallation:
    """Streamed modules for a model. budget: slots of each module that can be streamed, experts, linears, tables: a
    linear or a table that has a slot for each of its bundles is what it was, until it has fewer. ring_bytes: of one of
    the ring's buffers."""

    settings: Settings
    budget: MemoryBudget
    ring_bytes: int
    reader: Reader
    found: Streamable

    def install(self, network: Module) -> Streaming:
        """Put them in the place of the model's own."""
        linears = [self._linear(each, place) for each, place in self._linears]
        for before, after in pairwise([*linears, *linears[:1]]):
            before.bundles.after = after.bundles  # after the last, the first of the next token
        tables = [self._table(each.module, each.layout, self._slots(place)) for each, place in self._tables]
        pairs = list(zip(self._linears, linears, strict=True))
        heads = {each.path: self._table(each.module, each.rows, 0, linear) for (each, _), linear in pairs if each.rows}
        active = {each.path: self._active(network, each, each.active, linear, place)
                  for (each, place), linear in pairs if each.active}  # fmt: skip
        places = [self._place(network, each, place, linear, heads.get(each.path), active.get(each.path))
                  for (each, place), linear in pairs]  # fmt: skip
        places += [self._place(network, each, place, table)
                   for (each, place), table in zip(self._tables, tables, strict=True)]  # fmt: skip
        columns = {each.path: self._columns(each, place) for each, place in self._by_neurons}
        layers = self._install_experts(network, columns)  # which look for linears beside them
        planned: list[tuple[int, Resizable]] = [*enumerate(layers), *enumerate(places, len(layers))]
        planned += enumerate((each.bundles for each in columns.values()), len(planned))
        tables += heads.values()
        blocks = [linear.bundles for linear in linears]
        rows = [each.bundles for each in (*tables, *active.values(), *columns.values())]
        layers, others = (layers, [*blocks, *rows]) if self.found.experts else (blocks, rows)
        return Streaming(self._passes, self._overlap, self._ring, layers, (), planned, others, tables)

    # ------------------------------------------------------------------------------------------------ linears, tables
    def _linear(self, each: LinearBlocks, place: int) -> StreamedLinear:
        slots = 0 if each.active else self._slots(place)
        pool = BundlePool(slots, each.layout.slot_bytes, SLOT_DTYPE, each.layout.bundles)
        bundles = self._bundles(each.layout, pool, pinned=True)
        bundles.only_prompts = each.active is not None
        return StreamedLinear(each.module, each.layout, bundles)

    def _table(self, table: Module, layout: Layout, slots: int, head: StreamedLinear | None = None) -> StreamedTable:
        pool = self._pool_of_rows(slots, layout)
        return StreamedTable(copy(table), layout, self._bundles(layout, pool), head)

    def _active(
        self, network: Module, each: LinearBlocks, rows: ActiveRows, whole: StreamedLinear, place: int
    ) -> ActiveLinear:
        """A linear of which a token needs active rows alone, in an FFN that says which."""
        layout, own = rows.layout, module_at(network, rows.ffn.path)
        gated = SparselyGated(own.gate_proj, own.up_proj, own.down_proj, rows.ffn.activation)
        replace_module(network, rows.ffn.path, gated)
        pool = self._pool_of_rows(self._slots(place), layout, self.settings.hot_neurons)
        return ActiveLinear(whole, LinearProduct(each.module, layout), self._bundles(layout, pool, gap=rows.gap))

    def _place(
        self,
        network: Module,
        each: LinearBlocks | TableRows,
        place: int,
        streamed: StreamedLinear | StreamedTable,
        table: StreamedTable | None = None,
        active: ActiveLinear | None = None,
    ) -> MatrixPlace:
        """The place of a module in the model. table, active: of a linear, where it is also looked up, or where tokens
        need some rows alone: these have the pool then."""
        source = SlotSource(self.reader, self._files, each.layout)
        modules = [module for module in (active, table, streamed) if module is not None]
        parts = [module.bundles for module in (active, streamed, table) if module is not None]
        return MatrixPlace(network, each.path, each.module, source, modules[0], parts, self._is_whole(place))

    @staticmethod
    def _pool_of_rows(slots: int, layout: Layout, hot: bool = True) -> BundlePool:
        return BundlePool(slots, layout.slot_bytes, SLOT_DTYPE, layout.bundles, hot, dense=False)

    @cached_property
    def _linears(self) -> list[tuple[LinearBlocks, int]]:
        """Those of the model, and their places in the plan."""
        return [(each, place) for place, each in enumerate(self.found.linears, len(self.found.experts))]

    @cached_property
    def _tables(self) -> list[tuple[TableRows, int]]:
        first = len(self.found.experts) + len(self.found.linears)
        return [(each, place) for place, each in enumerate(self.found.tables, first)]

    def _is_whole(self, place: int) -> bool:
        return self.budget.capacities[place] == self.budget.demands[place].bundles

    def _slots(self, place: int) -> int:
        """Slots of a pool: none where the model's own module has all that there is."""
        return 0 if self._is_whole(place) else self.budget.capacities[place]

    # -------------------------------------------------------------------------------------------------------- experts
    def _install_experts(self, network: Module, columns: Mapping[str, ActiveColumns]) -> list[LayerBundles]:
        modules = [
            self._experts(network, number, each, columns.get(each.path))
            for number, each in enumerate(self.found.experts)
        ]
        for before, after, expert in zip(modules, modules[1:], self.found.experts[1:], strict=False):
            ask = router_of(network, expert.path, after)
            before.guess = RouterGuess(ask, after) if ask else None
        return [module.bundles for module in modules]

    @cached_property
    def _by_neurons(self) -> list[tuple[ExpertContainer, int]]:
        """Containers whose experts are read by their neurons, and the places of their columns in the plan."""
        first = len(self.found.experts) + len(self.found.linears) + len(self.found.tables)
        return [(each, place) for place, each in enumerate(self.found.by_neurons, first)]

    def _columns(self, expert: ExpertContainer, place: int) -> ActiveColumns:
        neurons = expert.neurons
        assert neurons is not None
        assert neurons.layout is not None
        pool = self._pool_of_rows(self.budget.capacities[place], neurons.layout, self.settings.hot_neurons)
        return ActiveColumns(neurons, expert.layout, self._bundles(neurons.layout, pool, gap=neurons.gap))

    def _experts(
        self, network: Module, number: int, expert: ExpertContainer, columns: ActiveColumns | None
    ) -> StreamedExperts:
        """One container's, in its place."""
        layout, slots, hot = expert.layout, self.budget.capacities[number], self.settings.hot_neurons
        pool = BundlePool(slots, layout.slot_bytes, SLOT_DTYPE, layout.bundles, hot, dense=False)
        bundles = self._bundles(layout, pool, look_ahead=ExpertLookAhead())
        module = StreamedExperts(expert.module, layout, bundles, columns)
        module.is_last = _is_in_last_layer(network, expert.path)
        module.beside = tuple(take_early(network, expert.path))
        replace_module(network, expert.path, module)
        return module

    # ------------------------------------------------------------------------------------------ what all of them share
    def _bundles(
        self,
        layout: Layout,
        pool: BundlePool,
        pinned: bool = False,
        look_ahead: ExpertLookAhead | None = None,
        gap: int | None = None,
    ) -> LayerBundles:
        """Those of a module; what is streamed is counted once all are there."""
        source = SlotSource(self.reader, self._files, layout, gap)
        return LayerBundles(0, source, pool, self._passes, self._overlap, self._ring, pinned, look_ahead)

    @cached_property
    def _passes(self) -> Passes:
        if self.found.experts:
            return Passes(0, self._window, "expert")
        return Passes(0, self.settings.window, "block")

    @cached_property
    def _overlap(self) -> Overlap:
        """Nothing is guessed where linears are streamed: these keep the drive busy, each in its turn."""
        wanted = self.settings.overlap is not False and bool(self.found.experts)
        return Overlap(wanted and not self._streams_linears)

    @cached_property
    def _ring(self) -> Ring:
        layouts = [*(each.layout for each in self.found.experts), *(each.layout for each in self.found.linears)]
        slot_bytes = max((layout.slot_bytes for layout in layouts), default=SLOT_ALIGNMENT)
        streams = self.found.experts or self._streams_linears
        return Ring(self.reader, slot_bytes, SLOT_DTYPE, self.ring_bytes if streams else slot_bytes)

    @property
    def _streams_linears(self) -> bool:
        return not all(self._is_whole(place) for _, place in self._linears)

    @cached_property
    def _files(self) -> dict[Path, CheckpointFile]:
        """Those of what is streamed, or may be, open."""
        found = self.found
        layouts = [each.layout for kind in (found.experts, found.linears, found.tables) for each in kind]
        layouts += [each.neurons.layout for each in found.by_neurons if each.neurons and each.neurons.layout]
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

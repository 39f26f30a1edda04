"""`bench table2`: the paper's table 2 on this machine: I/O of one token, as its techniques are added one by one.

A bundle file of the real size with random weights; activations replayed from a trace whose statistics are the paper's,
and are checked. Rows differ in the engine's settings; what the trace asks for is loaded by the same code as a chat.
"""

import statistics as stats
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from engine.arrays.aligned import aligned_rows
from engine.arrays.dtypes import NAMES, stored_dtype
from engine.bench.machine import bytes_each, describe, device_bytes, open_direct, scratch, write_random
from engine.bench.random_model import model_bytes, random_input, write_bundles
from engine.bench.results import Progress, Result, Row, known, summarise
from engine.bench.shapes import RIPPLE_RUN, SHAPES, Shape
from engine.bench.traces import Ids, Trace, draw, statistics
from engine.errors import FlashbulbError
from engine.flash.native_reader import NativeReader
from engine.flash.profile import DEFAULT_THREADS, DriveProfile
from engine.flash.reader import Reader, ReadFile, Ticket, open_reader
from engine.memory.pool import BundlePool
from engine.memory.window import Window
from engine.models import build
from engine.models.activations import Activation
from engine.planning.estimate import predict_config
from engine.settings import Settings
from engine.store.bundle_file import BundleFile
from engine.streaming.bundles import LayerBundles
from engine.streaming.neurons import AllNeurons, NeuronProduct, Product
from engine.streaming.overlap import Overlap, Way
from engine.streaming.packed_neurons import PackedProduct
from engine.streaming.passes import Pass, Passes
from engine.streaming.ring import Order, Ring
from engine.streaming.source import RowSource

TOKENS, RUNS = 8, 3
TOLERANCE = 0.05  # of the trace's shares from the paper's
PIECE_BYTES = 8 << 20  # bytes that a whole layer is streamed in
COMPUTED_TOKENS = 2  # tokens a run of the row that computes, which takes seconds each on a processor
SPARE_RATIO = 1.1  # a pool has this many times the rows that the window is expected to need
ORDERED_ROW = f"ours, neurons in runs of {RIPPLE_RUN}"


@dataclass(frozen=True)
class Technique:
    """A row's settings, as in `engine.Settings`. gap None: what the drive's profile says."""

    name: str
    window: int
    bundling: bool = False
    gap: int | None = -1
    hot: bool = False
    overlap: bool = False


def techniques(window: int) -> list[Technique]:
    """The paper's, each with those before it, then ours."""
    return [
        Technique("+ predictor", 0),
        Technique("+ windowing", window),
        Technique("+ bundling", window, bundling=True),
        Technique("+ coalescing and gap reads", window, bundling=True, gap=None),
        Technique("+ hot neurons", window, bundling=True, gap=None, hot=True),
        Technique("+ overlap", window, bundling=True, gap=None, hot=True, overlap=True),
    ]


@dataclass
class Bench:
    """The parts that the rows share."""

    shape: Shape
    bundles: BundleFile
    activation: Activation
    profile: DriveProfile | None
    trace: Trace
    ordered: Trace
    resident: int  # bytes, predictors included
    tokens: int
    runs: int
    cached: bool

    @property
    def threads(self) -> int:
        """Of the reader."""
        return self.profile.threads if self.profile else DEFAULT_THREADS

    @property
    def row_bytes(self) -> int:
        """Bytes of a bundle on flash."""
        return self.bundles.layers[0].row_bytes

    def gap(self, wanted: int | None) -> int:
        """Bytes that are read through: as wanted, else as the drive's profile says."""
        if wanted is not None:
            return wanted
        return self.profile.gap(self.row_bytes) if self.profile else 0

    def floor_ms(self, reads: float, read_bytes: float) -> float | None:
        """The time that those reads take when the drive is kept as busy as `bench drive` keeps it."""
        if self.profile is None or not reads:
            return None
        return 1e3 * reads / self.profile.reads_per_s(read_bytes / reads)


def run(
    name: str,
    folder: Path,
    profile: DriveProfile | None,
    tokens: int = TOKENS,
    runs: int = RUNS,
    dtype: str = "bfloat16",
    shape: Shape | None = None,
    cached: bool = False,
    bits: int | None = None,
    progress: Progress = lambda *_: None,
) -> Result:
    """The table of a named shape. Writes the whole model's bytes to `folder`, and removes them.

    dtype: 16-bit as in the paper, or float32. cached: also measure where reads cannot go past the system's cache. bits:
    of neurons that are quantised, and read in groups of neighbours. Raises FlashbulbError if there is no room, if reads
    are not direct, or if the trace is not as the paper's.
    """
    shape = shape or SHAPES[name]
    flash, resident, predictors = model_bytes(shape.config, dtype, bits)
    with scratch(folder, flash + resident) as place:
        progress(0.02, "writing the model")
        write_bundles(place / "bundles.safetensors", shape.config, dtype, bits)
        write_random(place / "resident", resident)
        model, _ = build(shape.config)
        bundles = BundleFile.open(place / "bundles.safetensors")
        ffn = model.layers[0].ffn
        trace, ordered = traces_of(shape, len(model.layers), len(ffn.bundle_parts()[0]), tokens * runs)
        checked = check(trace, shape) | {"ordered_run": float(statistics(ordered, (shape.window,)).run)}
        trace, ordered = trace.grouped(bundles.neurons), ordered.grouped(bundles.neurons)
        bench = Bench(
            shape, bundles, ffn.activation, profile, trace, ordered, resident + predictors, tokens, runs, cached
        )
        rows = [*_dense_rows(bench, place / "resident", progress)]
        for i, technique in enumerate(techniques(shape.window)):
            progress(0.3 + 0.08 * i, technique.name)
            rows.append(_row(bench, technique, trace))
        progress(0.8, "duplication")
        rows += [] if bundles.packing else [_duplication(bench)]
        progress(0.9, "ordered")
        ours = Technique(ORDERED_ROW, shape.window, bundling=True, gap=None, hot=True)
        rows.append(_row(bench, ours, ordered))
        progress(1.0, "")
    rows = [replace(row, paper=shape.table2.get(row.name)) for row in rows]
    settings = {"shape": name, "dtype": dtype, "window": shape.window, "tokens": tokens, "runs": runs}
    settings |= {"bits": bits, "bundle_neurons": bundles.neurons} if bits else {}
    settings |= {"threads": bench.threads, "gap_bytes": bench.gap(None), "direct": not cached}
    details = {"trace": checked, "model_bytes": flash + resident, "times_less_than_naive": times_less(rows)}
    return Result("table2", describe(folder), rows, settings, details)


def check(trace: Trace, shape: Shape) -> dict[str, Any]:
    """A trace's statistics beside the paper's. Raises FlashbulbError where they are further apart than 5 %."""
    found = statistics(trace, (shape.window,))
    reuse, names = shape.reuse, ("selected", "resident", "loaded")
    wanted = (reuse.selected, reuse.aggregated(shape.window), reuse.loaded(shape.window))
    shares = {n: {"trace": float(f), "paper": w} for n, f, w in zip(names, found.at(shape.window), wanted, strict=True)}
    for name, share in shares.items():
        if abs(share["trace"] / share["paper"] - 1) > TOLERANCE:
            raise FlashbulbError(
                "The trace's {name} share is {share}, the paper's {paper}.",
                name=name,
                share=f"{share['trace']:.4f}",
                paper=f"{share['paper']:.4f}",
            )
    return shares | {"run": float(found.run)}


def times_less(rows: list[Row]) -> dict[str, float]:
    """By row, how many times less I/O time a token takes than naive loading."""
    naive = known(next(row for row in rows if row.name == "naive").io_ms)
    return {row.name: naive / row.io_ms for row in rows if row.io_ms}


def traces_of(shape: Shape, layers: int, neurons: int, tokens: int) -> tuple[Trace, Trace]:
    """A trace of a shape, and one whose neurons lie in runs as long as published."""
    length = tokens + 2 * shape.window + 1
    # Runs also grow where two groups meet, about as often as a neuron is loaded.
    group = RIPPLE_RUN * (1 - shape.reuse.loaded(shape.window))
    return draw(shape.reuse, layers, neurons, length), draw(shape.reuse, layers, neurons, length, run=group)


# ----------------------------------------------------------------------------------------- naive and hybrid
def _dense_rows(bench: Bench, resident: Path, progress: Progress) -> list[Row]:
    """naive: the whole model is read for every token. hybrid: half of it stays in memory, the other half is read."""
    whole = bench.bundles.bytes + resident.stat().st_size
    rows: list[Row] = []
    for name, wanted, kept in (("naive", whole, 0), ("hybrid", whole // 2, whole - whole // 2)):
        progress(0.1 + 0.1 * len(rows), name)
        seconds, before = [], device_bytes()
        for _ in range(bench.runs):
            read, reads, took = _stream(bench, resident, wanted)
            seconds.append(took)
        after = device_bytes()
        rows.append(
            Row(
                name,
                dram_bytes=kept,
                bytes_read=read,
                device_bytes=bytes_each(before, after, bench.runs),
                reads=reads,
                bytes_per_s=read / stats.median(seconds),
                io_ms=1e3 * stats.median(seconds),
                floor_ms=1e3 * read / bench.profile.sequential_bytes_per_s if bench.profile else None,
                memory_ms=0.0,
                spread={"io_ms": [1e3 * min(seconds), 1e3 * max(seconds)]},
            )
        )
    return rows


def _stream(bench: Bench, resident: Path, wanted: int) -> tuple[int, int, float]:
    """Read `wanted` bytes of the model in sequence, layer by layer. Bytes, reads and seconds."""
    read = reads = 0
    with open_reader(bench.threads) as reader:
        file = open_direct(reader, bench.bundles.path, bench.cached)
        ring = Ring(reader, bench.row_bytes, bench.bundles.dtype, PIECE_BYTES)
        rest = open_direct(reader, resident, bench.cached)
        layers = [Order(RowSource(reader, file, place), range(place.bundles)) for place in bench.bundles.layers]
        began = perf_counter()
        for i, layer in enumerate(layers):
            for piece in ring.pieces(layer, layers[i + 1 :]) if read < wanted else ():
                read, reads = read + piece.bytes_read, reads + piece.reads
                if read >= wanted:
                    break
        ring.drop()
        done, calls = read_whole(reader, rest, min(rest.size, max(0, wanted - read)))
        took = perf_counter() - began
        ring.close()
    return read + done, reads + calls, took


def read_whole(reader: Reader, file: ReadFile, wanted: int, piece: int = 1 << 20, ahead: int = 16) -> tuple[int, int]:
    """Read a file's first `wanted` bytes in sequence into a scratch buffer. Bytes and reads."""
    pieces, rest = divmod(wanted, piece)
    buffers = aligned_rows(2 * ahead, piece, "F32").view
    reader.register(buffers)
    tickets: list[Ticket] = []
    read = reads = 0
    for i, start in enumerate(range(0, pieces, ahead)):
        chosen = np.arange(start, min(start + ahead, pieces))
        rows = np.arange(len(chosen)) + (i % 2) * ahead
        if len(tickets) == 2:
            tickets.pop(0).wait()
        tickets.append(reader.submit(file, chosen * piece, piece, buffers, rows))
        read += len(chosen) * piece
        reads += len(chosen)
    for ticket in tickets:
        ticket.wait()
    if rest:
        reader.submit(file, np.array([pieces * piece]), rest, buffers, np.array([0])).wait()
        read, reads = read + rest, reads + 1
    reader.unregister(buffers)
    return read, reads


# ------------------------------------------------------------------------------------------ the paper's rows
def _row(bench: Bench, technique: Technique, trace: Trace) -> Row:
    costs, resident, before = [], [], device_bytes()
    tokens = min(COMPUTED_TOKENS, bench.tokens) if technique.overlap else bench.tokens
    with open_reader(bench.threads, bench.gap(technique.gap)) as reader:
        file = open_direct(reader, bench.bundles.path, bench.cached)
        passes = Passes(len(bench.bundles.layers), technique.window)
        ffns = _ffns(bench, technique, trace, passes, reader, file)
        x = random_input(bench.bundles.width, stored_dtype(bench.bundles.numbers)) if technique.overlap else None
        warm = technique.window + 1
        for t, layers in enumerate(trace.tokens[: warm + tokens * bench.runs]):
            if t == warm:
                before = device_bytes()
            current = _token(passes, ffns, layers, x)
            if t >= warm:
                costs.append(current.statistics(trace.neurons))
                resident.append(sum(current.resident))
        after = device_bytes()
        extra = reader.statistics()
    row = summarise(technique.name, costs, io_only=not technique.overlap)
    share = extra.device_bytes / extra.bytes  # gaps and padding that were read as well
    read = known(row.bytes_read) * share
    note = "I/O is what compute did not hide" if technique.overlap else None
    return replace(
        row,
        dram_bytes=bench.resident + stats.median(resident) * bench.row_bytes,
        bytes_read=read,
        bytes_per_s=None if technique.overlap else known(row.bytes_per_s) * share,
        device_bytes=bytes_each(before, after, len(costs)),
        floor_ms=bench.floor_ms(known(row.reads), read),
        predicted_ms=_predicted(bench, technique, trace),
        note=note,
        tokens_per_second=None,  # of FFNs alone it would say nothing
        p50_ms=None,
        p99_ms=None,
    )


def _predicted(bench: Bench, technique: Technique, trace: Trace) -> float | None:
    """I/O by the cost model, which knows the drive, the shape and the paper's shares, and nothing of this run."""
    if bench.profile is None or bench.bundles.packing or technique.overlap or technique.gap != -1:
        return None
    everything = 2 * (bench.bundles.bytes + bench.resident) + (1 << 40)
    settings = Settings(technique.window, everything, bundling=technique.bundling, hot_neurons=False)
    prediction = predict_config(
        bench.shape.config, bench.profile, settings, reuse=bench.shape.reuse, dtype=NAMES[bench.bundles.dtype]
    )
    return prediction.io_ms if trace is bench.trace else None


def _ffns(
    bench: Bench, technique: Technique, trace: Trace, passes: Passes, reader: Reader, file: ReadFile
) -> list[AllNeurons]:
    overlap, ring = Overlap(), Ring(reader, bench.row_bytes, bench.bundles.dtype, bench.row_bytes)
    overlap.way = Way.BOTH if technique.overlap else Way.NONE
    selected, resident, _ = statistics(trace, (technique.window + 1,)).at(technique.window + 1)
    expected = max(selected, resident)
    ffns = []
    for i, place in enumerate(bench.bundles.layers):
        capacity = min(place.bundles, int(SPARE_RATIO * expected * place.bundles) + 64)
        pool = BundlePool(capacity, place.row_bytes, bench.bundles.dtype, place.bundles, technique.hot)
        source = RowSource(reader, file, place, 1 if technique.bundling else bench.bundles.pieces)
        layer = LayerBundles(i, source, pool, passes, overlap, ring)
        ffns.append(AllNeurons(layer, _product(bench, place.bundles), None))
    return ffns


def _product(bench: Bench, bundles: int) -> Product:
    """The product of a layer that has so many bundles, without biases."""
    bias, packing = np.zeros(bundles * bench.bundles.neurons, np.float32), bench.bundles.packing
    return PackedProduct(bench.activation, bias, packing) if packing else NeuronProduct(bench.activation, bias)


def _token(passes: Passes, ffns: list[AllNeurons], layers: list[Ids], x: mx.array | None) -> Pass:
    """Load a token's neurons, and compute them where there is an input."""
    current = passes.begin()
    passes.advance(1)
    for ffn, ids in zip(ffns, layers, strict=True):
        parts = ffn.bundles.bring(ids.astype(np.int64))  # as selectors give them, just before they are needed
        if x is not None:
            mx.eval(ffn.over(x, parts))
        else:
            deque(parts, maxlen=0)
    return current


# ------------------------------------------------------------------------------------------------ what failed
def _duplication(bench: Bench) -> Row:
    """Each neuron stored beside a copy of its closest friend (paper, appendix D): reads of twice the size.

    The copy of a friend that is missing too saves its read. The friends are those of the trace: as the paper found,
    they are the most active neurons, which are in memory anyway.
    """
    window, neurons = bench.shape.window, bench.bundles.layers[0].bundles
    friends = [closest_friends(bench.trace, layer) for layer in range(bench.trace.layers)]
    pools = [BundlePool(neurons, 512, "F32", neurons) for _ in friends]
    clock, costs, before = Window(window), [], device_bytes()
    length = 2 * bench.row_bytes
    with NativeReader(bench.threads, gap=-1) as reader:
        file = open_direct(reader, bench.bundles.path, bench.cached)
        buffer = aligned_rows(neurons // 4 + 64, length, "F32").view
        reader.register(buffer)
        for t, layers in enumerate(bench.trace.tokens[: window + 1 + bench.tokens * bench.runs]):
            clock.advance()
            current = Pass(len(pools))
            if t == window + 1:
                before = device_bytes()
            for i, (pool, active) in enumerate(zip(pools, layers, strict=True)):
                missing = pool.admit(active.astype(np.int64), clock).bundles
                read = without_friends(missing, friends[i])
                place = bench.bundles.layers[i]
                at = np.minimum(place.offsets(read), place.offset + place.bytes - length)
                began = perf_counter()
                ticket = reader.submit(file, at, length, buffer, np.arange(len(read)) % len(buffer))
                ticket.wait()
                current.read(perf_counter() - began, ticket.bytes, ticket.reads)
            if t > window:
                costs.append(current.statistics(neurons))
        after = device_bytes()
    row = summarise("co-activation bundling by duplication", costs, io_only=True)
    used = sum(pool.num_used for pool in pools)
    return replace(
        row,
        dram_bytes=bench.resident + used * bench.row_bytes,
        device_bytes=bytes_each(before, after, len(costs)),
        floor_ms=bench.floor_ms(known(row.reads), known(row.bytes_read)),
        memory_ms=None,
        note="needs twice the FFN's size on flash; bookkeeping not measured",
    )


def closest_friends(trace: Trace, layer: int) -> NDArray[np.int64]:
    """int64 [neurons]: the neuron that each was most often active with, which is itself never."""
    fired = np.zeros((len(trace.tokens), trace.neurons), np.float32)
    for t, layers in enumerate(trace.tokens):
        fired[t, layers[layer]] = 1
    popular = np.argsort(-fired.sum(0))[:64]  # a closest friend is among the most active
    together = fired.T @ fired[:, popular]
    together[popular, np.arange(len(popular))] = -1
    friends: NDArray[np.int64] = popular[np.argmax(together, axis=1)]
    return friends


def without_friends(missing: NDArray[np.int64], friends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the missing neurons, those that have to be read: not those that came as the friend of one read before."""
    brought: set[int] = set()
    read = []
    for neuron in missing.tolist():
        if neuron not in brought:
            read.append(neuron)
            brought.add(int(friends[neuron]))
    return np.array(read, np.int64)

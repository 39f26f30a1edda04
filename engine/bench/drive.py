"""`bench drive`: throughput and latency by read size and threads (paper, fig. 2b), saved as the drive's profile."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import mlx.core as mx
import mlx.nn as nn
import numpy as np
from mlx.utils import tree_flatten
from numpy.typing import NDArray

from engine.arrays.aligned import aligned_rows
from engine.arrays.dtypes import DTYPES, FLOAT_CODES
from engine.arrays.layers import use_native_layers
from engine.bench.machine import bytes_each, describe, device_bytes, open_direct, scratch, write_random
from engine.bench.random_model import RandomNumbers, random_input, write_random_model
from engine.bench.results import Progress, Result, Row
from engine.bench.shapes import opt_config
from engine.bench.traces import draw
from engine.flash.native_reader import NativeReader
from engine.flash.profile import DrivePoint, DriveProfile, Processor, drive_of, pool_key
from engine.flash.reader import ReadFile, Ticket
from engine.inference.load import load
from engine.memory.pool import NO_ROWS, BundlePool
from engine.memory.window import Window
from engine.models.activations import Activation
from engine.planning.reuse import OPT
from engine.settings import Settings
from engine.streaming.bundles import Part
from engine.streaming.neurons import NeuronProduct

READ_SIZES = tuple(4096 << i for i in range(11))  # 4 KiB ... 4 MiB
THREADS = (1, 2, 4, 8, 16, 32, 64)
FILE_BYTES = 2 << 30
RUNS, RUN_S = 3, 0.2
BUFFER_BYTES = 256 << 20
BATCH_S = 0.05  # of reads in flight: enough that threads never wait for the next batch
REPETITIONS = 5
SWEPT_BYTES = 128 << 20  # of weights that are multiplied in turn: more than caches keep
PACKED_GROUP, PACKED_BITS = 64, 4  # of quantised weights as most are downloaded
TOKENS = 24  # of a tiny model
QUICK_OPTIONS: dict[
    str, Any
] = {  # a profile in half a minute, for who waits: fewer points, measured once less, on a smaller file
    "sizes": tuple(kib << 10 for kib in (4, 8, 16, 32, 64, 256, 1024, 4096)),
    "threads": (1, 8, 16, 32, 64),
    "file_bytes": 512 << 20,
    "runs": 2,
}


def measure_drive(
    folder: Path,
    sizes: tuple[int, ...] = READ_SIZES,
    threads: tuple[int, ...] = THREADS,
    file_bytes: int = FILE_BYTES,
    runs: int = RUNS,
    seconds: float = RUN_S,
    cached: bool = False,
    matrix: tuple[int, int] = (2048, 8192),
    progress: Progress = lambda *_: None,
) -> tuple[DriveProfile, Result]:
    """Measure the drive that holds `folder`, and this processor. Writes `file_bytes`, and removes them.

    matrix: width and neurons of the FFN that the processor is measured on. cached: also measure where the system cannot
    read past its cache. Raises FlashbulbError, ReadError.
    """
    with scratch(folder, file_bytes) as place:
        path = place / "drive"
        write_random(path, file_bytes)
        grid: dict[tuple[int, int], list[_Sample]] = {(size, count): [] for size in sizes for count in threads}
        # Run after run over the whole grid: what else the drive is busy with for a while then spoils no point's median.
        for run in range(runs):
            for i, ((size, count), samples) in enumerate(grid.items()):
                samples.append(_sample(path, size, count, seconds, cached, seed=run * len(grid) + i))
                progress((run * len(grid) + i + 1) / (runs * len(grid) + 1), f"{size >> 10} KiB, {count} threads")
        points = [_point(size, count, samples) for (size, count), samples in grid.items()]
        rows = [_row(point, grid[point.size, point.threads]) for point in points]
        progress(0.99, "the processor")
        processor = measure_processor(place, *matrix)
    measured = datetime.now(UTC).isoformat(timespec="seconds")
    profile = DriveProfile(drive_of(folder), measured, tuple(points), processor)
    progress(1, "")
    settings = {"file_bytes": file_bytes, "runs": runs, "seconds": seconds, "direct": not cached}
    details: dict[str, Any] = {"threads": profile.threads, "sequential_bytes_per_s": profile.sequential_bytes_per_s}
    details |= {"gap_bytes": {str(row): profile.gap(row) for row in (4096, 8192, 16384, 32768)}}
    return profile, Result("drive", describe(folder), rows, settings, details)


@dataclass(frozen=True)
class _Sample:
    """One run of reads of one size by one number of threads."""

    bytes_per_s: float
    bytes: int
    device_bytes: float | None
    p50_s: float
    p99_s: float


def _sample(path: Path, size: int, threads: int, seconds: float, cached: bool, seed: int) -> _Sample:
    before = device_bytes()
    with NativeReader(threads, gap=-1, max_read=max(size, 1 << 20) // 16384 * 16384) as reader:
        file = open_direct(reader, path, cached)
        count = max(2 * threads, min(BUFFER_BYTES // size, 4096))
        count = min(count, max(1, file.size // size // 2))
        buffer = aligned_rows(min(count, max(1, BUFFER_BYTES // size)), size, "F32").view
        reader.register(buffer)
        rate, read = _run(reader, file, buffer, size, seconds, np.random.default_rng(seed))
        done = reader.statistics()
    after = device_bytes()
    return _Sample(rate, read, bytes_each(before, after), done.p50_s, done.p99_s)


def _point(size: int, threads: int, samples: list[_Sample]) -> DrivePoint:
    rates = [sample.bytes_per_s for sample in samples]
    p50, p99 = (statistics.median(getattr(sample, name) for sample in samples) for name in ("p50_s", "p99_s"))
    return DrivePoint(size, threads, statistics.median(rates), max(rates) - min(rates), p50, p99)


def _row(point: DrivePoint, samples: list[_Sample]) -> Row:
    rates, asked = [sample.bytes_per_s for sample in samples], sum(sample.bytes for sample in samples)
    device = [sample.device_bytes for sample in samples if sample.device_bytes is not None]
    return Row(
        f"{point.size >> 10} KiB, {point.threads} threads",
        bytes_read=asked,
        device_bytes=sum(device) if len(device) == len(samples) else None,
        reads=asked / point.size,
        bytes_per_s=point.bytes_per_s,
        io_ms=1e3 * asked / point.bytes_per_s,
        spread={"bytes_per_s": [min(rates), max(rates)], "latency_s": [point.p50_s, point.p99_s]},
    )


def _run(
    reader: NativeReader, file: ReadFile, buffer: NDArray[np.uint8], size: int, seconds: float, rng: np.random.Generator
) -> tuple[float, int]:
    """Read at offsets none of which repeats, keeping two batches under way. Bytes a second, and bytes read."""
    offsets = rng.permutation(file.size // size) * size
    tickets: list[Ticket] = []
    batch, at, read = max(reader.threads, 8), 0, 0
    began = last = perf_counter()
    while True:
        while len(tickets) < 2 and at < len(offsets) and perf_counter() - began < seconds:
            chosen = offsets[at : at + batch]
            rows = np.arange(len(chosen)) % len(buffer)
            tickets.append(reader.submit(file, chosen, size, buffer, rows))
            at += batch
        if not tickets:
            break
        ticket = tickets.pop(0)
        ticket.wait()
        now = perf_counter()
        read, elapsed, last = read + ticket.bytes, now - last, now
        if elapsed < BATCH_S / 2 and batch < 4096:
            batch *= 2
    return read / (last - began), read


# -------------------------------------------------------------------------------------------------- processor
def measure_processor(folder: Path, width: int, neurons: int) -> Processor:
    """The cost of computing and bookkeeping here, on matrices of an FFN's usual size. folder: for two tiny models."""
    resident, pool = {}, {}
    for name, dtype in DTYPES.items():
        resident[name] = _linear_rate(partial(_linear, width, neurons, dtype), random_input(width, dtype))
        for computed in {dtype, mx.float32}:
            pool[pool_key(name, str(computed).split(".")[-1])] = _pool_rate(width, neurons, name, computed)
    small, large = (_bookkeeping(count) for count in (neurons // 4, 2 * neurons))
    rows = OPT.aggregated(4) * (2 * neurons - neurons // 4)
    per_row = max(0.0, (large - small) / rows)
    fixed = max(0.0, small - per_row * OPT.aggregated(4) * (neurons // 4))
    packed = _linear_rate(partial(_packed_linear, width, neurons), random_input(width, mx.bfloat16))
    return Processor(resident, pool, packed, *_overheads(folder), fixed, per_row)


def _timed(function: Callable[[], object]) -> float:
    function()
    times = []
    for _ in range(REPETITIONS):
        began = perf_counter()
        function()
        times.append(perf_counter() - began)
    return statistics.median(times)


def _linear_rate(made: Callable[[], nn.Module], x: mx.array) -> float:
    """Bytes of weights a second, of layers whose weights come from memory each time."""
    layers = [made()]
    size = _weight_bytes(layers[0])
    layers += [made() for _ in range(1, -(-SWEPT_BYTES // size))]
    for layer in layers:
        use_native_layers(layer)
    mx.eval([layer.parameters() for layer in layers], x)
    return size * len(layers) / _timed(lambda: mx.eval([layer(x) for layer in layers]))


def _weight_bytes(layer: nn.Module) -> int:
    return sum(array.nbytes for array in dict(tree_flatten(layer.parameters())).values())


def _linear(width: int, neurons: int, dtype: mx.Dtype) -> nn.Module:
    linear = nn.Linear(width, neurons, bias=False)
    linear.weight = mx.ones((neurons, width), dtype)
    return linear


def _packed_linear(width: int, neurons: int) -> nn.Module:
    rows = 8  # again and again: MLX quantises slowly without a GPU
    linear = nn.QuantizedLinear(width, rows, False, PACKED_GROUP, PACKED_BITS)
    linear.update({name: mx.tile(array, (neurons // rows, 1)) for name, array in linear.parameters().items()})
    linear.set_dtype(mx.bfloat16)
    return linear


def _pool_rate(width: int, neurons: int, dtype: str, computed: mx.Dtype) -> float:
    item = DTYPES[dtype].size
    slab = aligned_rows(neurons // 2, 2 * width * item, FLOAT_CODES[dtype])
    view, count = slab.view, len(slab.view)
    view[:] = RandomNumbers(dtype).take(view.nbytes // item).view(np.uint8).reshape(view.shape)
    product, part = (
        NeuronProduct(Activation(), np.zeros(count, np.float32)),
        Part(np.arange(count), slab, slice(count), NO_ROWS),
    )
    x = random_input(width, computed)
    mx.eval(x)
    return view.nbytes / _timed(lambda: mx.eval(product(x, part)[1]))


def _overheads(folder: Path) -> tuple[float, float]:
    """Seconds that a layer and a token take beside their weights: of two models that have hardly any."""
    layers = (4, 12)
    few, many = (_compute_seconds(folder / f"{count}-layers", count) for count in layers)
    layer = max(1e-6, (many - few) / (layers[1] - layers[0]))
    return layer, max(0.0, few - layers[0] * layer)


def _compute_seconds(folder: Path, layers: int) -> float:
    write_random_model(folder, "tiny", opt_config(64, layers, 4) | {"vocab_size": 256}, "float32", 0.1)
    model = load(folder, Settings(window=4, context=64))
    try:
        model.prefill(list(range(8)))
        costs = [model.decode(t)[1].statistics(model.bundles).compute_ms for t in range(TOKENS)]
    finally:
        model.close()
    return statistics.median(costs[TOKENS // 4 :]) / 1e3


def _bookkeeping(neurons: int) -> float:
    """Median seconds that one layer's pool takes for a token."""
    trace, window = draw(OPT, 1, neurons, 24), Window(4)
    pool = BundlePool(neurons // 2, 512, "F32", neurons)
    times = []
    for layers in trace.tokens:
        window.advance()
        began = perf_counter()
        pool.admit(layers[0].astype(np.int64), window)
        times.append(perf_counter() - began)
    return statistics.median(times[8:])

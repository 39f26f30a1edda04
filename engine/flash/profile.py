"""A drive's profile: how fast it reads, by size of a read and number of threads (paper, fig. 2b). Measured, then saved.

The reader takes its threads and its gap from it, the cost model its seconds. What the processor adds to a token's
latency is measured along, because it decides together with the drive how fast a model runs.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from engine.arrays.dtypes import FLOAT_CODES
from engine.errors import FlawError
from engine.flash.batches import MAX_GAP
from engine.system.documents import Line, try_read
from engine.system.files import write_whole
from engine.system.folders import existing, models_folder

PROFILES_FOLDER = ".drives"  # a folder among the models
DEFAULT_THREADS = 32  # without a profile: the paper's
MAX_THREADS = 1024
SUFFICIENT_SHARE = 0.97  # of the best throughput: fewer threads that reach it cost less memory and scheduling
MAX_GAP_ROWS = 4
SCATTERED_BYTES = (8 << 10, 64 << 10)  # of reads, between which the number of threads is chosen

# Of a Mac with the smallest drive and memory (M1 to M4): bytes a second by the size of a read, as users report them.
USUAL_RATES = ((4 << 10, 0.4e9), (16 << 10, 1.0e9), (64 << 10, 1.8e9), (256 << 10, 2.4e9), (1 << 20, 2.8e9))
USUAL_PRODUCT_RATE = 50e9  # bytes of weights a second: some three quarters of what its memory brings

Rate = Annotated[float, Meta(ge=1, le=1e15)]
Spread = Annotated[float, Meta(ge=0, le=1e15)]
Seconds = Annotated[float, Meta(ge=0, le=1e6)]


def pool_key(stored: str, computed: str) -> str:
    """The name of a pool's rate: by its dtype, and by that of the products where it is another."""
    return stored if stored == computed else f"{stored} as {computed}"


@dataclass(frozen=True)
class DrivePoint:
    """Random direct reads of `size` bytes by `threads` threads. spread: of the runs' throughputs, highest - lowest."""

    size: Annotated[int, Meta(ge=512, le=1 << 30)]
    threads: Annotated[int, Meta(ge=1, le=MAX_THREADS)]
    bytes_per_s: Rate
    spread: Spread
    p50_s: Seconds
    p99_s: Seconds


@dataclass(frozen=True)
class Processor:
    """The cost of computing and bookkeeping on this machine.

    resident_bytes_per_s, pool_bytes_per_s: weights multiplied with one token, by dtype: of a linear layer, and of a
    neuron pool's rows (by `pool_key`). packed_bytes_per_s: of a linear layer in 4 bits. layer_s, token_s: what a layer
    and a token take beside the weights.
    bookkeeping_s, bookkeeping_row_s: of a layer's pool for each token, and more for each of its rows.
    """

    resident_bytes_per_s: dict[str, Rate]
    pool_bytes_per_s: dict[str, Rate]
    packed_bytes_per_s: Rate
    layer_s: Seconds
    token_s: Seconds
    bookkeeping_s: Seconds
    bookkeeping_row_s: Seconds

    def __post_init__(self) -> None:
        pools = {pool_key(stored, computed) for stored in FLOAT_CODES for computed in (stored, "float32")}
        if lacking := (FLOAT_CODES.keys() - self.resident_bytes_per_s.keys()) | (pools - self.pool_bytes_per_s.keys()):
            raise FlawError("it lacks what was measured with {names}", names=", ".join(sorted(lacking)))


@dataclass(frozen=True)
class DriveProfile:
    """drive: its name. points: a full grid of sizes and threads."""

    drive: Line
    measured: Line
    points: Annotated[tuple[DrivePoint, ...], Meta(min_length=1, max_length=10_000)]
    processor: Processor

    def __post_init__(self) -> None:
        found = {(point.size, point.threads) for point in self.points}
        if len(found) != len(self.sizes) * len(self.thread_counts):
            raise FlawError("its points are no full grid of sizes and threads")

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of a read that were measured, rising."""
        return np.array(sorted({p.size for p in self.points}))

    @cached_property
    def thread_counts(self) -> NDArray[np.int64]:
        """Numbers of threads that were measured, rising."""
        return np.array(sorted({p.threads for p in self.points}))

    @cached_property
    def _rates(self) -> NDArray[np.float64]:
        """Reads a second, [sizes, threads].

        A larger read brings no fewer bytes a second than a smaller one, or it would be made as several. Where that was
        measured, the drive was busy with something else.
        """
        found = {(p.size, p.threads): p.bytes_per_s for p in self.points}
        rates = np.array([[found[size, threads] for threads in self.thread_counts] for size in self.sizes])
        rising: NDArray[np.float64] = np.maximum.accumulate(rates, axis=0)
        return rising / self.sizes[:, None]

    @property
    def sequential_bytes_per_s(self) -> float:
        """Of the largest reads, with as many threads as they like best."""
        return float(self._rates[-1].max() * self.sizes[-1])

    @cached_property
    def threads(self) -> int:
        """The number of threads that read bundles best: the fewest that are nearly as fast as any number."""
        low, high = SCATTERED_BYTES
        scattered = (self.sizes >= low) & (self.sizes <= high)
        rates = self._rates[scattered] if scattered.any() else self._rates
        share = (rates / rates.max(axis=1, keepdims=True)).mean(axis=0)
        return int(self.thread_counts[np.argmax(share >= SUFFICIENT_SHARE * share.max())])

    def reads_per_s(self, size: float, threads: float | None = None) -> float:
        """Reads of `size` bytes a second, interpolated between what was measured; beyond it, bytes a second stay.

        threads: outstanding at once, None for as many as the reader uses.
        """
        threads = self.threads if threads is None else threads
        sizes, counts = np.log(self.sizes), np.log(self.thread_counts)
        by_size = [np.interp(np.log(threads), counts, row) for row in np.log(self._rates)]
        rate = np.exp(np.interp(np.log(size), sizes, by_size))
        return float(rate * min(1.0, self.sizes[-1] / size))

    def seconds(self, reads: float, size: float, batches: float = 1) -> float:
        """Time of `reads` reads of `size` bytes, in batches each of which is waited for."""
        if reads <= 0:
            return 0.0
        outstanding = min(self.threads, max(1.0, reads / batches))
        return reads / self.reads_per_s(size, outstanding)

    def gap(self, row_bytes: int) -> int:
        """Bytes between two rows that are better read through: one read of all then takes less than two reads.

        At most a few rows: a drive that other work keeps busy, or reads that do not fill it, gain nothing from more.
        """
        gaps = np.arange(0, min(MAX_GAP, MAX_GAP_ROWS * row_bytes) + 1, 512)
        longer = np.array([1 / self.reads_per_s(float(2 * row_bytes + gap)) for gap in gaps])
        worth = longer < 2 / self.reads_per_s(row_bytes)
        return int(gaps[worth][-1]) if worth[0] else 0

    def save(self, path: Path) -> None:
        """Write it to a file. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> "DriveProfile | None":
        """A saved profile; None where there is none that can be used. It is a measurement, which can be made again."""
        return try_read(path, cls)


def scratch_place(folder: Path) -> Path:
    """A folder for files of ours on the drive of `folder`: the outermost that may be written to, never one of a model's
    own tool."""
    device = folder.resolve().stat().st_dev
    above = [path for path in folder.resolve().parents if path.stat().st_dev == device and os.access(path, os.W_OK)]
    return next((path for path in reversed(above) if path != Path("/")), folder.parent)


def drive_of(folder: Path) -> str:
    """The name of the drive that holds a folder, or its nearest parent that exists: what its profile is saved under."""
    device = existing(folder).stat().st_dev
    if sys.platform == "linux":
        block = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
        if block.exists():
            return block.resolve().name
    return f"device-{os.major(device)}-{os.minor(device)}"


def usual_profile() -> DriveProfile:
    """A drive and a processor as even the least of today's Macs have, for who has measured none."""
    points = [DrivePoint(size, DEFAULT_THREADS, rate, 0.0, size / rate, size / rate) for size, rate in USUAL_RATES]
    pools = {
        pool_key(stored, computed): USUAL_PRODUCT_RATE for stored in FLOAT_CODES for computed in (stored, "float32")
    }
    resident = dict.fromkeys(FLOAT_CODES, USUAL_PRODUCT_RATE)
    processor = Processor(resident, pools, USUAL_PRODUCT_RATE, 1e-4, 1e-3, 1e-5, 1e-8)
    return DriveProfile("usual", "never", tuple(points), processor)


def profile_path(folder: Path) -> Path:
    """The file that the profile of the drive that holds `folder` is saved in; `flashbulb bench drive` measures it."""
    return models_folder() / PROFILES_FOLDER / f"{drive_of(folder)}.json"

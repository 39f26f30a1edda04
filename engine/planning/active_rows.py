"""The two ways to read a linear of which a token needs the active rows alone: these rows, scattered over the file, or
all of it in sequence. Both are exact; the one with which a token takes less time is taken.

Rows of a few bits are shorter than a drive's blocks: what lies between two that are near each other is read as well,
where the drive is faster with one read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil, gcd

from engine.flash.profile import DriveProfile
from engine.planning.reuse import like_opt
from engine.store.layout import BLOCK_BYTES, SlotTensor
from engine.streaming.found import ActiveRows, Streamable

WINDOW = 1.0  # tokens whose rows the smallest pool holds
MAX_PIECES, MAX_COPIED_BYTES = 128, 128 << 10  # that the reader joins into one read, of what it has to copy


@dataclass(frozen=True)
class ReadCost:
    """The reads of a matrix for a token, the bytes that they transfer, and their time in seconds."""

    reads: float
    bytes: float
    seconds: float

    @classmethod
    def scattered(cls, tensors: Iterable[SlotTensor], share: float, gap: int, profile: DriveProfile) -> "ReadCost":
        """Of that share of the rows of some tensors, as if it were drawn by lot: all reads at once."""
        found = [_scattered(tensor, share, gap) for tensor in tensors]
        reads, read = sum(count for count, _ in found), sum(size for _, size in found)
        outstanding = min(reads, float(profile.threads))
        seconds = sum(count / profile.reads_per_s(size / count, outstanding) for count, size in found)
        return cls(reads, read, seconds)

    @classmethod
    def in_sequence(cls, tensors: Iterable[SlotTensor], profile: DriveProfile) -> "ReadCost":
        """Of whole tensors."""
        sizes = [tensor.end - tensor.offset for tensor in tensors]
        reads = sum(ceil(size / int(profile.sizes[-1])) for size in sizes)
        return cls(reads, sum(sizes), sum(sizes) / profile.sequential_bytes_per_s)


@dataclass(frozen=True)
class RowChoice:
    """The two ways to read the linear at `path`, of whose rows a token needs `active_share`. missed: rows that are
    read, as the others are still there from the token before. gap: bytes between two that are read through."""

    path: str
    active_share: float
    missed: float
    gap: int
    rows: ReadCost
    whole: ReadCost

    @property
    def rows_are_faster(self) -> bool:
        """True where active rows take less time than all, and fewer bytes."""
        return self.rows.seconds < self.whole.seconds and self.rows.bytes < self.whole.bytes


def choice_of(path: str, active: ActiveRows, profile: DriveProfile) -> RowChoice:
    """The choice for a linear on a drive, with a pool as small as works."""
    share, rows, tensors = active.ffn.active_share, active.layout.bundles, list(active.layout.tensors.values())
    missed = like_opt(share).loaded(WINDOW)
    gap = max(BLOCK_BYTES, profile.gap(max(BLOCK_BYTES, active.layout.bundle_bytes)))  # at least the rest of a block
    return RowChoice(
        path,
        share,
        missed * rows,
        gap,
        ReadCost.scattered(tensors, missed, gap, profile),
        ReadCost.in_sequence(tensors, profile),
    )


def choices_of(found: Streamable, profile: DriveProfile) -> list[RowChoice]:
    """Those that a model leaves."""
    return [choice_of(each.path, each.active, profile) for each in found.linears if each.active]


def with_rows(found: Streamable, choices: Iterable[RowChoice]) -> Streamable:
    """The same, where of these linears active rows are read if that is faster; all others are linears like any."""
    by_rows = {choice.path: choice for choice in choices if choice.rows_are_faster}
    linears = (replace(each, active=_as_read(each.active, by_rows.get(each.path))) for each in found.linears)
    return replace(found, linears=tuple(linears))


def _as_read(active: ActiveRows | None, choice: RowChoice | None) -> ActiveRows | None:
    return replace(active, gap=choice.gap, reads=choice.rows.reads / choice.missed) if active and choice else None


def _scattered(tensor: SlotTensor, share: float, gap: int) -> tuple[float, float]:
    """The reads of that share of a tensor's rows, and the bytes that they transfer."""
    stride, missing = tensor.stride, 1 - share
    rows = (tensor.end - tensor.offset) / stride
    near = gap // stride + 1  # rows from one that is wanted to the last that is read together with it
    runs = max(1.0, rows * share * missing**near)  # one ends with each that has nothing wanted near it
    passed = sum(k * share * missing**k for k in range(1, near))  # rows read through behind one that is wanted
    ends = BLOCK_BYTES - gcd(BLOCK_BYTES, stride, tensor.offset)  # bytes of a run's first and last block beside it
    read = rows * share * (1 + passed) * stride + runs * ends
    return max(runs, rows * share / MAX_PIECES, read / MAX_COPIED_BYTES), read

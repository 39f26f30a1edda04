"""The two ways to read a linear of which a token needs the active rows alone: these rows, scattered over the file, or
all of it in sequence. Both are exact; the one with which a token takes less time is taken.

Rows of a few bits are shorter than a drive's blocks: what lies between two that are near each other is read as well,
where the drive is faster with one read.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, replace
from math import ceil, exp, gcd

from engine.flash.profile import DriveProfile
from engine.planning.reuse import like_opt
from engine.store.layout import BLOCK_BYTES, SlotTensor
from engine.streaming.found import ActiveRows, ExpertContainer, ExpertNeurons, Streamable

WINDOW = 1.0  # tokens whose rows the smallest pool holds
MAX_PIECES, MAX_COPIED_BYTES = 128, 128 << 10  # that the reader joins into one read, of what it has to copy


@dataclass(frozen=True)
class Rows:
    """Rows of a tensor in a file, of `stride` bytes from a byte on."""

    stride: int
    count: float
    offset: int = 0

    @classmethod
    def of(cls, tensor: SlotTensor) -> "Rows":
        """Those of a tensor a row of which is a bundle."""
        return cls(tensor.stride, (tensor.end - tensor.offset) / tensor.stride, tensor.offset)


@dataclass(frozen=True)
class ReadCost:
    """The reads of a matrix for a token, the bytes that they transfer, and their time in seconds."""

    reads: float
    bytes: float
    seconds: float

    @classmethod
    def scattered(cls, tensors: Iterable[Rows], share: float, gap: int, profile: DriveProfile) -> "ReadCost":
        """Of that share of the rows of some tensors, as if it were drawn by lot: all reads at once."""
        found = [_scattered(rows, share, gap) for rows in tensors]
        reads, read = sum(count for count, _ in found), sum(size for _, size in found)
        outstanding = min(reads, float(profile.threads))
        seconds = sum(count / profile.reads_per_s(size / count, outstanding) for count, size in found)
        return cls(reads, read, seconds)

    @classmethod
    def in_sequence(cls, sizes: Sequence[int], profile: DriveProfile) -> "ReadCost":
        """Of ranges of so many bytes."""
        reads = sum(ceil(size / int(profile.sizes[-1])) for size in sizes)
        return cls(reads, sum(sizes), sum(sizes) / profile.sequential_bytes_per_s)


@dataclass(frozen=True)
class RowChoice:
    """The two ways to read the linear at `path`, of whose rows a token needs `active_share`; or the experts there, and
    the columns of those that it needs. missed: rows that are
    read, as the others are still there from the token before. gap: bytes between two that are read through. reads: that
    bring one."""

    path: str
    active_share: float
    missed: float
    gap: int
    rows: ReadCost
    whole: ReadCost
    reads: float
    of_experts: bool = False

    @property
    def rows_are_faster(self) -> bool:
        """True where active rows take less time than all, and fewer bytes."""
        return self.rows.seconds < self.whole.seconds and self.rows.bytes < self.whole.bytes


def choice_of(path: str, active: ActiveRows, profile: DriveProfile) -> RowChoice:
    """The choice for a linear on a drive, with a pool as small as works."""
    share, rows, tensors = active.ffn.active_share, active.layout.bundles, list(active.layout.tensors.values())
    missed = like_opt(share).loaded(WINDOW)
    gap = gap_of(active.layout.bundle_bytes, profile)
    scattered = ReadCost.scattered(map(Rows.of, tensors), missed, gap, profile)
    whole = ReadCost.in_sequence([tensor.end - tensor.offset for tensor in tensors], profile)
    return RowChoice(path, share, missed * rows, gap, scattered, whole, scattered.reads / (missed * rows))


def choice_of_experts(
    expert: ExpertContainer, neurons: ExpertNeurons, chosen: int, active_share: float, profile: DriveProfile
) -> RowChoice:
    """The choice for a container of experts, `chosen` of which a token needs, none of them in memory: their first
    matrices and the active columns of the second, or all of them. active_share: of their neurons."""
    form = neurons.form
    gap = gap_of(form.column_bytes, profile)
    columns = Rows(form.column_bytes, chosen * form.neurons)
    scattered = ReadCost.scattered([columns], active_share, gap, profile)
    first = ReadCost.in_sequence([neurons.experts.bundle_bytes] * chosen, profile)
    rows = ReadCost(*(sum(pair) for pair in zip(astuple(scattered), astuple(first), strict=True)))
    whole = ReadCost.in_sequence([expert.layout.bundle_bytes] * chosen, profile)
    return RowChoice(expert.path, active_share, active_share * columns.count, gap, rows, whole,
                     scattered.reads / (active_share * columns.count), of_experts=True)  # fmt: skip


def gap_of(row_bytes: int, profile: DriveProfile) -> int:
    """Bytes between two rows that are read through: at least the rest of a block."""
    return max(BLOCK_BYTES, profile.gap(max(BLOCK_BYTES, row_bytes)))


def choices_of(found: Streamable, profile: DriveProfile) -> list[RowChoice]:
    """Those that a model leaves."""
    return [choice_of(each.path, each.active, profile) for each in found.linears if each.active]


def with_rows(found: Streamable, choices: Iterable[RowChoice]) -> Streamable:
    """The same, where of these linears and experts active rows and columns are read if that is faster; all others are
    read as a whole."""
    chosen = {choice.path: choice for choice in choices if choice.rows_are_faster}
    linears = (replace(each, active=_as_read(each.active, chosen.get(each.path))) for each in found.linears)
    experts = (_by_neurons(each, chosen.get(each.path)) for each in found.experts)
    return replace(found, linears=tuple(linears), experts=tuple(experts))


def _as_read(active: ActiveRows | None, choice: RowChoice | None) -> ActiveRows | None:
    return replace(active, gap=choice.gap, reads=choice.reads) if active and choice else None


def _by_neurons(expert: ExpertContainer, choice: RowChoice | None) -> ExpertContainer:
    neurons = expert.neurons
    if choice is None or neurons is None:
        return expert
    share = choice.missed / neurons.form.stored.shape[0]
    neurons = replace(neurons, active_share=share, gap=choice.gap, reads=choice.reads)
    return replace(expert, layout=neurons.experts, neurons=neurons, by_neurons=True)


def _scattered(rows: Rows, share: float, gap: int) -> tuple[float, float]:
    """The reads of that share of the rows, and the bytes that they transfer."""
    missing, wanted = 1 - share, rows.count * share
    near = gap // rows.stride + 1  # rows from one that is wanted to the last that is read together with it
    runs = max(1.0, wanted * missing**near)  # one ends with each that has nothing wanted near it
    passed = sum(k * share * missing**k for k in range(1, near))  # rows read through behind one that is wanted
    ends = BLOCK_BYTES - gcd(BLOCK_BYTES, rows.stride, rows.offset)  # bytes of a run's first and last block beside it
    read = wanted * (1 + passed) * rows.stride + runs * ends
    return max(_cut(runs, wanted, MAX_PIECES), _cut(runs, read, MAX_COPIED_BYTES)), read


def _cut(runs: float, total: float, limit: float) -> float:
    """The reads of runs of random lengths, `total` together, of which none may be longer than a limit."""
    return runs / (1 - exp(-limit * runs / total)) if total else runs

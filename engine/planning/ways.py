"""The ways in which a checkpoint's weights can be read where a token needs a part of them alone, and the choice.

Reads of whole linears go on beside computing, those of active rows are waited for: what decides is a token's time, as
the cost model has it, with the measurements of the drive, and of the model's answers once there are such.
"""

from dataclasses import dataclass
from pathlib import Path

from engine.flash.profile import DriveProfile, profile_path, usual_profile
from engine.memory.budget import SHARE_WITHOUT_BUDGET
from engine.models.checkpoint import LazyModel
from engine.planning.active_rows import RowChoice, choice_of_experts, choices_of, with_rows
from engine.planning.cost import ModelCost, predict
from engine.planning.layers import layers_of
from engine.planning.measured import Measured
from engine.planning.shape import ModelShape
from engine.settings import Settings
from engine.streaming.found import Streamable

MAX_TIME_SHARE = 0.95  # of a token's time: what active rows must make of it, as waits are more than is foreseen


@dataclass(frozen=True)
class ReadWays:
    """The two ways for all linears of which active rows are enough, and all experts that leave neurons at zero.

    rows_ms, whole_ms: of a token, with the smallest pools. faster: active rows are, with these and with room for half
    of all bundles. prepared: the experts' columns are there to be read. unmeasured: how many of the experts' neurons
    are zero is not known.
    """

    choices: tuple[RowChoice, ...]
    rows_ms: float = 0.0
    whole_ms: float = 0.0
    faster: bool = False
    prepared: bool = True
    unmeasured: bool = False

    @classmethod
    def of(cls, lazy: LazyModel, found: Streamable, folder: Path) -> "ReadWays | None":
        """Those of a model on the drive of its folder, or on a usual one where that was not measured; None for one that
        leaves no choice."""
        measured_drive = DriveProfile.load(profile_path(folder))
        profile, measured = measured_drive or usual_profile(), Measured.load(folder, measured_drive)
        choices = (*choices_of(found, profile), *_choices_of_experts(lazy, found, measured.active_share, profile))
        neurons = [each.neurons for each in found.experts if each.neurons]
        if not choices:
            return cls((), unmeasured=True) if neurons else None
        rows, whole = (_token_ms(lazy, with_rows(found, each), profile, measured) for each in (choices, ()))
        faster = rows[0] < MAX_TIME_SHARE * whole[0] and rows[1] < whole[1]
        return cls(choices, rows[0], whole[0], faster, all(each.layout is not None for each in neurons))

    @property
    def reads_rows(self) -> bool:
        """True where active rows are read of all that is read faster so."""
        return self.prepared and self.faster

    def chosen(self, found: Streamable) -> Streamable:
        """The streamable parts, as they are read."""
        return with_rows(found, self.choices if self.reads_rows else ())


def as_read(lazy: LazyModel, found: Streamable, folder: Path) -> tuple[Streamable, ReadWays | None]:
    """The streamable parts of a model as they are read, and the ways that were chosen from."""
    ways = ReadWays.of(lazy, found, folder)
    return (ways.chosen(found) if ways else found), ways


def _choices_of_experts(
    lazy: LazyModel, found: Streamable, active_share: float | None, profile: DriveProfile
) -> list[RowChoice]:
    """active_share: of the neurons of a token's experts, as answers have shown; nothing is chosen before."""
    with_neurons = [(each, each.neurons) for each in found.experts if each.neurons]
    if not with_neurons or not active_share:
        return []
    chosen = {each.path: each.chosen or 1 for each in ModelShape.of_checkpoint(lazy, found).bundles}
    return [choice_of_experts(each, n, chosen[each.path], active_share, profile) for each, n in with_neurons]


def _token_ms(lazy: LazyModel, found: Streamable, profile: DriveProfile, measured: Measured) -> list[float]:
    """A token's milliseconds with the smallest pools, and with room for half of all bundles."""
    shape = ModelShape.of_checkpoint(lazy, found)
    layers = layers_of(shape)
    demands = [layer.demand() for layer in layers]
    pools = ([max(d.minimum, int(share * d.bundles)) for d in demands] for share in (0.0, SHARE_WITHOUT_BUDGET))
    model = ModelCost(shape, layers)
    return [predict(model, profile, slots, Settings(), 0, 0, measured).total_ms for slots in pools]

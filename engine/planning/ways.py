"""The ways in which a checkpoint's weights can be read where a token needs a part of them alone, and the choice.

Reads of whole linears go on beside computing, those of active rows are waited for: what decides is a token's time, as
the cost model has it, with the measurements of the drive, and of the model's answers once there are such.
"""

from dataclasses import dataclass
from pathlib import Path

from engine.flash.profile import DriveProfile, profile_path, usual_profile
from engine.models.checkpoint import LazyModel
from engine.planning.active_rows import RowChoice, choices_of, with_rows
from engine.planning.cost import ModelCost, predict
from engine.planning.layers import layers_of
from engine.planning.measured import Measured
from engine.planning.shape import ModelShape
from engine.settings import Settings
from engine.streaming.found import Streamable


@dataclass(frozen=True)
class ReadWays:
    """The two ways for all linears of which active rows are enough. rows_ms, whole_ms: of a token, with the smallest
    pools."""

    choices: tuple[RowChoice, ...]
    rows_ms: float
    whole_ms: float

    @classmethod
    def of(cls, lazy: LazyModel, found: Streamable, folder: Path) -> "ReadWays | None":
        """Those of a model on the drive of its folder, or on a usual one where that was not measured; None for one that
        leaves no choice."""
        measured_drive = DriveProfile.load(profile_path(folder))
        profile, measured = measured_drive or usual_profile(), Measured.load(folder, measured_drive)
        choices = tuple(choices_of(found, profile))
        if not choices:
            return None
        rows, whole = (_token_ms(lazy, with_rows(found, each), profile, measured) for each in (choices, ()))
        return cls(choices, rows, whole)

    @property
    def reads_rows(self) -> bool:
        """True where active rows are read of every linear that is read faster so."""
        return self.rows_ms < self.whole_ms

    def chosen(self, found: Streamable) -> Streamable:
        """The streamable parts, as they are read."""
        return with_rows(found, self.choices if self.reads_rows else ())


def as_read(lazy: LazyModel, found: Streamable, folder: Path) -> tuple[Streamable, ReadWays | None]:
    """The streamable parts of a model as they are read, and the ways that were chosen from."""
    ways = ReadWays.of(lazy, found, folder)
    return (ways.chosen(found) if ways else found), ways


def _token_ms(lazy: LazyModel, found: Streamable, profile: DriveProfile, measured: Measured) -> float:
    shape = ModelShape.of_checkpoint(lazy, found)
    layers, settings = layers_of(shape), Settings()
    slots = [layer.demand().minimum for layer in layers]
    return predict(ModelCost(shape, layers), profile, slots, settings, 0, 0, measured).total_ms

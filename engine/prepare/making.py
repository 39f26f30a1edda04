"""Making a model that runs here of whatever a person has: by its neurons, converted to MLX's form, or out of GGUF."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from engine.errors import CheckpointError
from engine.models import streams_neurons
from engine.models.mlx_lm import build_mlx_lm
from engine.prepare.checkpoint import read_plain_config
from engine.prepare.conversion import Quantisation, convert
from engine.store.mlx_folder import runs_as_it_is

GGUF_SUFFIX = ".gguf"
Progress = Callable[[str, float], None]


class Way(Enum):
    """The manner in which a checkpoint becomes a model that runs here."""

    AS_IT_IS = auto()
    NEURONS = auto()
    CONVERSION = auto()
    GGUF = auto()


@dataclass(frozen=True)
class Making:
    """The way in which a model is made. converted: to MLX's form also where its neurons could be streamed.
    quantisation: then, None for 16 bits. calibration, dtype, predictors, bits: of neurons, see `prepare`."""

    converted: bool = False
    quantisation: Quantisation | None = field(default_factory=Quantisation)
    calibration: Path | None = None
    dtype: str | None = None
    predictors: str | Path = "trained"
    bits: int | None = None


def way_of(source: Path, converted: bool = False) -> Way:
    """The way of a folder or a GGUF file. converted: where a conversion was asked for.

    Raises CheckpointError for a folder whose config cannot be read.
    """
    if source.suffix.lower() == GGUF_SUFFIX:
        return Way.GGUF
    if not source.is_dir():
        if source.exists():
            raise CheckpointError("{file} is a file. Give the folder of a model.", file=source)
        raise CheckpointError("There is no folder {folder}.", folder=source)
    config = read_plain_config(source)
    if runs_as_it_is(config):
        return Way.AS_IT_IS
    if not streams_neurons(config):
        return Way.CONVERSION
    if converted:
        _check_convertible(source, config)
    return Way.CONVERSION if converted else Way.NEURONS


def _check_convertible(folder: Path, config: dict[str, object]) -> None:
    """Raises CheckpointError for neurons that can be streamed, and nothing else."""
    try:
        build_mlx_lm(config)
    except CheckpointError as error:
        raise CheckpointError(
            "Neurons of {folder} can have 16, 8 or 4 bits, and no other form: there is no model of its kind in MLX's.",
            folder=folder,
        ) from error


def make(
    source: Path, out: Path, making: Making | None = None, name: str | None = None, progress: Progress = lambda *_: None
) -> Way:
    """Make the model `out` of a checkpoint's folder, or of a GGUF file; the source stays as it is. What was interrupted
    goes on, except out of GGUF. Raises CheckpointError, DiskFullError, FlashbulbError.
    """
    making = making or Making()
    way = way_of(source, making.converted)
    if way is Way.AS_IT_IS:
        _by_neurons(source, out, progress)
    elif way is Way.GGUF:
        _from_gguf(source, out, progress)
    elif way is Way.CONVERSION:
        convert(source, out, making.quantisation, progress)
    else:
        from engine.prepare.prepare import prepare

        prepare(
            source,
            out,
            calibration=making.calibration,
            dtype=making.dtype,
            name=name,
            predictors=making.predictors,
            bits=making.bits,
            progress=progress,
        )
    return way


def _by_neurons(source: Path, out: Path, progress: Progress) -> None:
    """Raises CheckpointError for one that is never read by neurons: it runs as it is."""
    from engine.prepare.columns import add_columns

    add_columns(source, out, progress)


def _from_gguf(source: Path, out: Path, progress: Progress) -> None:
    from engine.prepare.from_gguf import convert_gguf

    convert_gguf(source, out, lambda share: progress("converting", share))

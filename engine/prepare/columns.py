"""From a checkpoint in MLX's form whose experts leave neurons at exactly zero to one that can be read by its neurons:
the same files, and beside them the columns of the experts' second matrices, each in one place.

Nothing is computed and nothing lost: the columns' numbers are those of the checkpoint. Its files are linked where the
disk can, else copied.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile, rmtree

from engine.errors import CheckpointError
from engine.flash.profile import DriveProfile, profile_path
from engine.models.checkpoint import load_lazily
from engine.planning.measured import Measured
from engine.prepare.conversion import RESERVE_BYTES, Progress
from engine.prepare.room import check_room, pausing
from engine.store.columns import COLUMNS, ColumnForm
from engine.store.layout import SlotTensor
from engine.store.mlx_folder import MlxFolder
from engine.store.safetensors_writer import SafetensorsWriter
from engine.streaming.found import ExpertContainer, find_streamable

ALIGNMENT = 4096  # bytes: of the first column in the file


def add_columns(source: Path, out: Path, progress: Progress = lambda *_: None) -> None:
    """Write the checkpoint `out`: all that is in `source`, and the columns of its experts.

    Raises CheckpointError for one that is not read by neurons, DiskFullError, FlashbulbError.
    """
    if out.exists():
        raise CheckpointError("{out} exists already. Choose another folder.", out=out)
    forms = {each.path: (form, each.layout.tensors["fc2.weight"]) for each, form in _with_columns(source)}
    if not forms:
        raise CheckpointError("{folder} is in MLX's form already: it runs as it is.", folder=source)
    total = sum(form.stored.nbytes for form, _ in forms.values())
    partial = out.with_name(f"{out.name}.partial")
    with pausing(out, partial, lambda: total):
        check_room(total + RESERVE_BYTES, out)
        rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _write(partial / COLUMNS, forms, progress)
        for path in sorted(source.iterdir()):
            if path.is_file() and path.name != COLUMNS:
                _link(path, partial / path.name)
        partial.rename(out)
        _take_over(source, out)


def _with_columns(source: Path) -> Iterator[tuple[ExpertContainer, ColumnForm]]:
    found = find_streamable(load_lazily(source), MlxFolder.open(source).tensors)
    for each in found.experts:
        if each.neurons is not None:
            yield each, each.neurons.form


def _write(path: Path, forms: dict[str, tuple[ColumnForm, SlotTensor]], progress: Progress) -> None:
    described = {name: form.stored for name, (form, _) in forms.items()}
    done, total = 0, sum(form.experts for form, _ in forms.values())
    with SafetensorsWriter(path, described, alignment=ALIGNMENT) as file:
        for form, tensor in forms.values():
            for matrix in _matrices(form, tensor):
                file.write(form.columns(matrix))
                done += 1
                progress("columns", done / total)


def _matrices(form: ColumnForm, tensor: SlotTensor) -> Iterator[bytes]:
    """Each expert's, as it is stored. Raises CheckpointError for a file that has become shorter."""
    with tensor.path.open("rb") as file:
        file.seek(tensor.offset)
        for _ in range(form.experts):
            matrix = file.read(tensor.stride)
            if len(matrix) < tensor.stride:
                raise CheckpointError("{path} is cut off. Download it again.", path=tensor.path)
            yield matrix


def _take_over(source: Path, out: Path) -> None:
    """Let the new checkpoint know how many neurons are zero, if answers of the old one have shown it."""
    profile = DriveProfile.load(profile_path(source))
    known = Measured.load(source, profile)
    if known.active_share is not None:
        Measured(known.profile, known.tokens, active_share=known.active_share).save(out)


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path.resolve(), to)
    except OSError:  # another disk, or one without links
        copyfile(path, to)

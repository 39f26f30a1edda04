"""The content of a folder or file that was dropped or chosen: a model, something that could become one, or neither.

No widgets. Not for the GUI's thread: it looks at disks, and the engine takes a while to import.
"""

from dataclasses import dataclass
from pathlib import Path

from app.library.rows import Row
from app.library.survey import MANIFEST, for_checkpoint, in_words
from app.widgets.language import spoken, tr

WEIGHT_FILES = (".safetensors", ".bin", ".pth", ".pt")
OTHER_FORMS = {".ggml": "GGML", ".onnx": "ONNX", ".mlmodel": "Core ML", ".mlpackage": "Core ML"}


@dataclass(frozen=True)
class Found:
    """prepared: folders of models that can be loaded as they are. root: the folder that checkpoints
    are in, from now on as well. checkpoint: a model that could be prepared. refused:
    why there is nothing to be done, in words. unsupported: it is a model, only not one of those that run here."""

    prepared: tuple[Path, ...] = ()
    root: Path | None = None
    checkpoint: Row | None = None
    refused: str = ""
    unsupported: bool = False


def look_into(path: Path, budget: int | None = None, window: int = 5) -> Found:
    """Look at what was dropped or chosen. budget, window: what speeds are told for, as in a survey."""
    try:
        return _look_into(path.resolve(), budget, window)  # as the engine calls it
    except Exception as error:  # whatever is there
        return Found(refused=in_words(error))


def _look_into(path: Path, budget: int | None, window: int) -> Found:
    from engine.library.local import is_checkpoint

    if not path.exists():
        return Found(refused=tr("There is no {0}.").format(path))
    if is_checkpoint(path) and not path.is_dir():
        return _made_of(path, budget, window)
    if not path.is_dir():
        return Found(refused=_why_no_file(path), unsupported=path.suffix.lower() in OTHER_FORMS)
    if (path / MANIFEST).is_file():
        return Found(prepared=(path,))
    if is_checkpoint(path):
        return _of_checkpoint(path, budget, window)
    return _below(path)


def _below(path: Path) -> Found:
    """Of a folder that is no model itself, the models in it."""
    from engine.store.others import Use, checkpoints_in, use_of

    prepared = sorted(folder for folder in path.iterdir() if (folder / MANIFEST).is_file())
    as_they_are = [each.folder for each in checkpoints_in(path) if use_of(each.folder).use is Use.AS_IT_IS]
    if not prepared and not as_they_are:
        return Found(refused=_why_no_model(path))
    return Found(prepared=(*prepared, *as_they_are), root=path if as_they_are else None)


def _of_checkpoint(path: Path, budget: int | None, window: int) -> Found:
    """A checkpoint is refused before anybody is asked whether something shall be made of it."""
    from engine.store.others import Use, use_of

    verdict = use_of(path)
    if verdict.use is Use.NONE:
        refused = tr("{0} cannot run here. {1}").format(path.name, spoken(verdict.reason))
        return Found(refused=refused, unsupported=True)
    return Found(prepared=(path,)) if verdict.use is Use.AS_IT_IS else _made_of(path, budget, window)


def _made_of(path: Path, budget: int | None, window: int) -> Found:
    """The models that were made of a checkpoint or a GGUF file already, or that could be."""
    row = for_checkpoint(path, budget, window)
    return Found(prepared=(row.folder,)) if row.folder else Found(checkpoint=row)


def _why_no_file(path: Path) -> str:
    suffix = path.suffix.lower()
    if form := OTHER_FORMS.get(suffix):
        return tr(
            "{0} is a {1} file, which Flashbulb cannot read. It runs models in the form of the Hugging Face Hub: a "
            "folder with config.json and .safetensors files."
        ).format(path.name, form)
    if suffix in WEIGHT_FILES:
        return tr("{0} is one file of a model. Drop its whole folder, which also holds config.json.").format(path.name)
    return tr("{0} is not a model. Drop the folder of one, with config.json and .safetensors files.").format(path.name)


def _why_no_model(path: Path) -> str:
    forms = [OTHER_FORMS[file.suffix.lower()] for file in path.iterdir() if file.suffix.lower() in OTHER_FORMS]
    if forms:
        return tr(
            "{0} holds a model as {1}, which Flashbulb cannot read. It needs config.json and .safetensors files."
        ).format(path.name, forms[0])
    return tr("{0} is not a model's folder. It needs config.json and .safetensors or .bin files.").format(path.name)

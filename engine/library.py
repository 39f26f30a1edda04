"""The user's models: which are worth having (the catalogue), which are on disk, and how one gets there.

models/facebook--opt-125m/               a prepared model
models/.downloads/facebook--opt-125m/    one on its way: plan.json, checkpoint/, prepared/
models/.adding/mine.json                 of which folder models/mine/ was prepared, or models/mine.partial/ is being
models/.drives/                          how fast the drives are, by `flashbulb bench drive`
"""

import json
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from os.path import lexists
from pathlib import Path
from tempfile import TemporaryDirectory

from engine import hub
from engine.download import Progress, Transfer, download
from engine.errors import AccessError, CancelledError, HubError
from engine.files import hold, write_whole
from engine.flash.profile import drive_of
from engine.folders import models_folder
from engine.models import ARCHITECTURES, architecture
from engine.prepared import MANIFEST
from engine.text import Text

CATALOGUE = Path(__file__).parent.parent / "resources" / "catalogue.json"
DOWNLOADS, PLAN, WHOLE = ".downloads", "plan.json", "download.json"
ADDING, PROFILES = ".adding", ".drives"
WEIGHTS = (".safetensors", ".bin")


def profile_path(folder: Path) -> Path:
    """Where the profile of the drive that holds `folder` is saved; `flashbulb bench drive` measures it."""
    return models_folder() / PROFILES / f"{drive_of(folder)}.json"


def catalogue() -> list[dict]:
    """The catalogue's models; `supported` tells whether this Flashbulb can prepare their architecture."""
    models = json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]
    return [model | {"supported": model["model_type"] in ARCHITECTURES} for model in models]


# ------------------------------------------------------------------------------------------------- on disk
@dataclass(frozen=True)
class Installed:
    """A prepared model in the models folder. bytes: of all its files."""

    repo: str
    revision: str | None
    folder: Path
    bytes: int


@dataclass(frozen=True)
class Unfinished:
    """A download that was paused or broke, or a checkpoint that was not prepared yet."""

    repo: str
    revision: str
    done: int
    total: int


def installed() -> list[Installed]:
    """What is ready to load, by name. A folder without a readable manifest is none."""
    models = []
    for path in sorted(models_folder().glob(f"*/{MANIFEST}")):
        try:
            manifest = json.loads(path.read_text())
            size = sum(entry["bytes"] for entry in manifest["files"].values())
            source = manifest.get("source", {})
            repo, revision = source.get("repository") or _repo(path.parent.name), source.get("revision")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        models.append(Installed(repo, revision, path.parent, size))
    return models


def unfinished() -> list[Unfinished]:
    plans = (_read_plan(path.parent) for path in sorted((models_folder() / DOWNLOADS).glob(f"*/{PLAN}")))
    return [
        Unfinished(plan.repo, plan.commit, plan.fetched(checkpoint_folder(plan.repo)), plan.bytes)
        for plan in plans
        if plan
    ]


def folder_of(name: str) -> Path | None:
    """The folder of an installed model, by its repository (facebook/opt-125m); None if it is not installed."""
    return next((model.folder for model in installed() if model.repo == name), None)


def checkpoint_folder(repo: str) -> Path:
    """Where a checkpoint is downloaded to, until it is prepared."""
    return _work(repo) / "checkpoint"


def remove(repo: str) -> int:
    """Delete a model and what was downloaded of it. Returns the bytes it had; raises HubError if there is nothing."""
    found = [m for m in installed() if m.repo == repo]
    work = _work(repo)
    if not hub.is_repository(repo) or not (found or work.is_dir()):
        raise HubError("{repo} is not on disk. `flashbulb models` lists what is.", repo=repo)
    freed = sum(m.bytes for m in found) + sum(u.done for u in unfinished() if u.repo == repo)
    with _alone(repo):
        for model in found:
            (model.folder / MANIFEST).unlink()  # first, so that nothing half deleted looks whole
            model.folder.unlink() if model.folder.is_symlink() else shutil.rmtree(model.folder)
            _note(model.folder).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
    return freed


# ------------------------------------------------------------------------------------------ getting a model
def plan_for(repo: str, revision: str | None = None) -> hub.Plan:
    """What `get` would fetch, asking the Hub. What was begun goes on with its commit; what is whole needs no Hub."""
    begun = _read_plan(_work(repo)) if hub.is_repository(repo) else None
    if begun is None or revision not in (None, begun.commit):
        return hub.look_up(repo, revision)
    return begun if (checkpoint_folder(repo) / WHOLE).is_file() else hub.look_up(repo, begun.commit)


def config_of(plan: hub.Plan) -> dict | None:
    """A repository's config.json, asked of the Hub; None where its authors have not let us in.

    Raises HubError, DownloadError.
    """
    with TemporaryDirectory() as folder:
        try:
            download([file for file in plan.files if file.name == "config.json"], Path(folder), hub.token())
        except AccessError:
            return None
        return _config(plan, Path(folder))


def get(
    plan: hub.Plan,
    progress: Callable[[Progress], None] = lambda _: None,
    preparing: Callable[[str, float], None] = lambda *_: None,
    stop: threading.Event | None = None,
    transfer: Transfer | None = None,
    **options,
) -> Path:
    """Download and prepare a model; returns its folder. Call it again to go on with what was interrupted.

    preparing(stage, share): while it is prepared. options: calibration and dtype, as `prepare` takes them. stop pauses.
    Raises HubError, GatedError, DownloadError, CheckpointError, CancelledError.
    """
    stop = stop or threading.Event()
    with _alone(plan.repo):
        if folder := folder_of(plan.repo):
            return folder
        checkpoint = _fetch(plan, progress, stop, transfer)
        return _prepare(plan, checkpoint, preparing, stop, options)


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds a model as it is published, which could be prepared."""
    return (folder / "config.json").is_file() and any(any(folder.glob(f"*{suffix}")) for suffix in WEIGHTS)


def add(checkpoint: Path, preparing: Callable[[str, float], None] = lambda *_: None, **options) -> Path:
    """Prepare a checkpoint that is on disk already; returns the model's folder. The checkpoint stays as it is.

    Call it again to go on with what was interrupted. Checkpoints of one name become models `mine`, `mine 2`.
    Raises HubError, CheckpointError, FlashbulbError.
    """
    from engine.prepare.prepare import prepare

    checkpoint = checkpoint.resolve()
    folder = _added(checkpoint)
    number = folder.name.removeprefix(_plain_name(checkpoint)).replace("-", " ")
    with _alone(folder.name):
        if (folder / MANIFEST).is_file():
            return folder
        _write(_note(folder), {"checkpoint": str(checkpoint)})
        try:
            prepare(checkpoint, folder, name=checkpoint.name + number, progress=preparing, **options)
        finally:
            if not folder.is_dir() and not _partial(folder).is_dir():  # nothing of it was kept
                _note(folder).unlink()
    return folder


def added(checkpoint: Path) -> Path | None:
    """The model that `add` made of a checkpoint; None if there is none."""
    folder = _added(checkpoint.resolve())
    return folder if (folder / MANIFEST).is_file() else None


def adding() -> list[Path]:
    """Checkpoints on disk that `add` was interrupted with. They may be gone meanwhile."""
    return [checkpoint for checkpoint, folder in _noted() if _partial(folder).is_dir()]


def give_up(checkpoint: Path) -> None:
    """Delete what `add` has made so far of a checkpoint."""
    folder = _added(checkpoint.resolve())
    with _alone(folder.name):
        shutil.rmtree(_partial(folder), ignore_errors=True)
        if not folder.is_dir():
            _note(folder).unlink(missing_ok=True)


def _added(checkpoint: Path) -> Path:
    """A checkpoint's folder among the models: the one that was begun for it, or else one that is free."""
    known = (folder for noted, folder in _noted() if noted == checkpoint)
    name = _plain_name(checkpoint)
    numbered = (models_folder() / (f"{name}-{number}" if number > 1 else name) for number in count(1))
    free = (folder for folder in numbered if not lexists(folder) and not _partial(folder).exists())
    return next(known, None) or next(free)


def _plain_name(checkpoint: Path) -> str:
    return re.sub(r"[^\w.-]+", "-", checkpoint.name, flags=re.ASCII).lstrip(".-") or "model"


def _partial(folder: Path) -> Path:
    """Where `prepare` works."""
    return folder.with_name(f"{folder.name}.partial")


def _note(folder: Path) -> Path:
    return models_folder() / ADDING / f"{folder.name}.json"


def _noted() -> Iterator[tuple[Path, Path]]:
    """Checkpoints, and the folders that are or were to be made of them."""
    for note in sorted((models_folder() / ADDING).glob("*.json")):
        try:
            checkpoint = Path(json.loads(note.read_text(encoding="utf-8"))["checkpoint"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        yield checkpoint, models_folder() / note.stem


def _fetch(plan: hub.Plan, progress, stop, transfer) -> Path:
    """The whole checkpoint's folder. `download.json` in it is written last: with it, the download is whole."""
    work = _work(plan.repo)
    checkpoint = checkpoint_folder(plan.repo)
    begun = _read_plan(work)
    if begun and begun.commit != plan.commit:
        shutil.rmtree(work)  # files of two commits may not be mixed
    plan.check_room(checkpoint)
    _write(work / PLAN, asdict(plan))
    token = hub.token()

    def arrived(file) -> None:
        if file.name == "config.json":
            architecture(_config(plan, checkpoint))  # a refusal comes before the weights

    try:
        download(plan.files, checkpoint, token, progress, stop, transfer, arrived)
    except AccessError as error:
        raise hub.gated(plan.repo, token) from error
    _write(checkpoint / WHOLE, {"repository": plan.repo, "revision": plan.commit, "files": asdict(plan)["files"]})
    return checkpoint


def _config(plan: hub.Plan, folder: Path) -> dict:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError("config.json of {repo} is no JSON: {error}.", repo=plan.repo, error=error) from error
    if not isinstance(config, dict):
        raise HubError("config.json of {repo} holds no names and values.", repo=plan.repo)
    return config


def _prepare(plan: hub.Plan, checkpoint: Path, preparing, stop: threading.Event, options: dict) -> Path:
    from engine.prepare.prepare import prepare

    def report(stage: str, share: float) -> None:
        if stop.is_set():
            raise CancelledError("Preparing was stopped. The download and the layers that are done are kept.")
        preparing(stage, share)

    prepared, folder = _work(plan.repo) / "prepared", models_folder() / _name(plan.repo)
    shutil.rmtree(prepared, ignore_errors=True)  # of a run that ended just before it could be moved
    prepare(checkpoint, prepared, name=plan.repo.split("/")[-1], progress=report, **options)
    _name_source(prepared / MANIFEST, plan)
    try:
        prepared.rename(folder)
    except OSError as error:
        raise HubError(
            "{folder} is in the way ({reason}). Move it elsewhere.", folder=folder, reason=error.strerror
        ) from error
    shutil.rmtree(_work(plan.repo), ignore_errors=True)
    return folder


def _name_source(path: Path, plan: hub.Plan) -> None:
    manifest = json.loads(path.read_text())
    manifest["source"] = {"repository": plan.repo, "revision": plan.commit, "licence": plan.licence}
    _write(path, manifest)


# ------------------------------------------------------------------------------------------ names and locks
def _name(repo: str) -> str:
    return repo.replace("/", "--")  # which a repository's name never holds


def _repo(name: str) -> str:
    return name.replace("--", "/")


def _work(repo: str) -> Path:
    return models_folder() / DOWNLOADS / _name(repo)


@contextmanager
def _alone(repo: str) -> Iterator[None]:
    """Hold a repository's lock, which the system frees whatever becomes of us.

    Raises FlashbulbError if it is taken, HubError for what goes wrong with the folder meanwhile.
    """
    lock = models_folder() / DOWNLOADS / f"{_name(repo)}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with hold(lock, Text("at work on {repo}", repo=repo)):
            yield
    except OSError as error:
        raise HubError(
            "{folder} cannot be changed ({reason}).", folder=models_folder(), reason=error.strerror or error
        ) from error


def _read_plan(work: Path) -> hub.Plan | None:
    try:
        content = json.loads((work / PLAN).read_text())
        return hub.Plan(**content | {"files": tuple(hub.RemoteFile(**file) for file in content["files"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=2) + "\n")

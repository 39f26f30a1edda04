"""Getting a model: looked up, downloaded, prepared."""

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.errors import AccessError, CancelledError, FlawError, HubError
from engine.library import addresses, explanations, hub
from engine.library.begun import (
    PLAN_FILE,
    alone,
    checkpoint_folder,
    folder_name,
    read_plan,
    work_folder,
    write_json,
)
from engine.library.download import Progress, RemoteFile, Transfer, download
from engine.library.removing import discard, finish_removals, make_way
from engine.library.token import token
from engine.store.installed import DOWNLOAD_FILE, folder_of
from engine.store.manifest import MANIFEST
from engine.system.documents import read_json, reason
from engine.system.folders import models_folder

LOOK_UP_TRANSFER = Transfer(tries=3, longest_pause=4.0, longest_asked=60.0)  # for a small file that somebody waits for


def plan_for(repo: str, revision: str | None = None) -> hub.Plan:
    """The plan of what `get` would fetch, asking the Hub.

    What was begun goes on with its commit; what is whole needs no Hub. Raises HubError.
    """
    begun = read_plan(work_folder(repo)) if addresses.is_repository(repo) else None
    if begun is None or revision not in (None, begun.commit):
        return hub.look_up(repo, revision)
    return begun if (checkpoint_folder(repo) / DOWNLOAD_FILE).is_file() else hub.look_up(repo, begun.commit)


def config_of(plan: hub.Plan) -> dict[str, object] | None:
    """A repository's config.json, asked of the Hub; None where its authors have not let us in.

    Raises HubError, DownloadError.
    """
    with TemporaryDirectory() as folder:
        try:
            wanted = [file for file in plan.files if file.name == "config.json"]
            download(wanted, Path(folder), token(), transfer=LOOK_UP_TRANSFER)
        except AccessError:
            return None
        return _config(plan, Path(folder))


def get(
    plan: hub.Plan,
    progress: Callable[[Progress], None] = lambda _: None,
    preparing: Callable[[str, float], None] = lambda *_: None,
    stop: threading.Event | None = None,
    transfer: Transfer | None = None,
    **options: Any,
) -> Path:
    """Download and prepare a model; returns its folder. Call it again to go on with what was interrupted.

    preparing(stage, share): while it is prepared. options: calibration and dtype, as `prepare` takes them. stop pauses.
    Raises HubError, GatedError, DownloadError, CheckpointError, CancelledError.
    """
    stop = stop or threading.Event()
    with alone(plan.repo):
        if folder := folder_of(plan.repo):
            return folder
        finish_removals()
        make_way(models_folder() / folder_name(plan.repo))
        checkpoint = _fetch(plan, progress, stop, transfer)
        return _prepare(plan, checkpoint, preparing, stop, options)


def _fetch(
    plan: hub.Plan, progress: Callable[[Progress], None], stop: threading.Event, transfer: Transfer | None
) -> Path:
    """The whole checkpoint's folder. `download.json` in it is written last: with it, the download is whole."""
    work = work_folder(plan.repo)
    checkpoint = checkpoint_folder(plan.repo)
    begun = read_plan(work)
    if begun and begun.commit != plan.commit:
        discard(work)  # files of two commits may not be mixed
    plan.check_room(checkpoint)
    write_json(work / PLAN_FILE, asdict(plan))
    known_token = token()

    from engine.models.supported import check_supported

    def arrived(file: RemoteFile) -> None:
        if file.name == "config.json":
            check_supported(_config(plan, checkpoint))  # a refusal comes before the weights

    try:
        download(plan.files, checkpoint, known_token, progress, stop, transfer, arrived)
    except AccessError as error:
        raise explanations.gated(plan.repo, known_token) from error
    write_json(
        checkpoint / DOWNLOAD_FILE, {"repository": plan.repo, "revision": plan.commit, "files": asdict(plan)["files"]}
    )
    return checkpoint


def _config(plan: hub.Plan, folder: Path) -> dict[str, object]:
    try:
        return read_json(folder / "config.json")
    except (FlawError, RecursionError, UnicodeDecodeError) as error:
        raise HubError("config.json of {repo} cannot be used: {flaw}.", repo=plan.repo, flaw=reason(error)) from error


def _prepare(
    plan: hub.Plan,
    checkpoint: Path,
    preparing: Callable[[str, float], None],
    stop: threading.Event,
    options: dict[str, Any],
) -> Path:
    """A checkpoint that runs as it is stays so, and is only moved to its place."""
    from engine.prepare.making import Making, Way, make, way_of

    def report(stage: str, share: float) -> None:
        if stop.is_set():
            raise CancelledError("Preparing was stopped. The download and the layers that are done are kept.")
        preparing(stage, share)

    prepared, folder = work_folder(plan.repo) / "prepared", models_folder() / folder_name(plan.repo)
    way = way_of(checkpoint)
    if way is Way.AS_IT_IS:
        return _move(plan, checkpoint, folder)
    discard(prepared)  # of a run that ended just before it could be moved
    make(checkpoint, prepared, Making(**options), plan.repo.split("/")[-1], report)
    if way is Way.NEURONS:
        _name_source(prepared / MANIFEST, plan)
    else:
        write_json(prepared / DOWNLOAD_FILE, {"repository": plan.repo, "revision": plan.commit})
    return _move(plan, prepared, folder)


def _move(plan: hub.Plan, made: Path, folder: Path) -> Path:
    """A whole model to its place; what else there was of it goes."""
    try:
        made.rename(folder)
    except OSError as error:
        raise HubError(
            "{folder} is in the way ({reason}). Move it elsewhere.", folder=folder, reason=error.strerror
        ) from error
    discard(work_folder(plan.repo))
    return folder


def _name_source(path: Path, plan: hub.Plan) -> None:
    manifest = json.loads(path.read_text())
    manifest["source"] = {"repository": plan.repo, "revision": plan.commit, "licence": plan.licence}
    write_json(path, manifest)

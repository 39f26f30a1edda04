"""Downloads that were begun.

models/.downloads/facebook--opt-125m/    one on its way: plan.json, checkpoint/, prepared/
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HubError
from engine.library import addresses, hub
from engine.system.documents import try_read
from engine.system.files import hold, write_whole
from engine.system.folders import models_folder
from engine.text import Text

DOWNLOADS_FOLDER, PLAN_FILE = ".downloads", "plan.json"


@dataclass(frozen=True)
class Unfinished:
    """A download that was paused or broke, or a checkpoint that was not prepared yet."""

    repo: str
    revision: str
    done: int
    total: int


def unfinished() -> list[Unfinished]:
    """The downloads that were begun, by name. A plan that cannot be read is none."""
    plans = (read_plan(path.parent) for path in _plans())
    return [
        Unfinished(plan.repo, plan.commit, plan.fetched(checkpoint_folder(plan.repo)), plan.bytes)
        for plan in plans
        if plan
    ]


def _plans() -> list[Path]:
    try:
        return sorted((models_folder() / DOWNLOADS_FOLDER).glob(f"*/{PLAN_FILE}"))
    except OSError:  # a folder that may not be entered
        return []


def checkpoint_folder(repo: str) -> Path:
    """The folder that a checkpoint is downloaded to, until it is prepared."""
    return work_folder(repo) / "checkpoint"


# ------------------------------------------------------------------------------------------ names and locks
def folder_name(repo: str) -> str:
    """The name of a repository's folder."""
    return repo.replace("/", "--")  # which a repository's name never holds


def work_folder(repo: str) -> Path:
    """The folder of what a download needs while it is on its way."""
    return models_folder() / DOWNLOADS_FOLDER / folder_name(repo)


@contextmanager
def alone(repo: str) -> Iterator[None]:
    """Hold a repository's lock, which the system frees whatever becomes of us.

    Raises FlashbulbError if it is taken, HubError for what goes wrong with the folder meanwhile.
    """
    lock = models_folder() / DOWNLOADS_FOLDER / f"{folder_name(repo)}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with hold(lock, Text("at work on {repo}", repo=repo)):
            yield
    except OSError as error:
        raise HubError(
            "{folder} cannot be changed ({reason}).", folder=models_folder(), reason=error.strerror or error
        ) from error


def read_plan(work: Path) -> hub.Plan | None:
    """The plan of a download that was begun in a folder; None where there is none that can be used."""
    plan = try_read(work / PLAN_FILE, hub.Plan)
    if plan is None or not addresses.is_repository(plan.repo) or folder_name(plan.repo) != work.name:
        return None
    return plan if all(file.bytes >= 0 and re.fullmatch(r"\w[\w.-]*", file.name) for file in plan.files) else None


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write a file of names and values in one step, and the folders above it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=2) + "\n")

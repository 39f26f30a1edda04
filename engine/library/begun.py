"""Downloads that were begun.

models/.downloads/facebook--opt-125m/    one on its way: plan.json, checkpoint/, prepared/
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import HubError
from engine.library import hub
from engine.system.files import hold, write_whole
from engine.system.folders import models_folder
from engine.text import Text

DOWNLOADS, PLAN, WHOLE = ".downloads", "plan.json", "download.json"


@dataclass(frozen=True)
class Unfinished:
    """A download that was paused or broke, or a checkpoint that was not prepared yet."""

    repo: str
    revision: str
    done: int
    total: int


def unfinished() -> list[Unfinished]:
    plans = (read_plan(path.parent) for path in sorted((models_folder() / DOWNLOADS).glob(f"*/{PLAN}")))
    return [
        Unfinished(plan.repo, plan.commit, plan.fetched(checkpoint_folder(plan.repo)), plan.bytes)
        for plan in plans
        if plan
    ]


def checkpoint_folder(repo: str) -> Path:
    """Where a checkpoint is downloaded to, until it is prepared."""
    return work_folder(repo) / "checkpoint"


# ------------------------------------------------------------------------------------------ names and locks
def folder_name(repo: str) -> str:
    return repo.replace("/", "--")  # which a repository's name never holds


def work_folder(repo: str) -> Path:
    return models_folder() / DOWNLOADS / folder_name(repo)


@contextmanager
def alone(repo: str) -> Iterator[None]:
    """Hold a repository's lock, which the system frees whatever becomes of us.

    Raises FlashbulbError if it is taken, HubError for what goes wrong with the folder meanwhile.
    """
    lock = models_folder() / DOWNLOADS / f"{folder_name(repo)}.lock"
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with hold(lock, Text("at work on {repo}", repo=repo)):
            yield
    except OSError as error:
        raise HubError(
            "{folder} cannot be changed ({reason}).", folder=models_folder(), reason=error.strerror or error
        ) from error


def read_plan(work: Path) -> hub.Plan | None:
    try:
        content = json.loads((work / PLAN).read_text())
        return hub.Plan(**content | {"files": tuple(hub.RemoteFile(**file) for file in content["files"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_json(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=2) + "\n")

"""What there is: models on disk, begun and in the catalogue, as rows. No widgets.

Not for the GUI's thread: it looks at disks, and the engine takes a while to import.
"""

import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PySide6.QtCore import QT_TR_NOOP

from app.library.verdict import Kind, Verdict, judge, weight_bytes
from app.widgets.language import spoken, tr
from engine.system.machine import memory_available, memory_total

STARTER = "starter"
ACTIVATIONS = {"relu": "ReLU", "fatrelu": "FATReLU", "relu2": QT_TR_NOOP("squared ReLU")}
STARTER_FOLDER = Path(__file__).parents[2] / "resources" / "starter" / "model"
LINK = re.compile(r"(?:https?://)?[\w.-]+\.\w+(?::\d+)?/(?=[\w.-]+/)")
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Row:
    """A model. folder: where it is, if it is ready; checkpoint: where that is, if it is prepared from one, repo being
    its path. done, total: bytes of a download that was begun. disk: bytes that getting it takes, of which
    `lacking` are not free. refused: why it cannot be prepared, where more is known than its kind."""

    repo: str
    title: str
    about: str = ""
    tags: tuple[str, ...] = ()
    size: int = 0
    verdict: Verdict = field(default_factory=lambda: Verdict(Kind.IN_MEMORY, 0))
    folder: Path | None = None
    checkpoint: Path | None = None
    done: int = 0
    total: int = 0
    disk: int = 0
    lacking: int = 0
    refused: str = ""
    estimated: bool = True

    @property
    def model(self) -> str:
        """What the engine is to load, of a model that is ready."""
        return STARTER if self.repo == STARTER else str(self.folder)


@dataclass(frozen=True)
class Survey:
    """rows: what is on disk first. free_bytes: on the disk of `folder`."""

    rows: tuple[Row, ...]
    folder: Path
    free_bytes: int


def survey(budget: int | None = None, window: int = 5, looked_up: tuple[dict, ...] = ()) -> Survey:
    """Look. budget: the memory budget in bytes that speeds are told for, None for what is free up to half of the FFN;
    window: tokens; looked_up: what `flashbulb models show` found of repositories."""
    from engine.library.begun import unfinished
    from engine.library.catalogue import catalogue
    from engine.library.local import adding
    from engine.store.installed import installed
    from engine.system.folders import free_bytes, models_folder

    folder = models_folder()
    free = free_bytes(folder)
    judged = partial(_judged, _Machine(memory_available(), memory_total(), drive_profile(folder), budget, window))
    entries = {entry["repo"]: entry for entry in (*(_entry(found) for found in looked_up), *catalogue())}
    begun = {u.repo: u for u in unfinished()}
    rows = [_starter(), *(_begun(checkpoint, budget, window) for checkpoint in adding())]
    for model in installed():
        entry = entries.get(model.repo)
        config, sparsity, dtype = _prepared_facts(model.folder)
        verdict = judged(model.bytes, config, sparsity, dtype=dtype)
        rows.append(_row(model.repo, entry, model.bytes, verdict, folder=model.folder))
    present = {row.repo for row in rows}
    for repo in (*begun, *(repo for repo in entries if repo not in begun)):
        if repo in present:
            continue
        entry, unfinished = entries.get(repo), begun.get(repo)
        size = weight_bytes(entry) if entry else unfinished.total
        verdict = _verdict(judged, size, entry or {})
        parts = {"done": unfinished.done, "total": unfinished.total} if unfinished else {}
        if entry and not unfinished and (needed := entry.get("needed_bytes", 0)):
            parts |= {"disk": needed, "lacking": max(0, needed - free)}
        rows.append(_row(repo, entry, size, verdict, **parts))
    return Survey(tuple(rows), folder, free)


def _entry(found: dict) -> dict:
    """What was looked up, in the form of the catalogue's entries."""
    from engine.models import ARCHITECTURES

    plan, config = found["plan"], found["config"] or {}
    family = ARCHITECTURES.get(plan["model_type"])
    return {
        "repo": plan["repo"],
        "model_type": plan["model_type"],
        "licence": plan["licence"] or tr("licence: see its page"),
        "gated": plan["gated"],
        "bytes": plan["weight_bytes"],
        "needed_bytes": plan["needed_bytes"],
        "config": config,
        "supported": not found["refused"],
        "refused": spoken(found["refused"]),
        "activation": str(config.get(family.key)) if family else None,
    }


def _verdict(judged, size: int, entry: dict) -> Verdict:
    """Of a model that is not on disk; by its config, if that is known and makes sense."""
    from engine.errors import CheckpointError

    rest = (entry.get("sparsity"), entry.get("supported", True))
    try:
        if config := entry.get("config"):
            return judged(size, config, *rest)
    except (CheckpointError, ArithmeticError, TypeError, ValueError):
        pass
    return judged(size, _usual_config(entry.get("parameters") or size // 2, entry.get("model_type")), *rest)


@dataclass(frozen=True)
class _Machine:
    """What a verdict depends on beside the model."""

    available: int
    total: int
    profile: object | None
    budget: int | None
    window: int


def _judged(
    machine: _Machine, size: int, config: dict, sparsity: float | None, supported: bool = True, dtype: str | None = None
) -> Verdict:
    from engine.planning.estimate import estimate

    within = partial(estimate, config, sparsity, machine.profile, window=machine.window, dtype=dtype)
    expected = within(budget=machine.budget)
    if expected.budget < expected.smallest:  # the budget was chosen for a smaller model
        expected = within(budget=None)
    if machine.budget is None and expected.budget > machine.available:  # what the engine would take is not free
        expected = within(budget=max(expected.smallest, machine.available))
    return judge(size, expected, machine.available, machine.total, supported)


def _usual_config(parameters: int, model_type: str | None) -> dict:
    from engine.planning.estimate import usual_config

    return usual_config(parameters, model_type or "")


def _prepared_facts(folder: Path) -> tuple[dict, float | None, str | None]:
    """Config, sparsity and dtype of a prepared model; a damaged one is as good as an unknown one."""
    from engine.store.manifest import MANIFEST, Manifest
    from engine.system.documents import read_json, try_read

    try:
        config = read_json(folder / "config.json")
    except (OSError, ValueError, RecursionError):
        config = None
    manifest = try_read(folder / MANIFEST, Manifest)
    if config is None or manifest is None:
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        return _usual_config(size // 2, None), None, None
    layers = [layer.sparsity - layer.false_positives for layer in manifest.layers]
    return config, sum(layers) / len(layers), manifest.dtype


def drive_profile(folder: Path):
    """That of the drive which holds a folder (engine.flash.profile.DriveProfile); None where it was not measured."""
    from engine.errors import FlashbulbError
    from engine.flash.profile import DriveProfile, profile_path

    try:
        return DriveProfile.load(profile_path(folder))
    except FlashbulbError:  # damaged: as good as not measured
        return None


def for_repository(repo: str) -> Row:
    """A row for a repository that the catalogue does not know: nothing is known of its size yet."""
    return _row(repo, None, 0, Verdict(Kind.STREAMS, 0))


def for_checkpoint(folder: Path, budget: int | None = None, window: int = 5) -> Row:
    """A row for a checkpoint on disk that is to be prepared, or was. Raises CheckpointError."""
    from engine.errors import CheckpointError
    from engine.library.local import WEIGHTS, added
    from engine.system.documents import DOWNLOAD_AGAIN, parsing, read_json
    from engine.system.folders import models_folder

    with parsing(folder / "config.json", CheckpointError, DOWNLOAD_AGAIN):
        config = read_json(folder / "config.json")
    size = sum(file.stat().st_size for suffix in WEIGHTS for file in folder.glob(f"*{suffix}"))
    machine = _Machine(memory_available(), memory_total(), drive_profile(models_folder()), budget, window)
    verdict = _judged(machine, size, config, None)
    return _row(str(folder), None, size, verdict, checkpoint=folder, folder=added(folder))


def _begun(folder: Path, budget: int | None, window: int) -> Row:
    """A row for a checkpoint of which a part is prepared; it may be on a drive that is not there now."""
    from engine.errors import CheckpointError

    try:
        return for_checkpoint(folder, budget, window)
    except (CheckpointError, OSError, ValueError):
        return _row(str(folder), None, 0, Verdict(Kind.STREAMS, 0), checkpoint=folder)


def repository_in(text: str) -> str | None:
    """The repository that a name or a pasted link means; None if it is none."""
    name = LINK.sub("", text.strip(), count=1)
    name = "/".join(name.split("?")[0].strip("/").split("/")[:2])
    return name if REPOSITORY.fullmatch(name) else None


def verify(folder: Path) -> None:
    """Check every file's checksum. Raises PreparedModelError."""
    from engine.store.manifest import PreparedModel

    PreparedModel.open(folder, verify=True)


def _starter() -> Row:
    size = sum(path.stat().st_size for path in STARTER_FOLDER.glob("*.safetensors"))
    return Row(STARTER, "Starter", "", (), size, Verdict(Kind.IN_MEMORY, size), STARTER_FOLDER, estimated=False)


def _row(repo: str, entry: dict | None, size: int, verdict: Verdict, **parts) -> Row:
    owner, _, name = repo.rpartition("/")
    activation = tr(ACTIVATIONS.get((entry or {}).get("activation") or "", ""))
    licence = (entry or {}).get("licence") or ""
    sparsity = (entry or {}).get("sparsity")
    tags = (f"{100 * sparsity:.3g} %",) if sparsity else ()
    gated = tr("gated") if (entry or {}).get("gated") else ""
    about = ", ".join(part for part in (owner, activation, licence, gated) if part)
    estimated = not (entry or {}).get("bytes") and parts.get("folder") is None
    refused = (entry or {}).get("refused", "")
    return Row(repo, name, about, tags, size, verdict, refused=refused, estimated=estimated, **parts)

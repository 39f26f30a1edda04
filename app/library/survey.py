"""Models on disk, begun and in the catalogue, as rows. No widgets.

Not for the GUI's thread: it looks at disks, and the engine takes a while to import. One bad folder or file never hides
the others: it becomes a row that says what is wrong with it.
"""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.library.rows import Row, in_order, row, trained_to_chat
from app.library.verdict import Kind, Verdict, judge, weight_bytes
from app.widgets.language import spoken, tr
from engine.system.built_in import (
    ASSISTANT,
    STARTER,
    STARTER_FOLDER,
    TITLES,
    assistant_file,
    assistant_folder,
    built_in,
)
from engine.system.machine import memory_available, memory_total

if TYPE_CHECKING:
    from engine.flash.profile import DriveProfile

MANIFEST = "manifest.json"
log = logging.getLogger(__name__)
LINK = re.compile(r"(?:https?://)?[\w.-]+\.\w+(?::\d+)?/(?=[\w.-]+/)")
REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*", re.ASCII)
Judged = Callable[..., Verdict]


@dataclass(frozen=True)
class Survey:
    """rows: what is on disk first. free_bytes: on the disk of `folder`. troubles: what could not be looked at."""

    rows: tuple[Row, ...]
    folder: Path
    free_bytes: int
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """The findings in the folders that were looked at: their rows, and what could not be read."""

    rows: list[Row]
    troubles: list[str]

    def take(self, look: Callable[[], Iterable[Row]]) -> None:
        """Add what `look` finds; what goes wrong is kept as words."""
        try:
            self.rows.extend(look())
        except ImportError:
            raise  # no file's fault, but a bug
        except Exception as error:  # whatever a disk or a file holds: the others are still shown
            log.warning("the library: %r", error)
            words = in_words(error)
            if words not in self.troubles:
                self.troubles.append(words)


def survey(
    budget: int | None = None,
    window: int = 5,
    looked_up: tuple[dict[str, Any], ...] = (),
    folders: tuple[str, ...] = (),
    assumed: "DriveProfile | None" = None,
) -> Survey:
    """Look. budget: the memory budget in bytes that speeds are told for, None for what the engine takes by itself;
    window: tokens; looked_up: what `flashbulb models show` found of repositories; folders: of models that are kept
    elsewhere; assumed: the profile of a drive that was not measured."""
    from engine.system.folders import models_folder

    folder = models_folder()
    looked = Looked([], [])
    free = _free_bytes(folder, looked)
    judged = partial(_judged, _machine(folder, budget, window, assumed))
    entries = {entry["repo"]: entry for entry in (*(_entry(found) for found in looked_up), *_catalogue(looked))}
    looked.take(lambda: _built_in(judged))
    looked.take(lambda: _added(folders, judged))
    looked.take(lambda: _adding(judged))
    looked.take(lambda: _installed(folder, entries, judged))
    here = {row.folder.resolve() for row in looked.rows if row.folder}
    looked.take(lambda: _others(here, folders, judged))
    looked.take(lambda: _begun(entries, judged))
    looked.take(lambda: _left({row.repo for row in looked.rows}))
    present = {row.repo for row in looked.rows}
    for repo, entry in entries.items():
        if repo not in present:
            looked.take(partial(_offered, repo, entry, judged, free))
    return Survey(tuple(in_order(looked.rows)), folder, free, tuple(looked.troubles))


def in_words(error: Exception) -> str:
    """An error as a person may read it: ours as they are, the system's with its path, others without Python's words."""
    from engine.errors import FlashbulbError

    if isinstance(error, FlashbulbError):
        return spoken(error)
    if isinstance(error, OSError) and error.filename:
        return tr("{0} cannot be read: {1}.").format(error.filename, error.strerror or type(error).__name__)
    return tr("Its files do not make sense. Verify them, or prepare or download the model again.")


# ------------------------------------------------------------------------------------------------- the sources
def _built_in(judged: Judged) -> Iterator[Row]:
    for model in built_in():
        yield _assistant(judged) if model == ASSISTANT else _starter(judged)


def _assistant(judged: Judged) -> Row:
    """The small assistant, whose file is converted when it is first wanted."""
    folder, file = assistant_folder(), assistant_file()
    size = sum(map(_tensor_bytes, folder.glob("*.safetensors"))) or (file.stat().st_size if file else 0)
    verdict = replace(judged(size, None, None, folder=folder), kind=Kind.IN_MEMORY, crowded=False)
    title = TITLES[ASSISTANT]
    return Row(ASSISTANT, title, size=size, verdict=verdict, folder=folder, estimated=False, chat=True, as_it_is=True)


def _starter(judged: Judged) -> Row:
    try:
        facts = _prepared_facts(STARTER_FOLDER)
        size, verdict = facts.size, facts.verdict(judged, STARTER_FOLDER)
        verdict = replace(verdict, kind=Kind.IN_MEMORY, crowded=False)
    except Exception as error:  # it is there all the same
        log.warning("the starter: %r", error)
        size = sum(path.stat().st_size for path in STARTER_FOLDER.glob("*.safetensors"))
        verdict = Verdict(Kind.IN_MEMORY, size)
    return Row(
        STARTER, TITLES[STARTER], "", size=size, verdict=verdict, folder=STARTER_FOLDER, estimated=False, chat=True
    )


def _added(folders: Iterable[str], judged: Judged) -> Iterator[Row]:
    """Models that stay where they were found. A drive may be out at the moment."""
    for folder in map(Path, folders):
        if _there(folder / MANIFEST):
            yield prepared(folder, str(folder), None, judged, added=True)
        elif _there(folder / "config.json"):
            yield as_it_is(folder, str(folder), None, judged, added=True, about="")
        elif not folder.is_dir():
            lost = tr("Its folder is not there: {0}").format(folder)
            yield row(str(folder), None, 0, Verdict(Kind.STREAMS, 0), about="", added=True, trouble=lost)


def _adding(judged: Judged) -> Iterator[Row]:
    from engine.library.local import adding

    for checkpoint in adding():
        yield _unfinished_checkpoint(checkpoint, judged)


def _installed(folder: Path, entries: dict[str, dict[str, Any]], judged: Judged) -> Iterator[Row]:
    """Of every folder with a model, readable or not: the engine passes over those that it cannot load."""
    from engine.store.mlx_folder import is_mlx_folder

    for path in sorted(Path(entry.path) for entry in os.scandir(folder)) if os.path.lexists(folder) else ():
        if path.name.startswith(".") or path.name.endswith(".partial"):
            continue
        try:
            if (path / MANIFEST).is_file():
                repo = _repository(path)
                yield prepared(path, repo, entries.get(repo), judged)
            elif is_mlx_folder(path):
                repo = _repository(path)
                yield as_it_is(path, repo, entries.get(repo), judged)
        except OSError as error:
            yield row(path.name, None, 0, Verdict(Kind.STREAMS, 0), folder=path, about="", trouble=in_words(error))


def _others(known: set[Path], folders: Iterable[str], judged: Judged) -> Iterator[Row]:
    """Checkpoints in folders that the user has named, and those that other tools have put on this disk, but what is
    listed already."""
    from engine.store.others import Use, other_checkpoints, use_of

    for other in other_checkpoints(map(Path, folders)):
        if other.folder.resolve() in known:
            continue
        verdict = use_of(other.folder)
        parts: dict[str, Any] = {"about": "", "found": other.source, "size": other.bytes}
        if verdict.use is Use.NONE:
            none = Verdict(Kind.UNSUPPORTED, 0)
            yield row(other.name, None, verdict=none, trouble=spoken(verdict.reason), estimated=False, **parts)
        elif verdict.use is Use.CONVERTED:
            made = added_model(other.folder)
            facts = judged(other.bytes, _config(other.folder), None)
            yield row(str(other.folder), None, verdict=facts, checkpoint=other.folder, folder=made, title=other.name,
                      description=spoken(verdict.reason), estimated=False, **parts)  # fmt: skip
        else:
            yield as_it_is(other.folder, other.name, None, judged, **parts)


def added_model(checkpoint: Path) -> Path | None:
    """The model that was made of a checkpoint."""
    from engine.library.local import added

    return added(checkpoint)


def _config(folder: Path) -> dict[str, Any]:
    from engine.errors import CheckpointError
    from engine.system.documents import DOWNLOAD_AGAIN, parsing, read_json

    with parsing(folder / "config.json", CheckpointError, DOWNLOAD_AGAIN):
        config: dict[str, Any] = read_json(folder / "config.json")
    return config


def _repository(folder: Path) -> str:
    """The repository that a model was made of or is; where nothing says, what its folder is called."""
    from engine.store.installed import DOWNLOAD_FILE, Download, repository_name
    from engine.store.manifest import Contents
    from engine.system.documents import try_read

    contents, download = try_read(folder / MANIFEST, Contents), try_read(folder / DOWNLOAD_FILE, Download)
    named = contents.source.repository if contents else download.repository if download else None
    return named or repository_name(folder.name)


def _begun(entries: dict[str, dict[str, Any]], judged: Judged) -> Iterator[Row]:
    from engine.library.begun import unfinished

    for part in unfinished():
        entry = entries.get(part.repo) or {}
        size = weight_bytes(entry) or part.total
        yield row(part.repo, entry, size, _verdict(judged, size, entry), done=part.done, total=part.total)


def _left(present: set[str]) -> list[Row]:
    """Remains of models whose removal was killed, or of which too little is whole to be listed: to be deleted."""
    from engine.library.removing import leftovers

    rows: dict[str, Row] = {}
    for rest in leftovers():
        if rest.repo in present:
            continue
        before = rows.get(rest.repo)
        size = rest.bytes + (before.size if before else 0)
        trouble = tr("Only parts of it are left: delete them, they only take room.")
        folder = before.folder if before else rest.folder
        rows[rest.repo] = row(
            rest.repo, None, size, Verdict(Kind.STREAMS, 0), about="", folder=folder, trouble=trouble, chat=None
        )
    return list(rows.values())


def _offered(repo: str, entry: dict[str, Any], judged: Judged, free: int) -> Iterator[Row]:
    from engine.library.hub import PREPARATION_BYTES

    size = weight_bytes(entry)
    preparation = 0 if entry.get("as_it_is") else PREPARATION_BYTES
    disk = int(entry.get("needed_bytes") or (1 + preparation) * size)
    yield row(repo, entry, size, _verdict(judged, size, entry), disk=disk, lacking=max(0, disk - free))


def _catalogue(looked: Looked) -> list[dict[str, Any]]:
    from engine.library.catalogue import catalogue

    try:
        return [dict(entry) for entry in catalogue()]
    except Exception as error:
        looked.troubles.append(in_words(error))
        return []


def _free_bytes(folder: Path, looked: Looked) -> int:
    from engine.system.folders import free_bytes

    try:
        return free_bytes(folder)
    except OSError as error:
        looked.troubles.append(in_words(error))
        return 0


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


# ------------------------------------------------------------------------------------------------- one model
def prepared(
    folder: Path, repo: str, entry: dict[str, Any] | None, judged: Judged, size: int = 0, added: bool = False
) -> Row:
    """A row for a prepared model; one that is damaged says so, and can still be verified and deleted."""
    about: dict[str, Any] = {"about": ""} if added else {}
    try:
        size = size or sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        facts = _prepared_facts(folder)
        size, verdict = facts.size, facts.verdict(judged, folder)
        about |= {"bits": facts.bits, "loss": facts.loss}
    except Exception as error:  # whatever its files hold
        verdict = Verdict(Kind.STREAMS, 0)
        return row(repo, entry, size, verdict, folder=folder, added=added, trouble=in_words(error), **about)
    chat = trained_to_chat(repo, entry or {})
    chat = True if chat is None and _has_template(folder) else chat
    return row(repo, entry, size, verdict, folder=folder, added=added, chat=chat, **about)


def search(words: str) -> list[Row]:
    """The Hub's models whose names hold `words`; what runs here is to be looked up. Raises HubError."""
    from engine.library.hub import search

    return [of_found(found) for found in search(words)]


def of_found(found: Any) -> Row:
    """A row for what the Hub's search found (engine.library.hub.Found)."""
    entry = {"kind": found.kind, "licence": found.licence, "gated": found.gated}
    if found.supported:
        return row(found.repo, entry, 0, Verdict(Kind.STREAMS, 0))
    size = weight_bytes({"parameters": found.parameters or 0}) or 1
    refused = tr("its architecture is {0}").format(found.model_type) if found.model_type else ""
    return row(found.repo, entry, size, Verdict(Kind.UNSUPPORTED, 0), refused=refused)


def _tensor_bytes(file: Path) -> int:
    """The bytes of a safetensors file without its header, which is how the engine counts a model's size."""
    with file.open("rb") as stream:
        header = int.from_bytes(stream.read(8), "little")
    return max(0, file.stat().st_size - 8 - header)


def as_it_is(folder: Path, repo: str, entry: dict[str, Any] | None, judged: Judged, size: int = 0, **parts: Any) -> Row:
    """A row for a checkpoint that runs where it lies; one that is damaged says so."""
    try:
        size = size or sum(map(_tensor_bytes, folder.glob("*.safetensors")))
        verdict = judged(size, _config(folder), None, folder=folder)
    except Exception as error:  # whatever its files hold
        return row(repo, entry, size, Verdict(Kind.STREAMS, 0), folder=folder, trouble=in_words(error), **parts)
    chat = trained_to_chat(repo, entry or {})
    chat = True if chat is None and _has_template(folder) else chat
    return row(repo, entry, size, verdict, folder=folder, chat=chat, as_it_is=True, **parts)


def for_repository(repo: str) -> Row:
    """A row for a repository that the catalogue does not know: nothing is known of its size yet."""
    from engine.models import family_of

    return replace(row(repo, None, 0, Verdict(Kind.STREAMS, 0)), family=family_of(repo.rpartition("/")[2]))


def for_checkpoint(folder: Path, budget: int | None = None, window: int = 5) -> Row:
    """A row for a checkpoint on disk that is to be prepared, or was. Raises CheckpointError, OSError, ValueError."""
    from engine.system.folders import models_folder

    return _of_checkpoint(folder, partial(_judged, _machine(models_folder(), budget, window)))


def _of_checkpoint(folder: Path, judged: Judged) -> Row:
    from engine.library.local import GGUF, WEIGHTS, added

    if folder.suffix.lower() == GGUF:
        size = folder.stat().st_size
        whole = Verdict(Kind.STREAMS, size)
        return row(str(folder), None, size, whole, about="", checkpoint=folder, folder=added(folder))
    config = _config(folder)
    size = sum(file.stat().st_size for suffix in WEIGHTS for file in folder.glob(f"*{suffix}"))
    verdict = judged(size, config, None)
    return row(str(folder), None, size, verdict, about="", checkpoint=folder, folder=added(folder))


def _unfinished_checkpoint(folder: Path, judged: Judged) -> Row:
    """A row for a checkpoint of which a part is prepared; it may be on a drive that is not there now."""
    try:
        return _of_checkpoint(folder, judged)
    except Exception:  # as above
        return row(str(folder), None, 0, Verdict(Kind.STREAMS, 0), about="", checkpoint=folder)


@dataclass(frozen=True)
class _PreparedFacts:
    """The facts that a prepared model's manifest tells. size: bytes of its weights. sparsity: of bundles. bits: of its
    neurons, if they are quantised. loss: the share by which that makes perplexity higher, if it was measured."""

    size: int
    config: dict[str, Any]
    sparsity: float | None
    dtype: str
    bits: int | None = None
    loss: float | None = None

    def verdict(self, judged: Judged, folder: Path) -> Verdict:
        """The verdict on it."""
        return judged(self.size, self.config, self.sparsity, dtype=self.dtype, folder=folder, bits=self.bits)


def _prepared_facts(folder: Path) -> _PreparedFacts:
    """The facts of a prepared model. Raises PreparedModelError, which names the file and the cure."""
    from engine.errors import PreparedModelError
    from engine.store.manifest import Manifest
    from engine.system.documents import PREPARE_AGAIN, parsing, read_json, read_typed

    with parsing(folder / "config.json", PreparedModelError, PREPARE_AGAIN):
        config = read_json(folder / "config.json")
    with parsing(folder / MANIFEST, PreparedModelError, PREPARE_AGAIN):
        manifest = read_typed(folder / MANIFEST, Manifest)
    layers = [1 - layer.groups.predicted if layer.groups else layer.sparsity - layer.false_positives
              for layer in manifest.layers]  # fmt: skip
    form, measured = manifest.quantization, manifest.calibration
    return _PreparedFacts(
        manifest.weight_bytes,
        config,
        sum(layers) / len(layers) if layers else None,
        manifest.dtype,
        form.bits if form else None,
        measured.quantisation_loss if measured else None,
    )


def _has_template(folder: Path) -> bool:
    from engine.system.documents import read_bytes

    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return b'"chat_template"' in read_bytes(folder / "tokenizer_config.json")
    except (OSError, ValueError):
        return False


def _entry(found: dict[str, Any]) -> dict[str, Any]:
    """A model that was looked up, in the form of the catalogue's entries."""
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
        "as_it_is": plan.get("as_it_is", False),
        "config": config,
        "supported": not found["refused"],
        "refused": spoken(found["refused"]),
        "activation": str(config.get(family.key)) if family else None,
    }


# ------------------------------------------------------------------------------------------------- verdicts
def _verdict(judged: Judged, size: int, entry: dict[str, Any]) -> Verdict:
    """Of a model that is not on disk; by its config, if that is known and makes sense."""
    rest = (entry.get("sparsity"), entry.get("supported", True))
    if entry.get("as_it_is") and not entry.get("config"):
        return judged(size, None, None, experts=entry.get("experts"))
    if config := entry.get("config"):
        try:
            return judged(size, config, *rest)
        except Exception:  # a stranger's config, of any kind of nonsense
            pass
    return judged(size, _usual_config(entry.get("parameters") or size // 2, entry.get("model_type")), *rest)


@dataclass(frozen=True)
class _Machine:
    """The facts that a verdict depends on beside the model."""

    available: int
    total: int
    profile: Any | None
    budget: int | None
    window: int


def _machine(folder: Path, budget: int | None, window: int, assumed: "DriveProfile | None" = None) -> _Machine:
    return _Machine(memory_available(), memory_total(), drive_profile(folder) or assumed, budget, window)


def _judged(
    machine: _Machine,
    size: int,
    config: dict[str, Any] | None,
    sparsity: float | None,
    supported: bool = True,
    dtype: str | None = None,
    experts: dict[str, int] | None = None,
    folder: Path | None = None,
    bits: int | None = None,
) -> Verdict:
    """config: None for a model that runs as it is, of which the catalogue knows the experts. folder: of one that is on
    this disk, of whose answers something may be known. bits: of neurons that are quantised."""
    from engine.planning.estimate import estimate, estimate_experts
    from engine.planning.measured import UNMEASURED, Measured

    measured = Measured.load(folder, machine.profile) if folder else UNMEASURED
    within = partial(
        estimate, config or {}, sparsity, machine.profile, window=machine.window, dtype=dtype,
        available=machine.available, measured=measured, bits=bits,
    )  # fmt: skip
    if config is None:
        within = partial(estimate_experts, experts, size, machine.profile, measured=measured)
    expected = within(budget=machine.budget)
    if expected.budget < expected.smallest:  # the budget was chosen for a smaller model
        expected = within(budget=None)
    if machine.budget is None and expected.budget > machine.available:  # what the engine would take is not free
        expected = within(budget=max(expected.smallest, machine.available))
    return judge(size, expected, machine.available, machine.total, supported)


def _usual_config(parameters: int, model_type: str | None) -> dict[str, Any]:
    from engine.planning.estimate import usual_config

    return usual_config(parameters, model_type or "")


def drive_profile(folder: Path) -> Any | None:
    """That of the drive which holds a folder (engine.flash.profile.DriveProfile); None where it was not measured."""
    from engine.flash.profile import DriveProfile, profile_path

    try:
        return DriveProfile.load(profile_path(folder))
    except Exception:  # damaged or out of reach: as good as not measured
        return None


def repository_in(text: str) -> str | None:
    """The repository that a name or a pasted link means; None if it is none."""
    name = LINK.sub("", text.strip(), count=1)
    name = "/".join(name.split("?")[0].strip("/").split("/")[:2])
    return name if REPOSITORY.fullmatch(name) else None


def verify(folder: Path) -> bool:
    """Check every file's checksum. Returns whether one is known of all weights. Raises PreparedModelError,
    CheckpointError."""
    from engine.store.manifest import PreparedModel
    from engine.store.verifying import verify_checkpoint

    if (folder / MANIFEST).is_file():
        PreparedModel.open(folder, verify=True)
        return True
    return not any(name.endswith(".safetensors") for name in verify_checkpoint(folder).unknown)

"""The Hugging Face Hub: what a repository holds, what of that a model needs, and whether we may and can have it.

Only metadata is asked for here, through huggingface-hub, and only when the user asks for something; the bytes are
`engine.library.download`'s. What the Hub answers is taken for nothing but what it looks like: each value is used only
if it has the type that it should have.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Literal

import huggingface_hub

from engine.errors import HubError
from engine.library.addresses import endpoint, file_address, is_repository, page_of
from engine.library.asking import ANSWER_S, PAUSES_S, api_of, asked
from engine.library.download import RemoteFile
from engine.library.explanations import explained, gated, senseless
from engine.library.network import origin
from engine.library.token import token
from engine.models import is_supported
from engine.system.folders import free_bytes
from engine.text import Text, readable

PREPARATION_BYTES = 1.3  # that preparing writes, for each byte of weights
SEARCH_LIMIT = 30  # repositories
MLX_LIBRARY = "mlx"  # a library's name on the Hub: of checkpoints in its form
SEARCH_FIELDS: Final = ("config", "downloads", "gated", "likes", "safetensors", "tags")
# An index lists shards; without one, everything is in one file. Other weights in a repository are other models.
WEIGHTS = (
    ("model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors"),
    ("model.safetensors", None),
    ("pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin"),
    ("pytorch_model.bin", None),
)


@dataclass(frozen=True)
class Plan:
    """The needed files of one commit of a repository. licence: as its authors state it. as_it_is: whether it runs as it
    is, in MLX's form."""

    repo: str
    commit: str
    model_type: str | None
    licence: str | None
    gated: bool
    files: tuple[RemoteFile, ...]
    as_it_is: bool = False

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def weight_bytes(self) -> int:
        """Of the files with weights."""
        return sum(file.bytes for file in self.files if file.name.endswith((".safetensors", ".bin")))

    @property
    def page(self) -> str:
        """The address of its page."""
        return page_of(self.repo)

    def needed(self, folder: Path) -> int:
        """Bytes of disk to fetch what `folder` lacks and then to prepare the model."""
        preparation = 0 if self.as_it_is else int(PREPARATION_BYTES * self.weight_bytes)
        return self.bytes - self.fetched(folder) + preparation

    def fetched(self, folder: Path) -> int:
        """Bytes that `folder` has already."""
        return sum(file.bytes_in(folder) for file in self.files)

    def check_room(self, folder: Path) -> None:
        """Raises HubError if the disk of `folder` is too full."""
        needed, free = self.needed(folder), free_bytes(folder)
        if needed > free:
            raise HubError(
                "{repo} needs {needed} of disk to be downloaded and prepared, and {folder} has {free} free. Make room "
                "for {lacking}, or name another disk's folder in FLASHBULB_MODELS.",
                repo=self.repo,
                needed=readable(needed),
                folder=folder,
                free=readable(free),
                lacking=readable(needed - free),
            )


@dataclass(frozen=True)
class Found:
    """A repository that a search found; None for what the Hub does not say.

    kind: `chat` where its tags say that it was trained to answer. supported: whether Flashbulb knows its architecture,
    which may still refuse its config. parameters: of all its tensors. licence: as the Hub names it.
    """

    repo: str
    kind: Literal["base", "chat"]
    model_type: str | None
    supported: bool
    parameters: int | None
    licence: str | None
    gated: bool
    downloads: int
    likes: int


# -------------------------------------------------------------------------------------------- being asked
def look_up(repo: str, revision: str | None = None, pauses: tuple[float, ...] = PAUSES_S) -> Plan:
    """Ask the Hub for a repository's metadata and plan its download, pinned to a commit.

    revision: a branch, tag or commit; the main branch by default. pauses: seconds before asking again. Raises HubError,
    and GatedError if the model is gated and there is no token.
    """
    known_token = token()
    api = api_of(known_token)
    info = asked(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER_S),
        pauses,
        lambda error: explained(error, repo, revision, known_token),
    )
    commit = _name(info.sha)
    if commit is None:
        raise senseless(repo, Text("it names no commit"))
    if info.gated and not known_token:
        raise gated(repo, known_token)
    names = [name for sibling in info.siblings or () if (name := _name(sibling.rfilename))]
    entries = {sibling.rfilename: sibling for sibling in info.siblings or () if _name(sibling.rfilename)}
    files = tuple(
        _remote_file(file_address(repo, commit, n), entries[n], known_token) for n in needed_files(repo, names)
    )
    licence, as_it_is = _licence(info.card_data), _is_mlx(info)
    return Plan(repo, commit, _model_type(info.config), licence, bool(info.gated), files, as_it_is)


def search(text: str, limit: int = SEARCH_LIMIT, pauses: tuple[float, ...] = PAUSES_S) -> list[Found]:
    """Ask the Hub for text-generating models whose names hold `text`, the most downloaded ones first; metadata only.

    Raises HubError.
    """
    known_token = token()
    api = api_of(known_token)
    found = asked(
        lambda: list(
            api.list_models(
                search=text, pipeline_tag="text-generation", sort="downloads", limit=limit, expand=[*SEARCH_FIELDS]
            )
        ),
        pauses,
        lambda error: explained(error, text, None, known_token),
    )
    return [_found(info) for info in found if isinstance(info.id, str) and is_repository(info.id)]


# ------------------------------------------------------------------------------------- what the Hub says
def _found(info: Any) -> Found:
    tags = [tag for tag in info.tags or () if isinstance(tag, str)]
    licence = next((tag.removeprefix("license:") for tag in tags if tag.startswith("license:")), None)
    model_type = _model_type(info.config)
    return Found(
        repo=info.id,
        kind="chat" if "conversational" in tags else "base",
        model_type=model_type,
        supported=is_supported(model_type),
        parameters=_count(getattr(info.safetensors, "total", None)),
        licence=_name(licence),
        gated=bool(info.gated),
        downloads=_count(info.downloads) or 0,
        likes=_count(info.likes) or 0,
    )


def _remote_file(url: str, entry: Any, known_token: str | None) -> RemoteFile:
    """A file of a repository, with what the Hub says of it; its size is asked for where it says none."""
    sha256 = _digest(getattr(entry.lfs, "sha256", None), 64)
    size = _count(entry.size)
    if size is None:
        size = _count(getattr(entry.lfs, "size", None))
    if size is None:
        size = _size_of(url, entry.rfilename, known_token)
    return RemoteFile(entry.rfilename, url, size, sha256, None if sha256 else _digest(entry.blob_id, 40))


def _size_of(url: str, name: str, known_token: str | None) -> int:
    """The size of a file, from the answer to a request for its first byte. Raises HubError."""
    headers = {"Range": "bytes=0-0", "Accept-Encoding": "identity"}
    if known_token and origin(url) == origin(endpoint()):
        headers["Authorization"] = f"Bearer {known_token}"

    def ask() -> str:
        with huggingface_hub.get_session().stream("GET", url, headers=headers) as response:
            response.raise_for_status()
            length = response.headers.get("Content-Length", "") if response.status_code == HTTPStatus.OK else ""
            return response.headers.get("Content-Range", "").rpartition("/")[2] or length

    said = asked(ask, PAUSES_S, lambda error: explained(error, name, None, known_token))
    if not re.fullmatch(r"\d{1,15}", said, re.ASCII):
        raise HubError("{hub} does not say how large {name} is, so it cannot be downloaded.", hub=endpoint(), name=name)
    return int(said)


def _is_mlx(info: Any) -> bool:
    tags = info.tags if isinstance(info.tags, list) else []
    return info.library_name == MLX_LIBRARY or MLX_LIBRARY in tags


def _name(value: object) -> str | None:
    """A short printable text; None for anything else."""
    return value if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable() else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 2**50 else None


def _digest(value: object, length: int) -> str | None:
    """A checksum in hexadecimal."""
    return value if isinstance(value, str) and re.fullmatch(rf"[0-9a-f]{{{length}}}", value) else None


def _model_type(config: object) -> str | None:
    return _name(config.get("model_type")) if isinstance(config, dict) else None


def _licence(card: Any) -> str | None:
    """The licence that a model's card states."""
    try:
        said = card and (card.get("license_name") or card.get("license"))
    except AttributeError:
        return None
    return _name(", ".join(map(str, said)) if isinstance(said, list) else said)


def needed_files(repo: str, names: Collection[str]) -> list[str]:
    """Of a repository's files, those that are fetched: config first, so that a refusal comes before the weights.

    Never code, nor weights in another form. Raises HubError if there are no weights that we read.
    """
    from engine.prepare.checkpoint import COMPANIONS

    if "config.json" not in names:
        raise HubError("{repo} has no config.json: it is no model in Hugging Face form.", repo=repo)
    companions = [name for name in COMPANIONS if name in names]
    companions.sort(key=lambda name: name != "config.json")
    for name, shards in WEIGHTS:
        matching = sorted(n for n in names if shards and re.fullmatch(shards, n))
        if name in names and (matching or not shards):
            return [*companions, name, *matching]
    raise HubError(
        "{repo} has no weights that Flashbulb reads: model.safetensors or pytorch_model.bin, or shards.", repo=repo
    )

"""The Hugging Face Hub: what a repository holds, what of that a model needs, and whether we may and can have it.

Only metadata is asked for here, through huggingface-hub; the bytes are `engine.library.download`'s. HF_ENDPOINT names
another Hub.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from urllib.parse import quote

import httpx2
from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from engine.errors import GatedError, HubError
from engine.library.download import RemoteFile
from engine.system.folders import free_bytes
from engine.text import readable

PREPARATION = 1.3  # bytes that preparing writes, for each byte of weights
PATIENCE = 15.0  # seconds for an answer
PAUSES = (1.0, 4.0)  # seconds before asking again
KEYRING = ("flashbulb", "huggingface")  # service and user name of a token in the system's keychain
# An index lists shards; without one, everything is in one file. Other weights in a repository are other models.
WEIGHTS = (
    ("model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors"),
    ("model.safetensors", None),
    ("pytorch_model.bin.index.json", r"pytorch_model-\d+-of-\d+\.bin"),
    ("pytorch_model.bin", None),
)


@dataclass(frozen=True)
class Plan:
    """What would be fetched: the needed files of one commit of a repository. licence: as its authors state it."""

    repo: str
    commit: str
    model_type: str | None
    licence: str | None
    gated: bool
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def weight_bytes(self) -> int:
        return sum(file.bytes for file in self.files if file.name.endswith((".safetensors", ".bin")))

    @property
    def page(self) -> str:
        return f"{endpoint()}/{self.repo}"

    def needed(self, folder: Path) -> int:
        """Bytes of disk to fetch what `folder` lacks and then to prepare the model."""
        return self.bytes - self.fetched(folder) + int(PREPARATION * self.weight_bytes)

    def fetched(self, folder: Path) -> int:
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


def endpoint() -> str:
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_repository(repo: str) -> bool:
    """Whether it could be a repository's name: such a name is also safe in a path."""
    try:
        validate_repo_id(repo)
    except HFValidationError:
        return False
    return bool(re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", repo, re.ASCII))


def token() -> str | None:
    """The user's token: from the environment, from huggingface-hub's login, or from the system's keychain."""
    return get_token() or _keychain_token()


def _keychain_token() -> str | None:
    try:
        import keyring
    except ImportError:
        return None
    try:
        return keyring.get_password(*KEYRING)
    except keyring.errors.KeyringError:
        return None  # there is no keychain, or it stays locked


def look_up(repo: str, revision: str | None = None, pauses: tuple[float, ...] = PAUSES) -> Plan:
    """Ask the Hub for a repository's metadata and plan its download, pinned to a commit.

    revision: a branch, tag or commit; the main branch by default. Raises HubError, and GatedError if the model is
    gated and there is no token.
    """
    known_token = token()
    api = HfApi(endpoint=endpoint(), token=known_token or False)
    wanted = {"revision": revision, "files_metadata": True, "timeout": PATIENCE}
    try:
        info = _patiently(lambda: api.model_info(repo, **wanted), pauses)
        if not info.sha:
            raise ValueError("it names no commit")
    except (httpx2.HTTPError, HFValidationError, OfflineModeIsEnabled, ValueError, TypeError, KeyError) as error:
        raise _explained(error, repo, revision, known_token) from error
    if info.gated and not known_token:
        raise gated(repo, known_token)
    licence = info.card_data and (info.card_data.get("license_name") or info.card_data.get("license"))
    remote = {
        name: RemoteFile(name, _url(repo, info.sha, name), s.size, s.lfs and s.lfs.sha256, None if s.lfs else s.blob_id)
        for s in info.siblings or ()
        if isinstance(name := s.rfilename, str) and isinstance(s.size, int)
    }
    files = tuple(remote[name] for name in needed_files(repo, remote.keys()))
    return Plan(repo, info.sha, (info.config or {}).get("model_type"), licence, bool(info.gated), files)


def _url(repo: str, commit: str, name: str) -> str:
    return f"{endpoint()}/{repo}/resolve/{commit}/{quote(name)}"


def needed_files(repo: str, names) -> list[str]:
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


def gated(repo: str, known_token: str | None) -> GatedError:
    """The error that says which page to visit."""
    page = f"{endpoint()}/{repo}"
    if known_token:
        return GatedError(
            "{repo} is gated: its authors ask you to accept their terms. Do so on {page} with the account of the token "
            "that is in use, and wait for their answer if they give one by hand.",
            page,
            repo=repo,
            page=page,
        )
    return GatedError(
        "{repo} is gated: its authors ask you to accept their terms. Do so on {page} and then give Flashbulb your "
        "token: in HF_TOKEN, by `hf auth login`, or in the system's keychain by `keyring set {keyring}`.",
        page,
        repo=repo,
        page=page,
        keyring=" ".join(KEYRING),
    )


def _patiently(ask: Callable, pauses: tuple[float, ...]):
    """`ask()`, once more after each pause while the Hub is busy or out of reach."""
    for pause in pauses:
        try:
            return ask()
        except httpx2.HTTPError as error:
            status = _status(error)
            if status is not None and status != 429 and status < 500:
                raise
        sleep(pause)
    return ask()


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


def _explained(error: Exception, repo: str, revision: str | None, known_token: str | None) -> HubError:
    """huggingface-hub's error in the words of ours."""
    hub, status = endpoint(), _status(error)
    if isinstance(error, OfflineModeIsEnabled):
        return HubError("HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it to download models.")
    if isinstance(error, HFValidationError):
        return HubError("{repo} is no repository's name. Names look like facebook/opt-125m.", repo=repr(repo))
    if isinstance(error, GatedRepoError):
        return gated(repo, known_token)
    if isinstance(error, RevisionNotFoundError):
        return HubError("{repo} has no revision {revision}.", repo=repo, revision=repr(revision))
    if isinstance(error, RepositoryNotFoundError) or status == 404 or (status == 401 and not known_token):
        return HubError(
            "There is no model {repo} on {hub}, or it is private and your token does not open it.", repo=repo, hub=hub
        )
    if status in (401, 403):
        return HubError(
            "{hub} refuses access (status {status}). A token in use (HF_TOKEN) may be wrong or too weak.",
            hub=hub,
            status=status,
        )
    if status is not None:
        return HubError("{hub} answers with status {status}. Try again later.", hub=hub, status=status)
    if isinstance(error, httpx2.HTTPError):
        return HubError("{hub} cannot be reached. Check the network, and HF_ENDPOINT if you set it.", hub=hub)
    return HubError(
        "{hub} gave an answer about {repo} that makes no sense ({error}).", hub=hub, repo=repo, error=repr(error)
    )

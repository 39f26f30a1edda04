"""The Hugging Face Hub: what a repository holds, what of that a model needs, and whether we may and can have it.

Only metadata is asked for here, through huggingface-hub, and only when the user asks for something; the bytes are
`engine.library.download`'s. HF_ENDPOINT names another Hub. What the Hub answers is taken for nothing but what it looks
like: each value is used only if it has the type that it should have.
"""

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import sleep
from typing import Any, Final, Literal, TypeVar
from urllib.parse import quote

import httpx2
import huggingface_hub
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported, but not by name

from engine.errors import FlashbulbError, GatedError, HubError
from engine.library.download import RemoteFile
from engine.library.network import Transport, origin, retry_after, split, status_name, unreachable
from engine.library.token import token
from engine.models import is_supported
from engine.system.folders import free_bytes
from engine.text import Text, readable

DEFAULT_ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"
PREPARATION_BYTES = 1.3  # that preparing writes, for each byte of weights
ANSWER_S = 15.0  # that the Hub may take to answer
PAUSES_S = (1.0, 4.0)  # before asking a busy Hub again
MAX_PAUSE_S = 60.0  # that a look-up waits because the Hub asks for it
UNASKED_PATHS = ("/api/agent-harnesses",)  # that huggingface-hub asks for on its own account
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

T = TypeVar("T")


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


# ---------------------------------------------------------------------------------------------- addresses
def endpoint() -> str:
    """The Hub's address. Raises HubError for one that makes no sense, or holds a password that would be stored."""
    address = (os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT).strip().rstrip("/")
    try:
        parts = split(address)
    except HubError as error:
        raise _bad_endpoint() from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise _bad_endpoint()
    if "@" in parts.netloc:
        raise HubError(
            "{variable} holds a user name or a password. Take them out, and give a token in HF_TOKEN instead.",
            variable=ENDPOINT_VARIABLE,
        )
    return address


def _bad_endpoint() -> HubError:
    return HubError("{variable} is no web address. Write it as https://host.", variable=ENDPOINT_VARIABLE)


def page_of(repo: str) -> str:
    """The web page of a repository, for a browser; on the usual Hub where HF_ENDPOINT makes no sense."""
    try:
        return f"{endpoint()}/{repo}"
    except HubError:
        return f"{DEFAULT_ENDPOINT}/{repo}"


def is_repository(repo: str) -> bool:
    """True for what could be a repository's name: such a name is also safe in a path."""
    try:
        validate_repo_id(repo)
    except HFValidationError:
        return False
    return bool(re.fullmatch(r"(\w[\w.-]*/)?\w[\w.-]*", repo, re.ASCII))


def _url(repo: str, commit: str, name: str) -> str:
    return f"{endpoint()}/{repo}/resolve/{quote(commit, safe='')}/{quote(name)}"


# -------------------------------------------------------------------------------------------- being asked
def look_up(repo: str, revision: str | None = None, pauses: tuple[float, ...] = PAUSES_S) -> Plan:
    """Ask the Hub for a repository's metadata and plan its download, pinned to a commit.

    revision: a branch, tag or commit; the main branch by default. pauses: seconds before asking again. Raises HubError,
    and GatedError if the model is gated and there is no token.
    """
    known_token = token()
    api = _api(known_token)
    info = _asked(
        lambda: api.model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER_S),
        pauses,
        lambda error: _explained(error, repo, revision, known_token),
    )
    commit = _name(info.sha)
    if commit is None:
        raise _senseless(repo, Text("it names no commit"))
    if info.gated and not known_token:
        raise gated(repo, known_token)
    names = [name for sibling in info.siblings or () if (name := _name(sibling.rfilename))]
    entries = {sibling.rfilename: sibling for sibling in info.siblings or () if _name(sibling.rfilename)}
    files = tuple(_remote_file(_url(repo, commit, n), entries[n], known_token) for n in needed_files(repo, names))
    licence, as_it_is = _licence(info.card_data), _is_mlx(info)
    return Plan(repo, commit, _model_type(info.config), licence, bool(info.gated), files, as_it_is)


def search(text: str, limit: int = SEARCH_LIMIT, pauses: tuple[float, ...] = PAUSES_S) -> list[Found]:
    """Ask the Hub for text-generating models whose names hold `text`, the most downloaded ones first; metadata only.

    Raises HubError.
    """
    known_token = token()
    api = _api(known_token)
    found = _asked(
        lambda: list(
            api.list_models(
                search=text, pipeline_tag="text-generation", sort="downloads", limit=limit, expand=[*SEARCH_FIELDS]
            )
        ),
        pauses,
        lambda error: _explained(error, text, None, known_token),
    )
    return [_found(info) for info in found if isinstance(info.id, str) and is_repository(info.id)]


def _api(known_token: str | None) -> HfApi:
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it to download models.")
    huggingface_hub.set_client_factory(_client)
    return HfApi(endpoint=endpoint(), token=known_token or False, library_name="flashbulb")


def _client() -> httpx2.Client:
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [_refuse_unasked], "response": [_refuse_no_answer]}
    return httpx2.Client(transport=Transport(), event_hooks=hooks, follow_redirects=True, timeout=ANSWER_S)


def _refuse_unasked(request: httpx2.Request) -> None:
    """Nothing is sent that the user did not ask for."""
    if request.url.path.endswith(UNASKED_PATHS):
        raise httpx2.RequestError("not asked for by the user", request=request)


def _refuse_no_answer(response: httpx2.Response) -> None:
    """An answer without what was asked for, such as 202, is none."""
    if response.is_success and response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise httpx2.HTTPStatusError("no answer", request=response.request, response=response)


def _asked(ask: Callable[[], T], pauses: tuple[float, ...], explained: Callable[[Exception], HubError]) -> T:
    """`ask()`, once more after each pause while the Hub is busy, once while it is out of reach.

    Whatever huggingface-hub makes of a senseless answer becomes one error, and nothing that it says is repeated: it may
    hold the token.
    """
    left = list(pauses)
    while True:
        try:
            return ask()
        except FlashbulbError:
            raise
        except Exception as error:
            if not left or not _may_change(error):
                raise explained(error) from None
            sleep(max(left.pop(0), _asked_pause(error)))
            if _status(error) is None:
                left = []


def _may_change(error: Exception) -> bool:
    """True where asking again may help."""
    status = _status(error)
    if status is None:
        return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)
    return (status in (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500) and (
        _asked_pause(error) <= MAX_PAUSE_S
    )


def _asked_pause(error: Exception) -> float:
    response = getattr(error, "response", None)
    return 0.0 if response is None else retry_after(response.headers)


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    return None if response is None else response.status_code


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

    said = _asked(ask, PAUSES_S, lambda error: _explained(error, name, None, known_token))
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


# -------------------------------------------------------------------------------------------- explanations
def gated(repo: str, known_token: str | None) -> GatedError:
    """The error that says which page to visit."""
    page = page_of(repo)
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
        "token: in Settings under Models, with `flashbulb models token`, or in HF_TOKEN.",
        page,
        repo=repo,
        page=page,
    )


def _explained(error: Exception, repo: str, revision: str | None, known_token: str | None) -> HubError:
    """huggingface-hub's error in the words of ours; of what it says, nothing is repeated."""
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
    if status is not None:
        return _explained_status(hub, status, _asked_pause(error))
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.UnsupportedProtocol | httpx2.TooManyRedirects):
        return _senseless(repo, Text("it is no HTTP, or leads nowhere"))
    if isinstance(error, httpx2.TransportError):
        reason = unreachable(hub, error)
        if os.environ.get(ENDPOINT_VARIABLE):
            return HubError("{hub}: {reason}. Check the network, and HF_ENDPOINT.", hub=hub, reason=reason)
        return HubError("{hub}: {reason}. Check the network.", hub=hub, reason=reason)
    return _senseless(repo, Text("it is not what the Hub's interface promises"))


def _explained_status(hub: str, status: int, pause: float) -> HubError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return HubError(
            "{hub} refuses access (status {status}). The access token in use may be wrong, or not allowed to read "
            "this.",
            hub=hub,
            status=status,
        )
    if pause > 0:
        return HubError(
            "{hub} is busy (status {status}) and asks to be left alone for {seconds} s. Try again then.",
            hub=hub,
            status=status,
            seconds=f"{pause:.0f}",
        )
    return HubError("{hub} answers with status {status}. Try again later.", hub=hub, status=status_name(status))


def _senseless(repo: str, reason: Text) -> HubError:
    return HubError(
        "{hub} gave an answer about {repo} that makes no sense: {reason}.", hub=endpoint(), repo=repo, reason=reason
    )

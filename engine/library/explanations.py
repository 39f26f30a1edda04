"""Errors of the Hub in the words of ours; of what it says, nothing is repeated: it may hold the token."""

import os
from http import HTTPStatus

import httpx2
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from engine.errors import GatedError, HubError
from engine.library.addresses import ENDPOINT_VARIABLE, endpoint, page_of
from engine.library.asking import asked_pause, status_of
from engine.library.network import status_name, unreachable
from engine.text import Text


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


def explained(error: Exception, repo: str, revision: str | None, known_token: str | None) -> HubError:
    """huggingface-hub's error about a repository, at a revision, in the words of ours."""
    hub, status = endpoint(), status_of(error)
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
        return _explained_status(hub, status, asked_pause(error))
    return _explained_transport(hub, repo, error)


def _explained_transport(hub: str, repo: str, error: Exception) -> HubError:
    """An error without an answer."""
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.UnsupportedProtocol | httpx2.TooManyRedirects):
        return senseless(repo, Text("it is no HTTP, or leads nowhere"))
    if isinstance(error, httpx2.TransportError):
        reason = unreachable(hub, error)
        if os.environ.get(ENDPOINT_VARIABLE):
            return HubError("{hub}: {reason}. Check the network, and HF_ENDPOINT.", hub=hub, reason=reason)
        return HubError("{hub}: {reason}. Check the network.", hub=hub, reason=reason)
    return senseless(repo, Text("it is not what the Hub's interface promises"))


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


def senseless(repo: str, reason: Text) -> HubError:
    """The error about an answer that is none."""
    return HubError(
        "{hub} gave an answer about {repo} that makes no sense: {reason}.", hub=endpoint(), repo=repo, reason=reason
    )

"""The Hub's address, and the addresses of what is on it. HF_ENDPOINT names another Hub."""

import os
import re
from urllib.parse import quote

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # exported, but not by name

from engine.errors import HubError
from engine.library.network import split

DEFAULT_ENDPOINT = "https://huggingface.co"
ENDPOINT_VARIABLE = "HF_ENDPOINT"


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


def file_address(repo: str, commit: str, name: str) -> str:
    """The address of a repository's file at a commit."""
    return f"{endpoint()}/{repo}/resolve/{quote(commit, safe='')}/{quote(name)}"

"""Asking the Hub, through huggingface-hub: nothing that the user did not ask for, and again while it is busy."""

from collections.abc import Callable
from http import HTTPStatus
from time import sleep
from typing import Any, TypeVar

import httpx2
import huggingface_hub
from huggingface_hub import HfApi

from engine.errors import FlashbulbError, HubError
from engine.library.addresses import endpoint
from engine.library.network import Transport, retry_after

ANSWER_S = 15.0  # that the Hub may take to answer
PAUSES_S = (1.0, 4.0)  # before asking a busy Hub again
MAX_PAUSE_S = 60.0  # that a look-up waits because the Hub asks for it
UNASKED_PATHS = ("/api/agent-harnesses",)  # that huggingface-hub asks for on its own account

T = TypeVar("T")


def api_of(known_token: str | None) -> HfApi:
    """The Hub's interface. Raises HubError where it is not to be asked."""
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set, so the Hub is not asked. Unset it to download models.")
    huggingface_hub.set_client_factory(_client)
    return HfApi(endpoint=endpoint(), token=known_token or False, library_name="flashbulb")


class _HubTransport(Transport):
    """With failures that huggingface-hub does not know: it would try some of them five times more, for half a minute
    and with a line on the screen for each. `asked` tries again what is worth it."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """As httpx calls it."""
        try:
            return super().handle_request(request)
        except (httpx2.TimeoutException, httpx2.NetworkError) as error:
            raise httpx2.TransportError(str(error), request=request) from error


def _client() -> httpx2.Client:
    hooks: dict[str, list[Callable[..., Any]]] = {"request": [_refuse_unasked], "response": [_refuse_no_answer]}
    return httpx2.Client(transport=_HubTransport(), event_hooks=hooks, follow_redirects=True, timeout=ANSWER_S)


def _refuse_unasked(request: httpx2.Request) -> None:
    """Nothing is sent that the user did not ask for."""
    if request.url.path.endswith(UNASKED_PATHS):
        raise httpx2.RequestError("not asked for by the user", request=request)


def _refuse_no_answer(response: httpx2.Response) -> None:
    """An answer without what was asked for, such as 202, is none."""
    if response.is_success and response.status_code not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise httpx2.HTTPStatusError("no answer", request=response.request, response=response)


def asked(ask: Callable[[], T], pauses: tuple[float, ...], explained: Callable[[Exception], HubError]) -> T:
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
            sleep(max(left.pop(0), asked_pause(error)))
            if status_of(error) is None:
                left = []


def _may_change(error: Exception) -> bool:
    """True where asking again may help."""
    status = status_of(error)
    if status is None:
        return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)
    return (status in (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS) or status >= 500) and (
        asked_pause(error) <= MAX_PAUSE_S
    )


def asked_pause(error: Exception) -> float:
    """Seconds for which the Hub asks to be left alone."""
    response = getattr(error, "response", None)
    return 0.0 if response is None else retry_after(response.headers)


def status_of(error: Exception) -> int | None:
    """The status of the Hub's answer; None where there was none."""
    response = getattr(error, "response", None)
    return None if response is None else response.status_code

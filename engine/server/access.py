"""Access: who may talk to the server. Programs of this computer may; a page in a browser may not."""

import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.server import anthropic, ollama, openai
from engine.server.desk import json_response
from engine.server.framing import Payload
from engine.server.refusals import FORBIDDEN, UNAUTHORIZED, RefusedError

# Names that only ever mean this computer, the last one inside of containers. Whoever makes a browser believe that
# another name does (DNS rebinding) is found by that name.
OUR_NAMES = {"127.0.0.1", "localhost", "::1", "host.docker.internal"}
NO_SITE = "none"  # where a browser's user typed the address


@dataclass(frozen=True)
class Access:
    """key: that each request must have; None for none. origins: of pages that may ask, as `https://example.org`."""

    key: str | None = None
    origins: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Access(origins={self.origins!r})"


class Guard:
    """Refuses what may not ask, before anything of it is read."""

    def __init__(self, app: ASGIApp, access: Access):
        self._access = access
        self._app = app
        if access.origins:
            self._app = CORSMiddleware(
                app,
                allow_origins=access.origins,
                allow_methods=["GET", "POST", "HEAD"],
                allow_headers=["*"],
                allow_private_network=True,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        headers = Headers(scope=scope)
        try:
            self._check(headers, scope["method"])
        except RefusedError as refused:
            response = json_response(form_of(scope["path"], refused), refused.status)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, headers: Headers, method: str) -> None:
        check_host(headers.get("host", ""))
        named = headers.get("origin") in self._access.origins
        self._check_origin(headers, named)
        if not (named and method == "OPTIONS"):  # a question of the browser, which has no key
            self._check_key(headers)

    def _check_origin(self, headers: Headers, named: bool) -> None:
        browser = headers.get("origin") is not None or headers.get("sec-fetch-site", NO_SITE) != NO_SITE
        if browser and not named:
            words = "A page in a browser may not ask. `flashbulb serve --origin` names one that may."
            raise RefusedError(FORBIDDEN, words, code="origin_refused")

    def _check_key(self, headers: Headers) -> None:
        key = self._access.key
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        if key is not None and not hmac.compare_digest(key.encode(), given.encode()):
            raise RefusedError(UNAUTHORIZED, "The key is missing, or not the right one.", code="invalid_api_key")


def check_host(host: str) -> None:
    """Raises RefusedError for the name of another computer."""
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in OUR_NAMES:
        words = "The server is asked by the name of another computer. Its own is 127.0.0.1 or localhost."
        raise RefusedError(FORBIDDEN, words, code="host_refused")


def form_of(path: str, refused: RefusedError) -> Payload:
    """An error in the form of the protocol that an address belongs to."""
    if path.startswith("/v1/messages"):
        return anthropic.refusal(refused)
    return ollama.refusal(refused) if path.startswith("/api/") else openai.refusal(refused)

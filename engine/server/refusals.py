"""Refusals: requests that get no answer, and why, for each protocol to say in its own form."""

import logging
import traceback

from engine.errors import BudgetError, CancelledError, FlashbulbError, NoRoomError, OptionError, PromptError
from engine.server.answering import BusyError
from engine.settings import GenerationOptions

BAD, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TIMEOUT, TOO_LARGE, BUSY = 400, 401, 403, 404, 408, 413, 429
GONE, BROKEN, NOT_HERE = 499, 500, 501
log = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that gets no answer. status: HTTP's. code: OpenAI's word for it, if there is one. param: the name of
    what is wrong in the request. retry_after: seconds."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None, retry_after: int = 0
    ):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.param, self.retry_after = param, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell a client whether to ask again."""
        if self.retry_after:
            return {"Retry-After": str(self.retry_after)}
        return {"x-should-retry": "false"} if self.status >= BROKEN else {}


def refusal_of(error: BaseException) -> RefusedError:
    """The refusal that an error of the engine is. Nothing of a prompt is logged: only where a mistake of ours is."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, NoRoomError):
        return RefusedError(BAD, _by_how_much(error), code="context_length_exceeded", param="messages")
    if isinstance(error, BusyError):
        return RefusedError(BUSY, str(error), code="busy", retry_after=error.retry_after)
    if isinstance(error, CancelledError):
        return RefusedError(GONE, str(error), code="cancelled")
    if isinstance(error, PromptError | OptionError | BudgetError):
        return RefusedError(BAD, str(error), param=_option_of(error))
    return RefusedError(BROKEN, _words(error))


def _option_of(error: FlashbulbError) -> str | None:
    """The option that is wrong, which such an error begins with."""
    first = str(error).partition(" ")[0]
    return first if isinstance(error, OptionError) and first in GenerationOptions.__dataclass_fields__ else None


def _by_how_much(error: NoRoomError) -> str:
    tokens = f"{error.excess:,} token{'s' if error.excess > 1 else ''}"
    return f"{error} It is {tokens} too long." if error.excess else str(error)


def _words(error: BaseException) -> str:
    if isinstance(error, FlashbulbError):
        log.warning("a request failed: %s", type(error).__name__)
        return str(error)
    log.error("a bug: %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return "Something went wrong inside Flashbulb. Its log says where."

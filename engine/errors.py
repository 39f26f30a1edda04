"""What can go wrong for a user. Each message says what happened, to which file, and what to do."""


class FlashbulbError(Exception):
    """An error that a person can act on: shown as it is, without a traceback."""


class PreparedModelError(FlashbulbError):
    """A prepared model that is missing, incomplete, damaged or of another version."""


class CheckpointError(FlashbulbError):
    """A checkpoint that cannot be prepared."""


class BudgetError(FlashbulbError):
    """A memory budget that is too small. `smallest` is the smallest one that works, in bytes."""

    def __init__(self, message: str, smallest: int):
        super().__init__(message)
        self.smallest = smallest


class PromptError(FlashbulbError):
    """A prompt that is empty or does not fit the context."""


class ReadError(FlashbulbError):
    """Flash could not be read: which file, at which offset, and why."""


class CancelledError(FlashbulbError):
    """The work was cancelled before it was complete."""


class HubError(FlashbulbError):
    """The Hub could not be asked, does not have what was asked for, or there is no room for it."""


class GatedError(HubError):
    """A model whose authors ask for something first. `page` is the web page to visit."""

    def __init__(self, message: str, page: str):
        super().__init__(message)
        self.page = page


class DownloadError(FlashbulbError):
    """A download that cannot go on for now. What has arrived is kept."""


class AccessError(DownloadError):
    """The server refused to hand a file out to us: no token, or not one that may."""


class DiskFullError(DownloadError):
    """The disk is full: what was being downloaded or prepared is paused, and goes on when there is room."""

"""Errors that a person can act on. Each message says what happened, to which file, and what to do.

It is given as a template and the values for its {names}, and reads as English; `engine.text` says how it is translated.
"""

from engine.text import Text


class SaidError(Exception):
    """Raised with a literal template, or with a text that is made already."""

    def __init__(self, template: str, /, **values: object):
        super().__init__(template if isinstance(template, Text) else Text(template, **values))


class FlashbulbError(SaidError):
    """An error that a person can act on: shown as it is, without a traceback."""


class FlawError(SaidError, ValueError):
    """The flaw of a file, as the end of a sentence that the error for a person begins.

    cure: what to do, where that is not what helps with any damaged file of its kind.
    """

    def __init__(self, template: str, cure: Text | None = None, /, **values: object):
        super().__init__(template, **values)
        self.cure = cure


class PreparedModelError(FlashbulbError):
    """A prepared model that is missing, incomplete, damaged or of another version."""


class CheckpointError(FlashbulbError):
    """A checkpoint that cannot be prepared."""


class BudgetError(FlashbulbError):
    """A memory budget that is too small. `smallest` is the smallest one that works, in bytes."""

    def __init__(self, template: str, smallest: int, /, **values: object):
        super().__init__(template, **values)
        self.smallest = smallest


class PressureError(FlashbulbError):
    """A system that is critically short of memory: no answer is begun."""


class PromptError(FlashbulbError):
    """A prompt that is empty or does not fit the context."""


class NoRoomError(PromptError):
    """A prompt that has no room in the context. excess: tokens that are too many, 0 where they were not counted."""

    def __init__(self, template: str, excess: int = 0, /, **values: object) -> None:
        super().__init__(template, **values)
        self.excess = excess


class TemplateError(PromptError):
    """A chat template that fails, or does not end. The plain format needs none: `GenerationOptions.plain_format`.

    line: of the template, 0 where it is not known. endless: it was stopped for the time, memory or text that it takes.
    """

    def __init__(self, template: str, line: int, /, endless: bool = False, **values: object) -> None:
        super().__init__(template, **values)
        self.line, self.endless = line, endless


class TokenizerError(PreparedModelError, CheckpointError):
    """A tokenizer that is missing parts, damaged, or a program that is not run."""


class OptionError(FlashbulbError, ValueError):
    """An option that is out of range."""


class SchemaError(OptionError):
    """A schema that an answer cannot be held to: it is no schema, asks for what is not supported, or is too complex."""


class ReadError(FlashbulbError):
    """Flash could not be read: which file, at which offset, and why."""


class CancelledError(FlashbulbError):
    """The work was cancelled before it was complete."""


class HubError(FlashbulbError):
    """The Hub could not be asked, does not have what was asked for, or there is no room for it."""


class GatedError(HubError):
    """A model whose authors ask for something first. `page` is the web page to visit."""

    def __init__(self, template: str, page: str, /, **values: object):
        super().__init__(template, **values)
        self.page = page


class DownloadError(FlashbulbError):
    """A download that cannot go on for now. What has arrived is kept."""


class AccessError(DownloadError):
    """The server refused to hand a file out to us: no token, or not one that may."""


class DiskFullError(DownloadError):
    """The disk is full: what was being downloaded or prepared is paused, and goes on when there is room."""

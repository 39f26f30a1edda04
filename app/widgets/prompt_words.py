"""The progress of a prompt, in words."""

from app.widgets import units
from app.widgets.language import tr
from engine.statistics import PromptProgress


def words_of_prompt(progress: PromptProgress) -> str:
    """The tokens that are done, and the time that is left."""
    done, total = units.whole(progress.tokens), units.whole(progress.total)
    left = units.duration(max(1.0, progress.seconds_left))
    return tr("Processing your message: {0} of {1} tokens, about {2} left").format(done, total, left)

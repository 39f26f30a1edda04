"""Flashbulb's engine: language models whose FFN weights stay on flash. No Qt; usable as a library.

    model = engine.load("starter", engine.Settings(memory_budget=100_000_000, read_at_once=True))
    for piece in model.generate([{"role": "user", "content": "Hello!"}]):
        print(piece.text, end="")
    model.close()

MLX's streams belong to threads: load, use and close a model on one thread, and end that thread with `release()`.
"""

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

# huggingface-hub, and with it every library that reads tokenizers, cannot be imported with an address that is no URL.
# Where models are looked for, what stands in its place is refused.
try:
    urlsplit(os.environ.get("HF_ENDPOINT", ""))
except ValueError:
    os.environ["HF_ENDPOINT"] = "no web address"

# OpenBLAS's threads spin for a fortieth of a second after each product, and take that from those who read. So many
# cycles, as a power of two, do: products are as fast, for some two thirds of the processor time.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "16")

from engine.errors import (
    BudgetError,
    CancelledError,
    FlashbulbError,
    OptionError,
    PreparedModelError,
    PromptError,
    ReadError,
    SchemaError,
    TemplateError,
    TokenizerError,
)
from engine.settings import GenerationOptions, Settings
from engine.system.open_files import guard_file_limit

guard_file_limit()

if TYPE_CHECKING:  # what is only imported when it is wanted
    from engine.inference.load import load, release
    from engine.inference.proof import prove

__all__ = [
    "BudgetError",
    "CancelledError",
    "FlashbulbError",
    "GenerationOptions",
    "OptionError",
    "PreparedModelError",
    "PromptError",
    "ReadError",
    "SchemaError",
    "Settings",
    "TemplateError",
    "TokenizerError",
    "load",
    "prove",
    "release",
]
LAZY = {"load": "engine.inference.load", "release": "engine.inference.load", "prove": "engine.inference.proof"}


def __getattr__(name: str) -> object:
    # MLX and mlx-lm take seconds to import: only when a model is wanted, and on the thread that wants it.
    if name in LAZY:
        import importlib

        return getattr(importlib.import_module(LAZY[name]), name)
    raise AttributeError(f"module 'engine' has no attribute {name!r}")

"""The memory that running a model takes whatever its size: of the process itself, its tokenizer, and the helper that
renders chat templates."""

from pathlib import Path

from engine.tokens.files import CONFIG, LEGACY_TEMPLATE, TABLES, TEMPLATE, TOKENIZER_COMPANIONS

PROCESS_BYTES = 15_000_000  # of reading, pages of libraries, the interpreter's growth, the allocator's slack
HELPER_BYTES = 12_000_000  # of the process that renders chat templates
TOKENIZER_BYTES, TOKENIZER_SHARE = 3_000_000, 4.5  # of any tokenizer, and for each byte of its files

MAX_CONFIG_BYTES = 50_000_000


def overhead_bytes(folder: Path) -> int:
    """The bytes that a model in this folder takes beside its weights, its context, and what it is computed with."""
    files = [size for name in (*TABLES, *TOKENIZER_COMPANIONS) if (size := _size(folder / name))]
    tokenizer = int(TOKENIZER_BYTES + TOKENIZER_SHARE * sum(files)) if files else 0
    return PROCESS_BYTES + tokenizer + (HELPER_BYTES if files and has_template(folder) else 0)


def has_template(folder: Path) -> bool:
    """True if a model came with a chat template, by a glance at its files, damaged or not."""
    if any((folder / name).is_file() for name in (TEMPLATE, LEGACY_TEMPLATE)):
        return True
    if not (folder / CONFIG).is_file():
        return False
    with (folder / CONFIG).open("rb") as file:
        return b'"chat_template"' in file.read(MAX_CONFIG_BYTES)


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0

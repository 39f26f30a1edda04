"""A model as the library lists it. No widgets."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QT_TR_NOOP

from app.library.verdict import RUNNING_KINDS, Kind, Verdict
from app.widgets.language import spoken, tr
from engine.system.built_in import ASSISTANT, STARTER, TITLES

ACTIVATIONS = {"relu": "ReLU", "fatrelu": "FATReLU", "relu2": QT_TR_NOOP("squared ReLU")}
CHAT_NAMES = re.compile(r"(?i)[-_](chat|instruct|it|sft|dpo)\b")  # what the makers of chat models call them
FAST_RATE = 3.0  # tokens a second: somebody reads about so fast
COMFORTABLE_RATE = 8.0  # tokens a second: nobody waits


@dataclass(frozen=True)
class Row:
    """A model. folder: where it is, if it is ready; checkpoint: where that is, if it is prepared from one, repo being
    its path. done, total: bytes of a download that was begun. disk: bytes that getting it takes, of which
    `lacking` are not free. refused: why it cannot be prepared, where more is known than its kind. trouble: what is
    wrong with what is on disk. chat: whether it was trained to answer, None if nobody knows. added: from a folder that
    was dropped or added, and stays there. recommended: of all that could be downloaded, the one for this computer.
    found: the tool that has put it on this disk, where it is used, and never changed or deleted. research: whether it
    is there to try neurons from flash, rather than to be talked to. as_it_is: whether it is a checkpoint that runs from
    its folder, which has no checksums of ours. family: the type of models that its name says it is of, of those that
    run here; told where nothing else is known. bits: of neurons that are quantised. loss: the share by which perplexity
    is then higher."""

    repo: str
    title: str
    about: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    size: int = 0
    verdict: Verdict = field(default_factory=lambda: Verdict(Kind.IN_MEMORY, 0))
    folder: Path | None = None
    checkpoint: Path | None = None
    done: int = 0
    total: int = 0
    disk: int = 0
    lacking: int = 0
    refused: str = ""
    trouble: str = ""
    estimated: bool = True
    chat: bool | None = None
    added: bool = False
    recommended: bool = False
    found: str = ""
    research: bool = False
    as_it_is: bool = False
    family: str = ""
    bits: int | None = None
    loss: float | None = None

    @property
    def model(self) -> str:
        """The path or name that the engine is to load, of a model that is ready."""
        return self.repo if self.built_in else str(self.folder)

    @property
    def built_in(self) -> bool:
        """True of a model that comes with Flashbulb."""
        return self.repo in TITLES

    @property
    def in_one_step(self) -> bool:
        """True if nobody has to be asked before a model is made of it: that takes a minute or two."""
        return self.checkpoint is not None and self.checkpoint.suffix.lower() == ".gguf"

    @property
    def on_disk(self) -> bool:
        """True if it is ready, or on its way: such a model comes before what could be had."""
        return self.folder is not None or self.checkpoint is not None or self.done > 0

    @property
    def can_get(self) -> bool:
        """True if downloading it makes sense: it runs here, and there is room for it."""
        return self.verdict.kind in RUNNING_KINDS and not self.lacking and not self.trouble


def name_of(model: str) -> str:
    """A model's name, of what the engine loads it by."""
    return TITLES.get(model) or Path(model).name


def heading(row: "Row") -> str:
    """A model's title; of one that comes with Flashbulb, with what it is."""
    words = {STARTER: tr("{0}: shows neurons from flash"), ASSISTANT: tr("{0}: a small assistant")}
    return words.get(row.repo, "{0}").format(row.title)


def row(repo: str, entry: dict[str, Any] | None, size: int, verdict: Verdict, **parts: Any) -> Row:
    """A row for a repository. entry: the catalogue's or the Hub's word on it. size: bytes of its weights."""
    known = entry or {}
    owner, _, name = repo.rpartition("/")
    activation = tr(str(ACTIVATIONS.get(known.get("activation") or "", "")))
    gated = tr("gated") if known.get("gated") else ""
    about = ", ".join(part for part in (owner, activation, known.get("licence") or "", gated) if part)
    sparsity = known.get("sparsity")
    facts: dict[str, Any] = {
        "title": name,
        "about": about,
        "description": spoken(known.get("description") or ""),
        "tags": (f"{100 * sparsity:.3g} %",) if sparsity else (),
        "refused": known.get("refused", ""),
        "estimated": not known.get("bytes") and parts.get("folder") is None,
        "chat": trained_to_chat(repo, known),
        "research": not known.get("as_it_is", True),
    }
    return Row(repo, size=size, verdict=verdict, **facts | parts)


def trained_to_chat(repo: str, entry: dict[str, Any]) -> bool | None:
    """True if a model answers, by the catalogue or else by its name; None if neither says so."""
    if "kind" in entry:
        return bool(entry["kind"] == "chat")
    return True if CHAT_NAMES.search(repo) else None


def in_order(rows: list[Row]) -> list[Row]:
    """Rows on disk as they come; then what can be had and runs, chat models first; then the others."""
    here = [row for row in rows if row.on_disk]
    offered = sorted((row for row in rows if not row.on_disk), key=_rank)
    best = recommended(offered)
    return here + [replace(row, recommended=row is best) for row in offered]


def _rank(row: Row) -> tuple[bool, bool, bool, bool]:
    return (row.research, row.verdict.kind not in RUNNING_KINDS, not row.can_get, row.chat is not True)


def recommended(offered: list[Row]) -> Row | None:
    """The largest chat model that is faster than one reads, or fits in memory where no speed is known; else the fastest
    that is as fast as one reads. Those for research only where there are no others."""
    chat = [row for row in offered if row.chat and row.can_get and not row.verdict.crowded]
    chat = [row for row in chat if not row.research] or chat
    good = [row for row in chat if _is_good(row.verdict)]
    if good:
        return max(good, key=lambda row: row.size)
    return max((row for row in chat if _speed(row) >= FAST_RATE), key=_speed, default=None)


def _is_good(verdict: Verdict) -> bool:
    if verdict.tokens_per_second is None:
        return verdict.kind is Kind.IN_MEMORY
    return verdict.tokens_per_second >= COMFORTABLE_RATE


def _speed(row: Row) -> float:
    return row.verdict.tokens_per_second or 0.0

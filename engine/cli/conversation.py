"""The words on how long a conversation with a model can be, and on what it takes."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.output import say, signed
from engine.settings import Settings
from engine.text import readable

if TYPE_CHECKING:
    from engine.planning.measured import ContextLoss
    from engine.planning.outlook import Outlook

MANY_TOKENS = 1000  # of which it is said what they take
EXACT, SMALL = Settings(), Settings(small_context=True)


def conversation(outlook: "Outlook", settings: Settings, folder: Path) -> dict[str, Any]:
    """The tokens that the usual budget has room for, and the bytes that a thousand of them take beyond the first;
    smaller: the same in 8 bits, and what that costs, None where it was not measured; None where it cannot be done."""
    from engine.planning.measured import ContextLoss

    def takes(chosen: Settings) -> int:
        return outlook.context_bytes(chosen, 2 * MANY_TOKENS) - outlook.context_bytes(chosen, MANY_TOKENS)

    report: dict[str, Any] = {"tokens": outlook.longest_context(settings), "bytes_a_thousand": takes(EXACT)}
    loss = ContextLoss.load(folder)
    smaller = {"bytes_a_thousand": takes(SMALL), "measured": asdict(loss) if loss else None}
    return report | {"smaller": smaller if outlook.can_keep_small else None}


def print_conversation(found: dict[str, Any]) -> None:
    """Say it."""
    from engine.planning.measured import ContextLoss

    takes = f"{MANY_TOKENS:,} tokens of it take {readable(found['bytes_a_thousand'])}"
    say(f"By default a conversation has room for {found['tokens']:,} tokens; {takes}.")
    if not (smaller := found["smaller"]):
        return
    size, measured = readable(smaller["bytes_a_thousand"]), smaller["measured"]
    words = words_of_loss(ContextLoss(**measured)) if measured else "what that costs was not measured here."
    say(f"In 8 bits (--small-context) {size}: {words}")


def words_of_loss(loss: "ContextLoss") -> str:
    """The cost of keeping a conversation in 8 bits."""
    same = f"{100 * loss.agreement:.1f} % of the likeliest tokens are the same"
    return f"perplexity {signed(100 * loss.loss, 2)} %, {same} ({loss.tokens:,} tokens)."

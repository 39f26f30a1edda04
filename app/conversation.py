"""A conversation: what was said, by whom, and what each answer cost. No Qt."""

from dataclasses import dataclass, field

from engine.statistics import Summary


@dataclass
class Turn:
    """A question and its answer so far. `summary` comes with the end of the answer, `error` if it broke off."""

    question: str
    answer: str = ""
    summary: Summary | None = None
    error: str = ""


@dataclass
class Conversation:
    turns: list[Turn] = field(default_factory=list)

    def ask(self, question: str) -> Turn:
        """Begin a turn."""
        self.turns.append(Turn(question))
        return self.turns[-1]

    def messages(self) -> list[dict[str, str]]:
        """The conversation as a chat template wants it, up to the open question.

        A question that never got an answer is left out, so that the roles keep alternating.
        """
        messages = []
        for turn in self.turns[:-1]:
            if turn.answer.strip():
                messages.append({"role": "user", "content": turn.question})
                messages.append({"role": "assistant", "content": turn.answer})
        if self.turns:
            messages.append({"role": "user", "content": self.turns[-1].question})
        return messages

    def as_text(self) -> str:
        """The conversation as Markdown, to copy."""
        return "\n\n".join(f"**You:** {turn.question}\n\n**Answer:** {turn.answer.strip()}" for turn in self.turns)

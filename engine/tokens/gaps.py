"""Gaps in a text, which models of code were trained to fill: marks around what stands before and after one."""

from engine.errors import PromptError
from engine.tokens.tokenizer import Tokenizer

FORMS = (  # with the tokens that mark the parts, by the families that have them
    "<|fim_prefix|>{before}<|fim_suffix|>{after}<|fim_middle|>",  # Qwen, CodeGemma
    "<fim_prefix>{before}<fim_suffix>{after}<fim_middle>",  # StarCoder, Granite
    "<｜fim▁begin｜>{before}<｜fim▁hole｜>{after}<｜fim▁end｜>",  # DeepSeek
    "<|code_prefix|>{before}<|code_suffix|>{after}<|code_middle|>",  # GLM
    "▁<PRE>{before}▁<SUF>{after}▁<MID>",  # Code Llama
    "[SUFFIX]{after}[PREFIX]{before}",  # Codestral
)

ENDS = ("<|fim_pad|>", "<|file_sep|>", "<|repo_name|>", "<file_sep>", "<|file_separator|>", "▁<EOT>")  # behind a gap


def form_of(tokenizer: Tokenizer) -> str | None:
    """The form of a text with a gap, of which all marks are tokens; None for a model that fills none."""
    return next((form for form in FORMS if all(mark in tokenizer.added for mark in _marks(form))), None)


def with_gap(tokenizer: Tokenizer, name: str, before: str, after: str) -> str:
    """A text that asks for what stands between two others. name: the model's. Raises PromptError."""
    form = form_of(tokenizer)
    if form is None:
        raise PromptError("{name} fills no gaps: no token of it marks one. Take a model of code.", name=name)
    return form.format(before=before, after=after)


def ends_of(tokenizer: Tokenizer) -> frozenset[int]:
    """The ids that end what fills a gap, beside those that end every answer."""
    marks = (*ENDS, *_marks(form_of(tokenizer) or ""))
    return frozenset(tokenizer.added[mark] for mark in marks if mark in tokenizer.added)


def _marks(form: str) -> list[str]:
    return [mark for mark in form.replace("{before}", "\0").replace("{after}", "\0").split("\0") if mark]

"""The number of tokens that a text will be, about, before the model has counted them. No Qt."""

from app.chat.scripts import is_east_asian

CHARACTERS_PER_TOKEN = 4.0  # of a text in letters, as of most tokenizers
EAST_ASIAN_PER_TOKEN = 1.3
SAMPLE_CHARACTERS = 20_000  # characters that are looked at; the rest is taken to be alike


def estimate(text: str) -> int:
    """Tokens, about: the more, the longer the text; 0 for none."""
    if not text:
        return 0
    seen = text[:SAMPLE_CHARACTERS]
    east = 0 if seen.isascii() else sum(map(is_east_asian, seen))
    tokens = east / EAST_ASIAN_PER_TOKEN + (len(seen) - east) / CHARACTERS_PER_TOKEN
    return max(1, round(tokens * len(text) / len(seen)))

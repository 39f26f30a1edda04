"""Scripts that are written without spaces between words, so that punctuation and signs touch letters. No Qt."""

import re

EAST_ASIAN = (
    "\u1100-\u11ff\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    "\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U0001b000-\U0001b2ff\U00020000-\U0003ffff"
)  # Han, kana, bopomofo, Hangul and Yi, with their punctuation and full-width forms
SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_east_asian = re.compile(f"[{EAST_ASIAN}]")
_unspaced = re.compile(f"[{EAST_ASIAN}{SOUTH_EAST_ASIAN}]")


def is_east_asian(character: str) -> bool:
    """True if it is a letter or sign of Chinese, Japanese or Korean; false for ""."""
    return bool(_east_asian.match(character))


def is_unspaced(character: str) -> bool:
    """True if it belongs to a script in which words are not parted by spaces; false for ""."""
    return bool(_unspaced.match(character))

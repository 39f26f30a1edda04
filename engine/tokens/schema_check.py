"""The program of the helper process that tries whether schemas can be followed: `python -m engine.tokens.schema_check`.

`{"schemas"}`, each as a grammar has it, is answered with `{}` or with `{"fault", "reason", "line"}`, where the fault is
`refused`. One that takes too much time or memory ends the process.
"""

from typing import Any

from llguidance import LLMatcher, LLTokenizer

from engine.system import helper_program

CHECK_S = 2.0  # of processor time, a hundred times what usual schemas take
MAX_REASON = 300  # characters
TRIED_BYTES = 8  # of an answer: what is too complex to be followed mostly is so from its beginning


class _Bytes:
    """A vocabulary of bytes, and an end."""

    is_tokenizer_wrapper = True
    tokens = (*(bytes([byte]) for byte in range(256)), b"<end>")
    bos_token_id, eos_token_id, special_token_ids = None, 256, (256,)

    def __call__(self, text: str | bytes) -> list[int]:
        """The tokens of a text."""
        return list(text.encode() if isinstance(text, str) else text)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The reply to a request."""
    vocabulary = LLTokenizer(_Bytes())  # type: ignore[arg-type]
    with helper_program.limited_time(CHECK_S):
        found = next(filter(None, (_reason(vocabulary, schema) for schema in request["schemas"])), "")
    return {"fault": "refused", "reason": found, "line": 0} if found else {}


def _reason(vocabulary: LLTokenizer, schema: str) -> str:
    """The reason why a schema cannot be followed, as one line; empty where its first bytes can be written."""
    matcher = LLMatcher(vocabulary, LLMatcher.grammar_from_json_schema(schema), log_level=0)
    for _ in range(TRIED_BYTES):
        if matcher.is_error() or matcher.is_stopped():
            break
        allowed = int.from_bytes(matcher.compute_bitmask(), "little")
        matcher.consume_token((allowed & -allowed).bit_length() - 1)
    words = " ".join(matcher.get_error().split("<non-verbose/>")[0].split())
    return "nothing satisfies it" if "NoExtension" in words else words[:MAX_REASON].rstrip(".")


if __name__ == "__main__":
    helper_program.run(answer)

"""Vocabularies as bytes: of all kinds of tokenizer that families have."""

from itertools import product

import pytest

from engine.errors import SchemaError
from engine.tokens.tokenizer import read_tokenizer
from tests.helpers.families import ANSWER, GRAINS, NAMES, REASONING, Family, of_grain
from tests.helpers.tokenizers import TEXTS, tokenizer_of_kind, write_tokenizer_files

SOME = [pair for pair in product(NAMES[::4], GRAINS) if of_grain(*pair)]


def bytes_of(tokenizer, tokens):
    return b"".join(tokenizer.vocabulary.tokens[token] for token in tokens)


@pytest.mark.parametrize(("name", "grain"), SOME)
def test_the_bytes_of_a_texts_tokens_are_the_texts(name, grain, tmp_path):
    tokenizer = Family(name, grain, tmp_path).tokenizer
    for text in (ANSWER, REASONING, '{"a": [1, "é 🦙"]}', "  two  spaces\n"):
        tokens = tokenizer.library.encode(text, add_special_tokens=False)
        assert bytes_of(tokenizer, tokens) == text.encode()
        assert bytes_of(tokenizer, tokenizer.vocabulary.matching.tokenize_str(text)) == text.encode()


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece", "unigram"])
def test_a_text_is_written_without_a_space_that_its_tokenizer_would_begin_it_with(kind, tmp_path):
    tokenizer = read_tokenizer(write_tokenizer_files(tmp_path, tokenizer_of_kind(kind)), {})
    for text in (TEXTS[0], "question", " answer", "the"):
        assert bytes_of(tokenizer, tokenizer.vocabulary.matching.tokenize_str(text)) == text.encode()


def test_a_mark_that_is_a_token_is_no_text(tmp_path):
    tokenizer = Family("qwen3", "words", tmp_path).tokenizer
    assert tokenizer.added["<tool_call>"] not in tokenizer.vocabulary.matching.tokenize_str("so <tool_call> it is")


def test_a_tokenizer_of_an_unusual_kind_is_refused(tmp_path):
    tokenizer = read_tokenizer(write_tokenizer_files(tmp_path, tokenizer_of_kind("wordpiece")), {})
    with pytest.raises(SchemaError, match="unusual kind"):
        _ = tokenizer.vocabulary

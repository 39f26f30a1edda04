"""Tokens are compared by the files alone."""

import json
import shutil
from functools import cache

import pytest

from engine.tokens.same_tokens import same_tokens
from tests.helpers.tokenizers import KINDS, tokenizer_of_kind


@cache
def trained(kind):
    return tokenizer_of_kind(kind).to_str()


def write(folder, kind, change=lambda table: None):
    folder.mkdir()
    table = json.loads(trained(kind))
    change(table)
    (folder / "tokenizer.json").write_text(json.dumps(table))
    return folder


def add(text):
    def change(table):
        ids = [token["id"] for token in table["added_tokens"]]
        vocabulary = table["model"]["vocab"]
        ids += vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary))
        table["added_tokens"].append({**table["added_tokens"][0], "content": text, "id": max(ids) + 1})

    return change


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_the_same_where_each_id_stands_for_the_same(tmp_path, kind):
    one, same = write(tmp_path / "one", kind), write(tmp_path / "same", kind, lambda t: t.update(version="2.0"))
    assert same_tokens(one, one)
    assert same_tokens(one, same)


def test_a_draft_model_may_have_more_tokens_but_not_fewer(tmp_path):
    one, more = write(tmp_path / "one", "byte-level"), write(tmp_path / "more", "byte-level", add("<think>"))
    assert same_tokens(one, more)
    assert not same_tokens(more, one)


def test_other_tokens_are_others(tmp_path):
    one = write(tmp_path / "one", "byte-level")
    assert not same_tokens(one, write(tmp_path / "other", "unigram"))

    def swap(table):
        vocabulary = table["model"]["vocab"]
        first, second, *_ = sorted(vocabulary, key=vocabulary.get, reverse=True)
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]

    assert not same_tokens(one, write(tmp_path / "swapped", "byte-level", swap))


def test_the_older_files_are_compared_too(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    other = shutil.copytree(one, tmp_path / "other")
    (other / "merges.txt").write_text("a b")
    assert same_tokens(one, other)
    (other / "added_tokens.json").write_text(json.dumps({"c": 2}))
    assert same_tokens(one, other)
    assert not same_tokens(other, one)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": {"vocab": 7}}', b'{"model": {"vocab": {}}}'])
def test_what_cannot_be_read_is_not_the_same(tmp_path, content):
    one, broken = write(tmp_path / "one", "byte-level"), tmp_path / "broken"
    broken.mkdir()
    assert not same_tokens(one, broken)
    (broken / "tokenizer.json").write_bytes(content)
    assert not same_tokens(one, broken)
    assert not same_tokens(broken, one)

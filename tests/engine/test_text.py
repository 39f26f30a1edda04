"""Texts of the engine keep the parts that a translation is made of, wherever they go."""

import copy
import pickle

import pytest

from engine.errors import BudgetError, CheckpointError, FlawError
from engine.memory.budget import ITEMS, PoolDemand, plan
from engine.text import Text, from_line, joined, text_of, to_line


def test_a_text_reads_as_english_and_keeps_its_parts():
    text = Text("{path} has {size} bytes.", path="a/b", size=3)
    assert text == "a/b has 3 bytes."
    assert (text.template, text.values) == ("{path} has {size} bytes.", {"path": "a/b", "size": "3"})


def test_braces_are_written_as_they_are():
    assert Text("{{}} holds {value}", value="{name} {0} }") == "{} holds {name} {0} }"
    assert str(CheckpointError("{path} is missing.", path="/{odd}/{")) == "/{odd}/{ is missing."


def test_a_text_in_a_text_keeps_its_parts_and_so_does_one_in_an_error():
    flaw = FlawError("it holds {name} twice", name="x")
    error = CheckpointError("{path} cannot be read: {error}.", path="p", error=flaw)
    assert str(error) == "p cannot be read: it holds x twice."
    assert text_of(error).values["error"].template == "it holds {name} twice"
    assert text_of(error).values["path"] == "p"


def test_of_other_errors_only_what_they_read_as_is_kept():
    text = Text("{error}", error=OSError(28, "No space left"))
    assert type(text.values["error"]) is str
    assert text == "[Errno 28] No space left"
    assert text_of(ValueError("x")) == "x"


def test_several_texts_become_one():
    text = joined("{before}, {next}", [Text("{n} B", n=n) for n in (1, 2, 3)])
    assert text == "1 B, 2 B, 3 B"
    assert text.values["next"].template == "{n} B"
    assert joined("{before} or {next}", ["relu"]) == "relu"


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda text: pickle.loads(pickle.dumps(text))])
def test_copies_and_pickles_keep_the_parts(again):
    text = again(Text("{a} {b}", a=1, b=Text("{c}", c="{d}")))
    assert text == "1 {d}"
    assert text.values["b"].template == "{c}"
    assert str(again(CheckpointError("{a}", a="{x}"))) == "{x}"


def test_a_line_takes_the_parts_to_another_process():
    said = Text("{path} cannot be read: {error}.", path="p", error=Text("it holds {name} twice", name="{x}"))
    line = {"stage": "failed", "error": said, "share": 0.5, "page": ""}
    found = from_line(to_line(line).encode())
    assert found == line
    assert found["error"].values["error"].values == {"name": "{x}"}
    assert from_line(to_line({"note": "plain"})) == {"note": "plain"}
    assert from_line("[1]") == [1]


def test_a_budget_that_is_too_small_is_told_item_by_item():
    fixed = {item: 1_000_000 * (i + 1) for i, item in enumerate(ITEMS)}
    with pytest.raises(BudgetError) as raised:
        plan(1000, fixed, [PoolDemand(1000, 10, 10, 1.0)])
    assert "exact selection 3 MB, kv cache 4 MB, kept contexts 5 MB, workspace 6 MB," in str(raised.value)
    assert raised.value.smallest > sum(fixed.values())

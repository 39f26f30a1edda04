"""The memory that a model takes whatever its size, by the files that it came with."""

import json

import pytest

from engine.planning.overhead import HELPER_BYTES, PROCESS_BYTES, overhead_bytes

TABLE = "x" * 1_000_000


@pytest.fixture
def model(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_a_model_without_a_tokenizer_takes_the_process_alone(model):
    (model / "chat_template.jinja").write_text("{{ messages }}")  # nothing can be rendered with it
    assert overhead_bytes(model) == PROCESS_BYTES


def test_a_tokenizer_takes_room_by_its_files(model):
    (model / "tokenizer.json").write_text(TABLE)
    one = overhead_bytes(model)
    (model / "merges.txt").write_text(TABLE)
    assert PROCESS_BYTES + 2 * len(TABLE) < one < overhead_bytes(model) - 2 * len(TABLE)


@pytest.mark.parametrize("name", ["chat_template.jinja", "chat_template.json"])
def test_the_helper_counts_where_there_is_a_template(model, name):
    (model / "tokenizer.json").write_text(TABLE)
    before = overhead_bytes(model)
    (model / name).write_text("{}")
    assert overhead_bytes(model) == before + HELPER_BYTES


@pytest.mark.parametrize("content", [json.dumps({"chat_template": "{{ messages }}"}), '{"chat_template": '])
def test_a_template_is_seen_in_the_tokenizers_config_damaged_or_not(model, content):
    (model / "tokenizer.json").write_text(TABLE)
    before = overhead_bytes(model)
    (model / "tokenizer_config.json").write_text("{}")
    assert overhead_bytes(model) == before
    (model / "tokenizer_config.json").write_text(content)
    assert overhead_bytes(model) == before + HELPER_BYTES

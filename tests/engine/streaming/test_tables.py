"""Tables that stay on flash, against the embeddings that they take the place of."""

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten

from engine.errors import ReadError
from engine.flash.reader import open_reader
from engine.inference.load import load
from engine.settings import Settings
from engine.store.layout import VIEW_ALIGNMENT, Layout
from engine.store.safetensors_file import read_safetensors
from engine.streaming.checkpoint import CheckpointInstallation
from engine.streaming.found import Streamable, TableRows
from engine.streaming.tables import MAX_WRONG, StreamedTable
from tests.helpers.dense_models import write_dense
from tests.helpers.lazy_reader import LazyReader
from tests.helpers.mlx_models import FORMS, write_moe
from tests.helpers.planning import budgets_of_experts, outlook_of, slots

ROWS, WIDTH = 40, 128


class Streamed:
    """One table in a pool of `capacity` rows, and the embedding that it was. lazy: reads begin when somebody waits."""

    def __init__(self, folder, form, capacity, lazy=False):
        mx.random.seed(0)
        self.own = nn.Embedding(ROWS, WIDTH)
        if form:
            self.own = self.own.to_quantized(**form)
        file = folder / "table.safetensors"
        mx.save_safetensors(str(file), dict(tree_flatten(self.own.parameters())))
        layout = Layout.of(read_safetensors(file), alignment=VIEW_ALIGNMENT)
        table = nn.Embedding(ROWS, WIDTH).to_quantized(**form) if form else nn.Embedding(ROWS, WIDTH)
        self.reader, network = open_reader(2), {"table": table}
        self.reader = LazyReader(self.reader) if lazy else self.reader
        how = Settings(window=2), slots(capacity, ROWS), 0, self.reader
        found = Streamable(tables=(TableRows("table", table, layout),))
        self.streaming = CheckpointInstallation(*how, found).install(network)
        self.table = network["table"]
        self.layout = layout

    def read(self, ids):
        """Rows, and the bytes that were read for them."""
        passes = self.streaming.passes
        current = passes.begin(ids.size if ids.size > 1 else 0)
        passes.advance(ids.size)
        rows = self.table(ids)
        mx.eval(rows)
        return rows, current.bytes_read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.streaming.close()
        self.reader.close()


def array(*ids):
    return mx.array([ids])


batches = st.lists(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=24), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(
    capacity=st.integers(0, ROWS - 1), batches=batches, lazy=st.booleans(),
    expected=st.lists(st.integers(0, 2 * ROWS), max_size=8),
)  # fmt: skip
@pytest.mark.parametrize("form", [None, "affine-4-g32", "mxfp8"])
def test_rows_are_the_embedding_s_to_the_bit(form, capacity, batches, expected, lazy, tmp_path_factory):
    with Streamed(tmp_path_factory.mktemp("table"), FORMS[form] if form else None, capacity, lazy) as streamed:
        for number, ids in enumerate(batches):
            if number < len(expected):
                streamed.table.expect(expected[: number + 1])
            rows, read = streamed.read(mx.array([ids]))
            assert mx.array_equal(rows, streamed.own(mx.array([ids])))
            assert read <= len({*ids, *expected}) * streamed.layout.bundle_bytes


def test_several_batches_that_nobody_evaluates_in_between(tmp_path):
    with Streamed(tmp_path, FORMS["affine-4-g32"], 3) as streamed:
        batches = [array(i, i + 1, i + 2) for i in range(0, 36, 2)]
        streamed.streaming.passes.begin()
        rows = [streamed.table(ids) for ids in batches]
        assert all(mx.array_equal(row, streamed.own(ids)) for row, ids in zip(rows, batches, strict=True))


def test_a_row_that_was_used_lately_is_not_read_again_nor_one_that_was_expected(tmp_path):
    with Streamed(tmp_path, FORMS["affine-4-g32"], 20) as streamed:
        assert streamed.read(array(3, 4))[1] == 2 * streamed.layout.bundle_bytes
        assert streamed.read(array(4))[1] == 0
        streamed.streaming.expect([7])
        assert streamed.table.bundles.reads_ahead
        assert streamed.read(array(7))[1] > 0  # counted where it is used
        assert streamed.read(array(7))[1] == 0


def test_the_most_used_stay_and_a_prompt_s_last(tmp_path):
    with Streamed(tmp_path, None, 4) as streamed:
        for token in (1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 7, 8, 9):
            streamed.read(array(token))
        assert streamed.read(array(1))[1] == 0
        streamed.read(array(*range(10, 30)))
        assert streamed.read(array(26, 27, 28, 29))[1] == 0


def test_ids_that_are_made_of_tokens_in_a_way_of_their_own_are_soon_not_expected(tmp_path):
    with Streamed(tmp_path, None, 20) as streamed:
        for token in range(MAX_WRONG):
            streamed.table.expect([token])
            streamed.read(array(token + 20))
        streamed.table.expect([9])
        assert not streamed.table.bundles.reads_ahead


def test_a_read_that_fails_leaves_all_as_it_was(tmp_path, monkeypatch):
    with Streamed(tmp_path, None, 4) as streamed:
        source = streamed.table.bundles.source
        for ids in (array(3), array(*range(20))):
            with monkeypatch.context() as broken:
                broken.setattr(type(source), "read", _fails)
                with pytest.raises(ReadError):
                    streamed.read(ids)
            assert mx.array_equal(streamed.read(ids)[0], streamed.own(ids))


def _fails(*_):
    raise ReadError("The drive is gone.")


def tables_of(model):
    return {path: each for path, each in model.network.named_modules() if isinstance(each, StreamedTable)}


@pytest.mark.parametrize(
    ("model_type", "names"),
    [
        ("gemma3n", {"embed_tokens_per_layer"}),
        ("gemma4_text", {"embed_tokens", "embed_tokens_per_layer"}),
        ("llama", {"embed_tokens"}),
    ],
)
def test_a_token_s_rows_are_all_that_is_read_of_tables_that_have_no_room(model_type, names, tmp_path):
    folder = write_dense(tmp_path / "model", model_type)
    model = load(folder, Settings(memory_budget=budgets_of_experts(folder)[0]))
    try:
        assert {path.rpartition(".")[2] for path in tables_of(model)} == names
        assert not model.streaming.layers  # all else has room
        model.prefill(list(range(20)))
        row_bytes = sum(table.bundles.source.layout.bundle_bytes for table in tables_of(model).values())
        assert model.decode(100)[1].bytes_read == row_bytes
        assert model.decode(100)[1].bytes_read == 0
        model.expect([101])
        model.forget()
        assert model.decode(100)[1].bytes_read == row_bytes
    finally:
        model.close()


def test_n_gram_tables_are_read_by_the_ids_that_the_model_makes(tmp_path):
    folder = write_moe(tmp_path / "model", "longcat_flash_ngram")
    model = load(folder, Settings(memory_budget=outlook_of(folder).smallest_budget(Settings())))
    try:
        assert sum("ngram" in path for path in tables_of(model)) == 3
        model.prefill(np.arange(20).tolist())
        assert model.decode(5)[1].bytes_read > 0
    finally:
        model.close()

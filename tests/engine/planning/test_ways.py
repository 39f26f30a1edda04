"""The choice of the way in which a checkpoint is read, by a token's time."""

from dataclasses import replace

import pytest

from engine.flash.profile import profile_path
from engine.planning.measured import Measured
from engine.planning.outlook import Outlook
from engine.prepare.columns import add_columns
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from tests.helpers.dense_models import GEMMA3N, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.mlx_models import FORMS
from tests.helpers.planning import outlook_of
from tests.helpers.sparse_experts import measure, write_sparse_experts

SLOW = replace(FAST, packed_bytes_per_s=1e7)
MANY_READS = {"iops": 1e6, "bandwidth": 2e8}


@pytest.fixture
def folder(tmp_path):
    config = {"text_config": GEMMA3N | {"intermediate_size": 4096, "hidden_size": 256}}
    return write_dense(tmp_path / "model", "gemma3n", config=config)


def ways_of(folder, processor, **drive):
    profile(processor=processor, **drive).save(profile_path(folder))
    return outlook_of(folder).sizes.ways


def test_active_rows_are_read_where_a_token_waits_less_for_the_drive(folder):
    ways = ways_of(folder, FAST, **MANY_READS)
    assert ways.reads_rows
    assert ways.rows_ms < ways.whole_ms


def test_all_is_read_where_the_drive_likes_long_reads(folder):
    ways = ways_of(folder, FAST, iops=1e4)
    assert not ways.reads_rows
    assert not ways.choices[0].rows_are_faster


def test_it_counts_that_the_other_rows_are_not_multiplied_either(folder):
    fast, slow = ways_of(folder, FAST, **MANY_READS), ways_of(folder, SLOW, **MANY_READS)
    assert slow.whole_ms - slow.rows_ms > fast.whole_ms - fast.rows_ms > 0


def test_answers_that_were_measured_count(folder):
    before, drive = ways_of(folder, FAST, **MANY_READS), profile(processor=FAST, **MANY_READS)
    Measured(drive.measured, 100, misses=3.0).save(folder)
    after = outlook_of(folder).sizes.ways
    assert after.rows_ms > before.rows_ms
    assert after.whole_ms == before.whole_ms


def test_the_plan_is_of_what_is_chosen(folder):
    for drive, kind in ((MANY_READS, "row"), ({"iops": 1e4}, "block")):
        ways = ways_of(folder, FAST, **drive)
        layers = Outlook.of(MlxFolder.open(folder), None).sizes.layers(Settings())
        [up] = [layer.bundles for layer in layers if layer.bundles.path == ways.choices[0].path]
        assert up.kind == kind


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    source = write_sparse_experts(folder / "model", FORMS["affine-8-g64"])
    add_columns(source, folder / "by-neurons")
    return source, folder / "by-neurons"


def test_few_active_neurons_and_a_drive_of_many_reads_make_it_read_columns(experts):
    _, folder = experts
    ways = {}
    for share in (0.02, 0.9):
        for drive in (MANY_READS, {"iops": 1e4}):
            measure(folder, share, drive)
            ways[share, drive["iops"]] = outlook_of(folder).sizes.ways
    assert [key for key, way in ways.items() if way.reads_rows] == [(0.02, 1e6)]
    chosen = ways[0.02, 1e6]
    assert chosen.rows_ms < chosen.whole_ms
    assert chosen.choices[0].rows.bytes < chosen.choices[0].whole.bytes
    assert chosen.choices[0].active_share == 0.02


def test_columns_that_nobody_has_prepared_are_worth_it_but_not_read(experts):
    source, _ = experts
    measure(source, 0.02, MANY_READS)
    ways = outlook_of(source).sizes.ways
    assert (ways.faster, ways.prepared, ways.reads_rows) == (True, False, False)
    assert all(layer.bundles.owners == 0 for layer in outlook_of(source).sizes.layers(Settings()))


def test_experts_are_whole_until_it_is_known_how_many_neurons_fire(experts):
    _, folder = experts
    measure(folder, None, MANY_READS)
    ways = outlook_of(folder).sizes.ways
    assert (ways.unmeasured, ways.reads_rows, ways.choices) == (True, False, ())


def test_most_models_leave_no_choice(tmp_path):
    folder = write_dense(tmp_path / "llama")
    assert outlook_of(folder).sizes.ways is None

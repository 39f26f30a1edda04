"""The choice of the way in which a checkpoint is read, by a token's time."""

from dataclasses import replace

import pytest

from engine.flash.profile import profile_path
from engine.planning.measured import Measured
from engine.planning.outlook import Outlook
from engine.settings import Settings
from engine.store.mlx_folder import MlxFolder
from tests.helpers.dense_models import GEMMA3N, write_dense
from tests.helpers.drives import FAST, profile
from tests.helpers.planning import outlook_of

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
    Measured(drive.measured, 100, misses=1.5).save(folder)
    after = outlook_of(folder).sizes.ways
    assert after.rows_ms > before.rows_ms
    assert after.whole_ms == before.whole_ms


def test_the_plan_is_of_what_is_chosen(folder):
    for drive, kind in ((MANY_READS, "row"), ({"iops": 1e4}, "block")):
        ways = ways_of(folder, FAST, **drive)
        layers = Outlook.of(MlxFolder.open(folder), None).sizes.layers(Settings())
        [up] = [layer.bundles for layer in layers if layer.bundles.path == ways.choices[0].path]
        assert up.kind == kind


def test_most_models_leave_no_choice(tmp_path):
    folder = write_dense(tmp_path / "llama")
    assert outlook_of(folder).sizes.ways is None

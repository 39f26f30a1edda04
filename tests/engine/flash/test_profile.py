"""Files of ours on a model's drive."""

import os

from engine.flash.profile import scratch_place


def test_a_drive_is_never_measured_in_a_folder_of_another_tool(tmp_path):
    snapshot = tmp_path / "hub" / "models--owner--name" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    place = scratch_place(snapshot)
    assert place in tmp_path.parents
    assert place.stat().st_dev == snapshot.stat().st_dev
    assert os.access(place, os.W_OK)

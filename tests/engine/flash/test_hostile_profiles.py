"""Drive profiles that were damaged or written by hand: used with bounds, or as good as not measured."""

import json
import random
from dataclasses import asdict

import pytest

from engine.flash.profile import MAX_THREADS, DrivePoint, DriveProfile, Processor, pool_key
from tests.helpers.mutations import bounded, mutated_json, seeds

NAMES = ("float32", "float16", "bfloat16")
POOLS = {pool_key(stored, computed) for stored in NAMES for computed in (stored, "float32")}


def measured() -> dict:
    points = [DrivePoint(size, threads, 1e9 * threads, 1e7, 1e-4, 2e-4) for size in (4096, 65536) for threads in (1, 8)]
    processor = Processor(dict.fromkeys(NAMES, 1e10), dict.fromkeys(POOLS, 1e10), 1e10, 1e-4, 1e-4, 1e-5, 1e-9)
    return asdict(DriveProfile("disk", "today", tuple(points), processor))


def use(profile: DriveProfile) -> None:
    assert 1 <= profile.threads <= MAX_THREADS
    assert profile.gap(8192) >= 0
    assert profile.seconds(100, 8192, 4) > 0
    assert profile.sequential_bytes_per_s > 0


def test_what_was_measured_is_used(tmp_path):
    (tmp_path / "profile.json").write_text(json.dumps(measured()))
    use(DriveProfile.load(tmp_path / "profile.json"))


@pytest.mark.parametrize("threads", [0, -1, 10**9, 1.5, "8", None])
def test_no_profile_asks_for_threads_that_there_cannot_be(tmp_path, threads):
    content = measured()
    content["points"][0]["threads"] = threads
    (tmp_path / "profile.json").write_text(json.dumps(content))
    assert DriveProfile.load(tmp_path / "profile.json") is None


def test_whatever_a_profile_holds_it_is_used_or_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    for seed in seeds(400):
        (tmp_path / "folder" / "profile.json").write_bytes(mutated_json(measured(), random.Random(seed)))
        with bounded(tmp_path / "folder", f"mutation {seed}"):
            profile = DriveProfile.load(tmp_path / "folder" / "profile.json")
            if profile is not None:
                use(profile)

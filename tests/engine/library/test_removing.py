"""Removing a model, and finding what a removal that was killed has left."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import HubError
from engine.library.begun import PLAN_FILE, unfinished, work_folder
from engine.library.local import adding
from engine.library.removing import REMOVING_FOLDER, discard, finish_removals, leftovers, make_way, remove
from engine.store.installed import folder_of, installed
from engine.store.manifest import BUNDLES, MANIFEST, RESIDENT
from engine.system.folders import models_folder

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def models(home, monkeypatch):
    monkeypatch.setenv("FLASHBULB_MODELS", str(home / "models"))
    (home / "models").mkdir()
    return home / "models"


@pytest.fixture
def model(models, tiny_model) -> Path:
    return shutil.copytree(tiny_model, models / "me--opt")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_model_is_removed_whole(models, model):
    size = size_of(model) - (model / MANIFEST).stat().st_size
    assert remove("me/opt") == size
    assert [path.name for path in models.iterdir()] == [".downloads"]
    with pytest.raises(HubError, match="not on disk"):
        remove("me/opt")


@pytest.mark.parametrize("gone", [MANIFEST, RESIDENT, "config.json"])
def test_what_is_left_of_a_removal_is_listed_and_can_be_removed(models, model, gone):
    (model / MANIFEST).unlink()
    if gone != MANIFEST:
        (model / gone).unlink()
    size = size_of(model)
    assert installed() == []
    assert [(left.repo, left.folder, left.bytes) for left in leftovers()] == [("me/opt", model, size)]
    assert remove("me/opt") == size
    assert not model.exists()
    assert leftovers() == []


@pytest.mark.parametrize(
    "manifest", ["{", "[" * 100_000, "[]", '{"files": 3}', "\x00", '{"files": {"a": {"bytes": 1e999}}}']
)
def test_a_damaged_model_hides_no_other_and_can_be_removed(models, model, tiny_model, manifest):
    shutil.copytree(tiny_model, models / "me--other")
    (model / MANIFEST).write_text(manifest)
    assert [found.repo for found in installed()] == ["me/other"]
    assert [left.repo for left in leftovers()] == ["me/opt"]
    remove("me/opt")
    assert [found.repo for found in installed()] == ["me/other"]


@pytest.mark.parametrize("content", ["{", "[" * 100_000, "[]", '{"repo": 5}', "\x00", "{}"])
def test_a_damaged_plan_or_note_hides_no_other(models, content):
    good = {"repo": "me/good", "commit": "c", "model_type": None, "licence": None, "gated": False, "files": []}
    for repo, plan in {"me/bad": content, "me/good": json.dumps(good)}.items():
        work_folder(repo).mkdir(parents=True)
        (work_folder(repo) / PLAN_FILE).write_text(plan)
    (models / ".adding").mkdir()
    (models / ".adding" / "bad.json").write_text(content)
    (models / ".adding" / "good.json").write_text(json.dumps({"checkpoint": "/somewhere"}))
    (models / "good.partial").mkdir()
    assert [begun.repo for begun in unfinished()] == ["me/good"]
    assert adding() == [Path("/somewhere")]
    assert [left.repo for left in leftovers()] == ["me/bad"]
    remove("me/bad")
    assert leftovers() == []


@pytest.mark.parametrize("name", ["../../outside", "a/b", "/etc/passwd", "..", ""])
def test_a_plan_for_files_elsewhere_is_none(models, name):
    file = {"name": name, "url": "http://x/", "bytes": 1}
    plan = {"repo": "me/bad", "commit": "c", "model_type": None, "licence": None, "gated": False, "files": [file]}
    work_folder("me/bad").mkdir(parents=True)
    (work_folder("me/bad") / PLAN_FILE).write_text(json.dumps(plan))
    assert unfinished() == []


def test_of_a_linked_model_only_the_link_goes(models, tiny_model, tmp_path):
    elsewhere = shutil.copytree(tiny_model, tmp_path / "elsewhere")
    (models / "me--linked").symlink_to(elsewhere)
    assert remove("me/linked") == 0
    assert installed() == []
    assert (elsewhere / MANIFEST).is_file()
    assert (elsewhere / BUNDLES).is_file()


def test_a_folder_that_is_no_model_is_left_alone(models):
    (models / "my notes").mkdir()
    (models / "my notes" / "config.json").write_text("{}")
    assert leftovers() == []
    with pytest.raises(HubError, match="in the way"):
        make_way(models / "my notes")


def test_a_place_is_cleared_of_what_is_left_and_of_nothing_else(models, model):
    (model / MANIFEST).unlink()
    make_way(model)
    assert not model.exists()
    model.mkdir()
    make_way(model)
    make_way(models / "nothing there")


def test_a_killed_removal_goes_on_the_next_time(models, model):
    """Killed at each step that deletes something, the model is gone from the list at once, and its bytes in the end."""
    code = (
        "import os, sys, shutil\n"
        "from engine.library.removing import remove\n"
        "real = os.unlink\n"
        "left = [int(sys.argv[1])]\n"
        "def unlink(*a, **k):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0: os._exit(9)\n"
        "    return real(*a, **k)\n"
        "os.unlink = unlink\n"
        "remove('me/opt')\n"
    )
    kept = shutil.copytree(model, models.parent / "kept")
    for step in (0, 1, 4):
        done = subprocess.run([sys.executable, "-c", code, str(step)], cwd=ROOT, check=False)
        assert done.returncode == 9
        assert folder_of("me/opt") is None
        assert list((models / REMOVING_FOLDER).iterdir())
        finish_removals()
        assert not (models / REMOVING_FOLDER).exists()
        shutil.copytree(kept, model)


def test_discarding_nothing_is_harmless():
    discard(models_folder() / "nothing")
    finish_removals()

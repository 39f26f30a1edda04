"""Plans of downloads and notes of added checkpoints that were damaged: each hides nothing but itself."""

import random
from dataclasses import asdict

from engine.library.begun import PLAN_FILE, unfinished, work_folder, write_json
from engine.library.download import RemoteFile
from engine.library.hub import Plan
from engine.library.local import ADDING_FOLDER, adding
from engine.system.folders import models_folder
from tests.helpers.mutations import bounded, mutated_json, seeds

FILES = (RemoteFile("config.json", "https://hub/config.json", 9, git_sha1="0" * 40), RemoteFile("a.bin", "u", 99, "1"))


def plan(repo: str) -> dict:
    return asdict(Plan(repo, "c" * 40, "opt", "mit", False, FILES))


def test_a_damaged_plan_hides_no_other_download():
    for repo in ("owner/good", "owner/bad"):
        write_json(work_folder(repo) / PLAN_FILE, plan(repo))
    assert {begun.repo for begun in unfinished()} == {"owner/good", "owner/bad"}
    for seed in seeds(400):
        (work_folder("owner/bad") / PLAN_FILE).write_bytes(mutated_json(plan("owner/bad"), random.Random(seed)))
        with bounded(models_folder(), f"mutation {seed}"):
            found = {begun.repo for begun in unfinished()}
            assert "owner/good" in found
            assert found <= {"owner/good", "owner/bad"}


def test_a_plan_writes_nothing_elsewhere():
    content = plan("owner/bad")
    content["files"][0]["name"] = "../../../elsewhere"
    write_json(work_folder("owner/bad") / PLAN_FILE, content)
    assert unfinished() == []


def test_a_damaged_note_hides_no_other_checkpoint(tmp_path):
    folder = models_folder() / ADDING_FOLDER
    write_json(folder / "good.json", {"checkpoint": str(tmp_path)})
    (models_folder() / "good.partial").mkdir()
    for seed in seeds(200):
        (folder / "bad.json").write_bytes(mutated_json({"checkpoint": "/x"}, random.Random(seed)))
        with bounded(models_folder(), f"mutation {seed}"):
            assert tmp_path in adding()

"""A checkpoint's files against the Hub's checksums, where they are known: by links of its cache, or by our own note."""

import hashlib
import json
import shutil

import pytest

from engine.cli.main import main
from engine.errors import CheckpointError
from engine.store.verifying import verify_checkpoint
from tests.helpers.mlx_models import write_moe

FILES = {"config.json", "model.safetensors"}


@pytest.fixture(scope="module")
def moe(tmp_path_factory):
    return write_moe(tmp_path_factory.mktemp("moe") / "qwen")


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def git_sha1(path):
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def snapshot(moe, tmp_path):
    """As in the Hub's cache: weights are called by their SHA-256, small files by what git calls them."""
    (tmp_path / "blobs").mkdir()
    folder = tmp_path / "snapshots" / "main"
    folder.mkdir(parents=True)
    for path in moe.iterdir():
        name = sha256(path) if path.suffix == ".safetensors" else git_sha1(path)
        shutil.copy(path, tmp_path / "blobs" / name)
        (folder / path.name).symlink_to(tmp_path / "blobs" / name)
    return folder


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_what_is_whole_matches(snapshot):
    shares = []
    found = verify_checkpoint(snapshot, shares.append)
    assert set(found.matching) == FILES
    assert found.unknown == ()
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("name", sorted(FILES))
def test_one_bit_that_differs_is_found(snapshot, name):
    damage((snapshot / name).resolve())
    with pytest.raises(CheckpointError, match=name):
        verify_checkpoint(snapshot)


def test_our_own_download_is_checked_by_its_note(moe, tmp_path):
    folder = shutil.copytree(moe, tmp_path / "model")
    files = [{"name": "model.safetensors", "sha256": sha256(folder / "model.safetensors"), "url": "x", "bytes": 1}]
    (folder / "download.json").write_text(json.dumps({"repository": "a/b", "revision": "c", "files": files}))
    found = verify_checkpoint(folder)
    assert (found.matching, found.unknown) == (("model.safetensors",), ("config.json",))
    damage(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="checksum is not the Hub's"):
        verify_checkpoint(folder)


def test_where_none_is_known_the_headers_are_read_all_the_same(moe, tmp_path):
    folder = shutil.copytree(moe, tmp_path / "model")
    assert set(verify_checkpoint(folder).unknown) == FILES
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        verify_checkpoint(folder)


def test_the_command(snapshot, capsys):
    assert main(["info", str(snapshot), "--verify"]) == 0
    assert "2 files have the Hub's checksum; of 0 none is known here" in capsys.readouterr().out
    assert main(["info", str(snapshot), "--verify", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"]["unknown"] == []
    damage((snapshot / "model.safetensors").resolve())
    assert main(["info", str(snapshot), "--verify"]) == 1
    assert "is damaged" in capsys.readouterr().err

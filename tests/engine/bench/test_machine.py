"""Room on the disk, files that are removed, and a cap on memory."""

import subprocess
import sys
from collections import namedtuple

import pytest

from engine.bench.machine import FOLDER_PREFIX, describe, device_bytes, memory_cap, scratch
from engine.errors import FlashbulbError


def test_scratch_files_are_removed_whatever_happens(tmp_path):
    with pytest.raises(KeyError), scratch(tmp_path / "models", 10) as folder:
        (folder / "file").write_bytes(b"x")
        raise KeyError
    assert list((tmp_path / "models").iterdir()) == []


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")(10**12, 10**12, 3 * 10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(FlashbulbError, match=r"writes 2 GB.*3 GB are free"), scratch(tmp_path, 2 * 10**9):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_benchmark_left_is_removed_by_the_next(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f"{FOLDER_PREFIX}{ended.pid}-x").mkdir()
    (tmp_path / f"{FOLDER_PREFIX}strange").mkdir()
    with scratch(tmp_path, 10) as folder:
        assert {p.name for p in tmp_path.iterdir()} == {folder.name, f"{FOLDER_PREFIX}strange"}


def test_sigterm_removes_the_files_too(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from engine.bench.machine import scratch\n"
        "with scratch(Path(sys.argv[1]), 10):\n os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_capped_process_does_not_get_more(tmp_path):
    with memory_cap(64 << 20) as group:
        if group is None:
            pytest.skip("no control group can be made here")
        code = "import os, sys; open(sys.argv[1] + '/cgroup.procs', 'w').write(str(os.getpid())); b'x' * (1 << 28)"
        assert subprocess.run([sys.executable, "-c", code, str(group)], check=False).returncode == -9
    assert not group.exists()


def test_the_machine_has_a_name(tmp_path):
    found = describe(tmp_path)
    assert found["processor"]
    assert found["memory_bytes"] > 10**8
    assert device_bytes() is None or device_bytes() >= 0

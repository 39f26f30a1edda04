"""The number of open files: mlx-lm's import neither fails on a low limit nor lowers a high one."""

import resource
import subprocess
import sys

import pytest

from engine.system import open_files

IMPORT = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
import engine.models.base
print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.setrlimit.__module__)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [(256, 1024, 1024), (64, 512, 512), (256, 8192, 4096), (6000, 8192, 6000)]
)
def test_any_limit_is_survived_and_none_is_lowered(soft, hard, expected):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip("this machine's own limit is lower")
    command = [sys.executable, "-c", IMPORT.format(soft=soft, hard=hard)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stdout.strip() == f"({expected}, {hard}) resource", told.stderr


def test_others_set_limits_as_they_like(monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limits: asked.append(limits))
    monkeypatch.setitem(sys.modules, "mlx_lm.utils", None)
    monkeypatch.delitem(sys.modules, "mlx_lm.utils")
    open_files.guard_file_limit()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    assert asked == [(resource.RLIMIT_CORE, (0, 0))]

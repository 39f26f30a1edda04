"""The real process: typed to, stopped, closed."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_message_is_answered_an_answer_is_stopped_and_the_window_closes(tmp_path):
    process = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.end_to_end.drive", "--data-dir", str(tmp_path)],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    seen = json.loads(process.stdout.splitlines()[-1])
    assert "failure" not in seen
    assert seen["first"]["error"] == ""
    assert seen["first"]["finish_reason"] in ("stop", "length")
    assert seen["first"]["answer"].strip()
    assert seen["first"]["bytes_read"] > 0, "nothing was read from flash"
    assert len(seen["growth"]) > 2, "the answer did not stream in"
    assert seen["stopped"]["finish_reason"] == "cancelled"
    assert seen["stopped"]["error"] == ""
    assert seen["threads"] == []

"""The footprint is this process's and its helpers', and of another process what it alone has."""

import subprocess
import sys

import pytest

from engine.system.footprint import count_helper, discount_helper, footprint, footprint_of, peak_footprint
from engine.system.helper import Helper
from engine.tokens.templates import ChatTemplate, renderer

TAKEN = 60_000_000  # bytes, much more than what else changes meanwhile
HOLDER = f"import sys; held = bytearray(b'x') * {TAKEN}; print(); sys.stdin.read()"


@pytest.fixture
def holder():
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.stdin.close()


def test_another_process_has_what_it_took(holder):
    assert TAKEN < footprint_of(holder.pid) < 1.3 * TAKEN


def test_a_process_that_has_ended_has_nothing(holder):
    holder.kill()
    holder.wait()
    assert footprint_of(holder.pid) == 0


def test_a_helper_counts_until_it_has_ended(holder):
    before, peak = footprint(), peak_footprint()
    count_helper(holder.pid)
    try:
        assert footprint() - before > 0.9 * TAKEN
        assert peak_footprint() - peak > 0.9 * TAKEN
    finally:
        discount_helper(holder.pid)
    assert footprint() - before < 0.5 * TAKEN


def test_what_renders_templates_is_a_helper(monkeypatch):
    own = Helper("engine.tokens.rendering")
    monkeypatch.setattr("engine.tokens.templates.renderer", own)
    before = footprint()
    try:
        assert ChatTemplate("{{ messages }}", "here", {}).render([], 100) == "[]"
        assert footprint() - before > 5_000_000
    finally:
        own.close()
    assert own is not renderer

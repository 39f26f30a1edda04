"""Memory that is available is what is free, and what the system can reclaim."""

from pathlib import Path

import pytest

from engine.system import machine, native_library


def test_what_only_holds_files_counts():
    total, available = machine.memory_total(), machine.memory_available()
    assert 0 < available <= total
    assert native_library.reclaimable_percent() in range(101)


@pytest.mark.parametrize(("level", "percent"), [(40, 40), (0, 75)])
def test_macos_says_what_part_it_can_reclaim(monkeypatch, level, percent):
    def missing(_path: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(machine, "memory_total", lambda: 16_000)
    monkeypatch.setattr(machine, "groups_above", lambda _: [])
    monkeypatch.setattr(machine, "own_group", lambda: None)
    monkeypatch.setattr(native_library, "reclaimable_percent", lambda: level)
    assert machine.memory_available() == 160 * percent

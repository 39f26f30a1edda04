"""The memory that is free for a process ends where the limit of its control group does."""

import pytest

from engine.system import machine
from engine.system.control_group import groups_above, own_group

NAMES = {
    "first": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file 300\ntotal_active_file 100"),
    "second": ("memory.max", "memory.current", "inactive_file 300\nactive_file 100"),
}


@pytest.fixture(params=NAMES)
def made(request, tmp_path):
    """Groups outer/inner of a version, and a function that sets the limit and the use of one."""
    mount, controllers = tmp_path / "mount", "7:memory" if request.param == "first" else "0:"
    root = mount / "memory" if request.param == "first" else mount
    limit_file, usage_file, counts = NAMES[request.param]

    def fill(name, limit, used):
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, text in ((limit_file, limit), (usage_file, used), ("memory.stat", counts)):
            (root / name / file).write_text(f"{text}\n")

    (tmp_path / "groups").write_text(f"9:pids:/\n{controllers}:/outer/inner\n")
    fill("outer/inner", "max", 700)
    fill("outer", 5000, 1000)
    return tmp_path / "groups", mount, fill


def test_a_groups_room_is_its_limit_without_what_is_used_but_for_cached_files(made):
    groups, mount, fill = made
    inner, outer = list(groups_above(own_group(groups, mount), mount))[:2]
    assert (inner.limit, inner.free) == (None, None)
    assert (outer.limit, outer.free) == (5000, 5000 - (1000 - 400))
    fill("outer", 500, 1000)
    assert outer.free == 0


def test_the_smallest_limit_above_a_process_holds(made, monkeypatch):
    groups, mount, fill = made
    fill("outer/inner", 3000, 900)
    monkeypatch.setattr(machine, "own_group", lambda: own_group(groups, mount))
    monkeypatch.setattr(machine, "groups_above", lambda group: groups_above(group, mount))
    assert machine.memory_total() == 3000
    assert machine.memory_available() == 3000 - (900 - 400)


def test_a_process_without_a_group_has_the_machines_memory(tmp_path, monkeypatch):
    assert own_group(tmp_path / "none") is None
    (tmp_path / "groups").write_text("no such line")
    assert own_group(tmp_path / "groups") is None
    monkeypatch.setattr(machine, "own_group", lambda: None)
    assert 10**8 < machine.memory_available() <= machine.memory_total()

import itertools
import json
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QTimer

from app.settings import registry
from app.settings.registry import BY_KEY, TABLE, Preferences


@pytest.fixture
def make_settings():
    made = []

    def make(path=None) -> Preferences:
        made.append(Preferences(path))
        return made[-1]

    yield make
    for preferences in made:
        preferences.close()


def test_the_table_is_right_about_its_own_defaults():
    assert all(setting.accepts(setting.default) for setting in TABLE)
    assert all(setting.about for setting in TABLE)
    assert len({setting.key for setting in TABLE}) == len(TABLE)


def test_what_is_set_is_there_at_the_next_start(qapp, make_settings, tmp_path):
    path = tmp_path / "data" / "settings.json"
    first = make_settings(path)
    first["memory.window"], first["chat.temperature"], first["chat.system_prompt"] = 8, 1, "Sei höflich."
    first["memory.budget"] = 7_000_000_000
    first.close()
    second = make_settings(path)
    assert (second["memory.window"], second["chat.temperature"]) == (8, 1.0)
    assert (second["memory.budget"], second["chat.system_prompt"]) == (7_000_000_000, "Sei höflich.")
    assert second["memory.selection"] == "predictor"


def test_a_change_is_written_soon_and_told_once(qtbot, make_settings, tmp_path):
    path = tmp_path / "settings.json"
    settings = make_settings(path)
    with qtbot.waitSignal(settings.changed) as changed:
        settings["memory.window"] = 9
    assert changed.args == ["memory.window", 9]
    with qtbot.assertNotEmitted(settings.changed):
        settings["memory.window"] = 9
    qtbot.waitUntil(path.exists)
    assert json.loads(path.read_text()) == {"version": 1, "values": {"memory.window": 9}}
    settings["memory.window"] = 5  # a default need not be kept
    settings.close()
    assert json.loads(path.read_text())["values"] == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("memory.window", 0),
        ("memory.window", 33),
        ("memory.window", "5"),
        ("memory.window", True),
        ("memory.window", None),
        ("memory.selection", "guess"),
        ("chat.temperature", 2.5),
        ("memory.budget", -1),
    ],
)
def test_wrong_values_are_refused_and_passed_over(make_settings, tmp_path, key, value):
    settings = make_settings()
    before = settings[key]
    with pytest.raises(ValueError, match=key):
        settings[key] = value
    assert settings[key] == before
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"version": 1, "values": {key: value, "memory.reader_threads": 8}}))
    read = make_settings(path)
    assert (read[key], read["memory.reader_threads"], read.notice) == (before, 8, "")


def test_an_unknown_key_is_a_bug_here_and_kept_in_the_file(make_settings, tmp_path):
    with pytest.raises(KeyError):
        make_settings()["memory.windw"]
    path = tmp_path / "settings.json"
    path.write_text('{"version": 1, "values": {"of.the_future": 3}}')
    settings = make_settings(path)
    settings["memory.window"] = 9
    settings.close()
    assert json.loads(path.read_text())["values"] == {"of.the_future": 3, "memory.window": 9}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 300,
        b"[1]",
        b"[" * 100_000,
        b'{"version": 1, "values": ' + b'{"a":' * 100_000,
        b"9" * 10_000,
        b"\xff\xfe",
        b'"text"',
        b"null",
        b'{"version": "x", "values": {}}',
        b'{"version": -1e400, "values": {}}',
        b'{"version": 1, "values": [3]}',
        b'{"values": {}}',
    ],
)
def test_a_damaged_file_is_put_aside(make_settings, tmp_path, content):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    settings = make_settings(path)
    assert settings["memory.window"] == 5
    assert "damaged" in settings.notice
    (aside,) = tmp_path.glob("damaged-*-settings.json")
    assert aside.read_bytes() == content


def test_an_older_file_is_brought_up_to_date(make_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "VERSION", 3)
    monkeypatch.setattr(
        registry,
        "UPGRADES",
        {1: lambda v: {"memory.win": v["win"]}, 2: lambda v: {"memory.window": v["memory.win"]}},
    )
    path = tmp_path / "settings.json"
    path.write_text('{"version": 1, "values": {"win": 7}}')
    assert make_settings(path)["memory.window"] == 7


def test_a_file_that_cannot_be_written_says_so(qtbot, make_settings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    settings = make_settings(tmp_path / "file" / "settings.json")
    settings["memory.window"] = 9
    with qtbot.waitSignal(settings.trouble) as trouble:
        settings.write()
    assert "cannot be written" in trouble.args[0]
    assert settings["memory.window"] == 9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just("half \ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([s.key for s in TABLE]), JSON))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_file_holds_the_values_are_right_and_can_be_saved(qapp, tmp_path_factory, values):
    path = tmp_path_factory.mktemp("data") / "settings.json"
    path.write_text(json.dumps({"version": 1, "values": values}))
    read = Preferences(path)
    assert read.notice == ""
    assert all(BY_KEY[key].accepts(read[key]) for key in BY_KEY)
    assert read.engine_settings().window == read["memory.window"]
    read["memory.window"] = 9 if read["memory.window"] != 9 else 8
    read.close()
    assert "memory.window" in json.loads(path.read_text())["values"]


def test_a_folder_that_may_not_be_entered_is_a_notice(make_settings, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    assert "cannot be read (Permission denied)" in make_settings(tmp_path / "settings.json").notice


def test_settings_are_for_their_user_only(make_settings, tmp_path):
    path = tmp_path / "data" / "settings.json"
    path.parent.mkdir(mode=0o755)
    path.write_text('{"version": 1, "values": {}}')
    path.chmod(0o644)
    settings = make_settings(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings["memory.window"] = 9
    settings.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_what_changes_all_the_time_is_written_all_the_same(qtbot, make_settings, tmp_path):
    path = tmp_path / "settings.json"
    settings, values = make_settings(path), itertools.cycle([6, 7])
    slider = QTimer(interval=20)
    slider.timeout.connect(lambda: settings.__setitem__("memory.window", next(values)))
    slider.start()
    qtbot.waitUntil(path.exists)
    slider.stop()


def test_a_write_that_failed_is_tried_again_and_at_the_end(qtbot, make_settings, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "RETRY_MS", 20)
    blocked = tmp_path / "data"
    blocked.write_text("in the way")
    settings = make_settings(blocked / "settings.json")
    settings["memory.window"] = 9
    with qtbot.waitSignal(settings.trouble) as trouble:
        pass
    assert "cannot be written" in trouble.args[0]
    blocked.unlink()
    with qtbot.waitSignal(settings.trouble) as trouble:
        pass
    assert trouble.args == [""]
    assert json.loads((blocked / "settings.json").read_text())["values"] == {"memory.window": 9}
    monkeypatch.setattr(registry, "RETRY_MS", 60_000)
    (blocked / "settings.json").unlink()
    blocked.rmdir()
    blocked.write_text("in the way again")
    settings["memory.window"] = 10
    settings.write()
    blocked.unlink()
    settings.close()
    assert json.loads((blocked / "settings.json").read_text())["values"] == {"memory.window": 10}


def test_a_section(make_settings):
    assert make_settings().section("memory") == {
        "budget": None,
        "window": 5,
        "selection": "predictor",
        "threshold_shift": 0.0,
        "reader_threads": None,
        "small_context": False,
        "drafts": "lookup",
        "draft_model": "auto",
    }

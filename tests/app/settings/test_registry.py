import json

import pytest

from app.settings import registry
from app.settings.registry import TABLE, Preferences


@pytest.fixture
def make_settings():
    made = []

    def make(path=None) -> Preferences:
        made.append(Preferences(path))
        return made[-1]

    yield make
    for settings in made:
        settings.close()


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


@pytest.mark.parametrize("content", [b"", b"\0" * 300, b"[1]", b'{"version": "x", "values": {}}', b'{"values": {}}'])
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


def test_a_section(make_settings):
    assert make_settings().section("memory") == {
        "budget": None,
        "window": 5,
        "selection": "predictor",
        "threshold_shift": 0.0,
        "reader_threads": None,
    }

"""The script that compares what is pinned with what is installed, and the two themselves."""

import pins


def test_what_is_installed_is_pinned_in_this_version(capsys):
    assert pins.main() == 0, capsys.readouterr().out
    assert "packages are installed as they are pinned" in capsys.readouterr().out


def test_each_difference_is_named():
    project = '[tool.uv]\nconstraint-dependencies = ["a-b==1.0", "c==2; sys_platform == \'linux\'", "gone==3"]\n'
    wanted = pins.pinned(project)
    assert wanted == {"a-b": "1.0", "c": "2", "gone": "3"}
    assert pins.differences(wanted, {"a-b": "1.1", "c": "2", "more": "5"}) == [
        "a-b is pinned to 1.0, and 1.1 is installed.",
        "more 5 is installed and not pinned.",
    ]
    assert pins.normal("Typing_Extensions") == pins.normal("typing.extensions") == "typing-extensions"

"""The pictures: the same in every language and appearance, small, and those that README shows are there."""

import re

import pytest

from app.widgets.language import CHINESE, ENGLISH
from translations import ROOT

PICTURES = ROOT / "resources" / "screenshots"
MOST_BYTES = 6_000_000


def pictures(folder: str) -> set[str]:
    return {path.name for path in (PICTURES / folder).glob("*.png")}


@pytest.mark.parametrize("language", [ENGLISH, CHINESE])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_window_is_there(language, scheme):
    shown = pictures(f"{language}-{scheme}")
    assert {"chat.png", "welcome.png", "library.png", "settings-memory.png", "about.png"} <= shown
    assert shown == pictures(f"{ENGLISH}-light")


def test_they_are_small():
    assert sum(path.stat().st_size for path in PICTURES.rglob("*.png")) < MOST_BYTES


def test_what_readme_shows_is_there():
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []

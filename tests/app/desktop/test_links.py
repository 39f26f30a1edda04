"""Nothing is opened or asked for before somebody presses a menu item."""

import pytest
from PySide6.QtGui import QDesktopServices

from app.desktop import links


@pytest.fixture
def opened(monkeypatch):
    urls = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: urls.append(url.toString()))
    return urls


def test_check_for_updates_opens_the_releases_page_when_pressed(open_window, opened):
    window = open_window()
    assert opened == []
    window.updates.trigger()
    assert opened == [links.releases_page()]
    assert opened[0].startswith("https://")
    assert opened[0].endswith("/releases")


def test_licences_are_offered_where_they_are_shipped(open_window, opened, monkeypatch, tmp_path):
    assert not open_window().licences.isVisible(), "a working copy has none"
    shipped = tmp_path / "THIRD_PARTY_LICENSES.txt"
    shipped.write_text("Qt")
    monkeypatch.setattr("app.window.LICENCES", shipped)
    monkeypatch.setattr(links, "LICENCES", shipped)
    window = open_window()
    assert window.licences.isVisible()
    window.licences.trigger()
    assert opened == [shipped.as_uri()]

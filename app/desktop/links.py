"""Pages that the Help menu shows outside of the window: that of releases, the licences of what is shipped.

Nothing here is asked for before the user asks for it.
"""

from importlib.metadata import metadata
from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

LICENCES = Path(__file__).parents[3] / "THIRD_PARTY_LICENSES.txt"  # beside the packages of an installed application


def show_releases() -> None:
    """Open the page of releases in the browser. What is there is compared by the reader, not by us."""
    QDesktopServices.openUrl(QUrl(releases_page()))


def show_licences() -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(LICENCES)))


def releases_page() -> str:
    """The address of the page of releases."""
    entries: list[str] = metadata("flashbulb").get_all("Project-URL") or []
    return dict(entry.split(", ", 1) for entry in entries)["Releases"]

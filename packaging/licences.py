"""THIRD_PARTY_LICENSES: what is shipped, by whom, under which licence, with every text once."""

import hashlib
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

TEXTS = Path(__file__).parent / "licences"
NAME = "THIRD_PARTY_LICENSES.txt"

# Whose wheels bring no text of their licence: it is beside this file.
MISSING_TEXTS = {
    "PySide6_Essentials": ("LGPL-3.0.txt", "GPL-3.0.txt", "Qt.txt"),
    "shiboken6": ("LGPL-3.0.txt", "GPL-3.0.txt"),
    "sentencepiece": ("Apache-2.0.txt",),
    "tokenizers": ("Apache-2.0.txt",),
}
PYTHON_TEXTS = ("Python.txt",)
RULE = "=" * 100

PREFACE = """\
Flashbulb is MIT-licensed. The application contains the following works of others, each under its own licence. Every
text is given once, below the list, under the number that the list names.

Qt and Qt for Python (PySide6, Shiboken) are used under the GNU Lesser General Public License, version 3 (LGPL). They
are unmodified but for this: other processors' code, and the modules that Flashbulb does not use, are left out. Their
source is at download.qt.io/official_releases, under qt/ and QtForPython/, in the version that the list names. You may
replace them by your own build, and use Flashbulb with it:

1. Build or download Qt and PySide6 of the same major version, for arm64.
2. Replace PySide6 and shiboken6 in Flashbulb.app/Contents/Resources/app_packages by yours. They are ordinary packages,
   as `pip install` lays them out, and nothing else is linked to them: Flashbulb reaches Qt through Python alone.
3. Seal the application again: codesign --force --deep --sign - Flashbulb.app

Flashbulb's own licence allows you to change it and to study it for debugging such changes; its Python files are beside
those packages as they were written.
"""


def write(resources: Path, app_packages: Path) -> None:
    """Write the list into `resources`, of what is in `app_packages` and of Python itself.

    Exits if a package is there whose licence is not.
    """
    numbers: dict[str, int] = {}
    texts: list[str] = []
    entries = [_entry("Python", "", "PSF-2.0", "https://www.python.org", _stored(PYTHON_TEXTS), numbers, texts)]
    for package in sorted(_packages(app_packages), key=lambda p: p.name.lower()):
        found = _texts(package)
        if not found:
            raise SystemExit(f"{package.name} {package.version} brings no licence: add its text to {TEXTS}.")
        meta = package.metadata
        entries.append(_entry(package.name, package.version, _licence(package), _home(meta), found, numbers, texts))
    bodies = (f"{RULE}\n[{i}]\n\n{body}\n" for i, body in enumerate(texts, 1))
    (resources / NAME).write_text("\n".join([PREFACE, *entries, "", *bodies]), encoding="utf-8")


def listed(text: str) -> set[str]:
    """The names of the packages that such a list names."""
    head = text.split(RULE)[0]
    return {line.split(" ")[1] for line in head.splitlines() if line.startswith("- ")}


def shipped(app_packages: Path) -> set[str]:
    """The names of the packages in `app_packages` that are not ours."""
    return {package.name for package in _packages(app_packages)}


def _packages(app_packages: Path) -> list[Distribution]:
    found = [PathDistribution(path) for path in app_packages.glob("*.dist-info")]
    return [package for package in found if package.name != "flashbulb"]


def _texts(package: Distribution) -> list[str]:
    folder: Path = package._path  # the one way to files that RECORD no longer lists rightly
    names = ("licen", "copying", "notice")
    own = sorted(p for p in folder.rglob("*") if p.is_file() and any(name in p.name.lower() for name in names))
    return [p.read_text(encoding="utf-8", errors="replace") for p in own] or _stored(
        MISSING_TEXTS.get(package.name, ())
    )


def _stored(names: tuple[str, ...]) -> list[str]:
    return [(TEXTS / name).read_text(encoding="utf-8") for name in names]


def _entry(name, version, licence, home, found, numbers, texts) -> str:
    references = []
    for body in found:
        key = hashlib.sha256(" ".join(body.split()).encode()).hexdigest()
        if key not in numbers:
            texts.append(body.strip())
            numbers[key] = len(texts)
        references.append(f"[{numbers[key]}]")
    title = " ".join(part for part in (name, version) if part)
    return f"- {title} ({licence}) {home} {' '.join(references)}".replace("  ", " ")


def _licence(package: Distribution) -> str:
    meta = package.metadata
    stated = meta.get("License-Expression") or (meta.get("License") or "").strip().split("\n")[0]
    if stated and len(stated) < 80:
        return stated
    classifiers = (c.split(" :: ")[-1] for c in meta.get_all("Classifier", []) if c.startswith("License"))
    return next(classifiers, "see the text")


def _home(meta) -> str:
    urls = dict(entry.split(", ", 1) for entry in meta.get_all("Project-URL", []) if ", " in entry)
    by_name = {name.lower(): url for name, url in urls.items()}
    known = (by_name.get(name) for name in ("homepage", "home", "source", "repository", "source code", "github"))
    return meta.get("Home-page") or next(filter(None, known), next(iter(urls.values()), ""))

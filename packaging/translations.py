"""Bring resources/translations up to date: the texts of the sources into the .ts files, and those into .qm files.

    uv run packaging/translations.py

New texts are then `unfinished` in flashbulb_zh_CN.ts: translate them there, and run this again. The .qm files are kept
beside their sources, so that the application runs from a checkout without a build; a test holds them together.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TRANSLATIONS = ROOT / "resources" / "translations"
LANGUAGES = {"zh_CN": (), "en": ("-pluralonly",)}  # English has its plurals to tell apart, and nothing else


def main() -> None:
    for language in LANGUAGES:
        update(TRANSLATIONS, language)
        release(TRANSLATIONS, TRANSLATIONS, language)


def update(folder: Path, language: str) -> None:
    """Take the texts of the sources into a .ts file in `folder`; what was translated stays, what is gone goes."""
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "app").rglob("*.py"))
    options = ("-no-obsolete", "-locations", "none", *LANGUAGES[language])
    _tool("lupdate", *options, *sources, "-ts", _ts(folder, language))


def release(folder: Path, out: Path, language: str) -> None:
    """Make a .qm file in `out` of a .ts file in `folder`."""
    _tool("lrelease", "-nounfinished", _ts(folder, language), "-qm", str(out / f"flashbulb_{language}.qm"))


def _ts(folder: Path, language: str) -> str:
    return str(folder / f"flashbulb_{language}.ts")


def _tool(name: str, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name(f"pyside6-{name}")), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()

"""Compare the versions that pyproject.toml pins with what is installed.

    uv run packaging/tools/pins.py

Names what is pinned and installed in another version, and what is installed and not pinned; its exit status is 1 if
there is either. What is pinned and not installed belongs to another system, and is named for the reader alone.
"""

import re
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
OUR_PACKAGES = {"flashbulb"}


def main() -> int:
    """Print the differences; returns the exit status."""
    wanted, found = pinned(PROJECT.read_text(encoding="utf-8")), installed()
    wrong = differences(wanted, found)
    print("\n".join(wrong) or f"{len(wanted.keys() & found.keys())} packages are installed as they are pinned.")
    if absent := sorted(wanted.keys() - found.keys()):
        print(f"Pinned and not installed here: {', '.join(absent)}.")
    return 1 if wrong else 0


def pinned(project: str) -> dict[str, str]:
    """The versions that a pyproject.toml pins, by name."""
    constraints = tomllib.loads(project)["tool"]["uv"]["constraint-dependencies"]
    pairs = (constraint.split(";")[0].split("==") for constraint in constraints)
    return {normal(name): version.strip() for name, version in pairs}


def installed() -> dict[str, str]:
    """The versions of what is installed beside this Python, by name, without ourselves."""
    found = {normal(one.metadata["Name"]): one.version for one in distributions()}
    return {name: version for name, version in found.items() if name not in OUR_PACKAGES}


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """A line for each package that is installed and not as it is pinned, by name."""
    lines = []
    for name, version in sorted(found.items()):
        if name not in wanted:
            lines.append(f"{name} {version} is installed and not pinned.")
        elif wanted[name] != version:
            lines.append(f"{name} is pinned to {wanted[name]}, and {version} is installed.")
    return lines


def normal(name: str) -> str:
    """A package's name as indices write it."""
    return re.sub(r"[-_.]+", "-", name).strip().lower()


if __name__ == "__main__":
    sys.exit(main())

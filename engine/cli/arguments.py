"""Arguments that several commands take, and how sizes and numbers are read."""

import argparse
import re

from engine.settings import SELECTIONS, Settings

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def add_settings(parser: argparse.ArgumentParser) -> None:
    defaults = Settings()
    parser.add_argument("--window", type=positive, default=defaults.window, metavar="K", help="tokens")
    parser.add_argument("--memory-budget", type=size, metavar="6GB", help="a ceiling on what the model adds in memory")
    parser.add_argument("--selection", choices=SELECTIONS, default=defaults.selection)
    parser.add_argument("--json", action="store_true")


def settings_of(args) -> Settings:
    return Settings(window=args.window, memory_budget=args.memory_budget, selection=args.selection)


def size(text: str) -> int:
    match = re.fullmatch(r"([\d.]+)\s*([KMG]I?)?B?", text.strip().upper())
    try:
        return int(float(match[1]) * UNITS[match[2] or ""])
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 6GB or 512MB") from None


def positive(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number from 1")


def _number(text: str, kind, accepted, description: str):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accepted(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {description}")
    return value

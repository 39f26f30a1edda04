"""What the commands print: JSON, and progress on a terminal."""

import json
import sys
from time import monotonic


# ------------------------------------------------------------------------------------------------- output
def print_json(report: dict) -> None:
    print(json.dumps(report, indent=2))


class Progress:
    """A bar on standard error for work that takes longer than a second, on a terminal only."""

    WIDTH = 32

    def __init__(self, title: str, wanted: bool):
        self._title, self._wanted = title, wanted and sys.stderr.isatty()
        self._started, self._drawn = monotonic(), 0.0

    def __call__(self, share: float, note: str = "") -> None:
        now = monotonic()
        if not self._wanted or now - self._started < 1 or (now - self._drawn < 0.1 and share < 1):
            return
        self._drawn = now
        filled = round(self.WIDTH * share)
        left = f"{(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        print(f"\r{self._title} {bar} {100 * share:3.0f} % {left} {note}\033[K", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._drawn:
            print(file=sys.stderr)

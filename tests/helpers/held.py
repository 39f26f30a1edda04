"""The things that a process holds: what a leak makes more of."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PATIENCE_S, STEP_S = 30, 0.05


@dataclass(frozen=True)
class Held:
    """bytes: of memory, without what is mapped from files. threads: of all kinds. open: files and sockets, by what they
    are. Where a system does not say (only Linux does), there are none."""

    bytes: int
    threads: int
    open: Counter

    @classmethod
    def of(cls, process: int) -> "Held":
        """Of a process now."""
        if not PROC.is_dir():
            return cls(0, 0, Counter())
        folder = PROC / str(process)
        fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return cls(1024 * int(fields["RssAnon"].split()[0]), int(fields["Threads"]), Counter(_open(folder / "fd")))

    def more_than(self, before: "Held", room_bytes: int, room_threads: int = 0) -> str:
        """The things, in words, that are more than before; empty where there is none. room_bytes, room_threads: by
        which it may be."""
        found = [f"{count} {what}" for what, count in (self.open - before.open).items()]
        if self.threads > before.threads + room_threads:
            found.append(f"{self.threads - before.threads} threads")
        if self.bytes > before.bytes + room_bytes:
            found.append(f"{self.bytes - before.bytes:,} bytes")
        return ", ".join(found)

    def left_of(self, process: int, room_bytes: int, room_threads: int = 0) -> str:
        """The things, in words, that a process does not let go of, which held this before: a connection whose other end
        was closed just now is noticed a little later."""
        until = time.monotonic() + PATIENCE_S
        while (left := Held.of(process).more_than(self, room_bytes, room_threads)) and time.monotonic() < until:
            time.sleep(STEP_S)
        return left


def _open(folder: Path):
    for file in folder.iterdir():
        try:
            target = str(file.readlink())
        except OSError:  # it was that of this very look
            continue
        yield target.partition(":")[0] if ":[" in target else target

"""The control group of this process: Linux's limit on the memory of a set of processes, in its two versions."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OWN_GROUPS = Path("/proc/self/cgroup")
MOUNT = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Files:
    """The names under which a version tells of a group's memory.

    limits: of memory, then of memory and swap (the first version) or of swap alone. cached, mapped, reclaimable: lines
    of memory.stat.
    """

    limits: tuple[str, str]
    usage: str
    cached: str
    mapped: str
    reclaimable: tuple[str, str]


FIRST = Files(
    ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    "memory.usage_in_bytes",
    "cache",
    "mapped_file",
    ("total_inactive_file", "total_active_file"),
)
SECOND = Files(
    ("memory.max", "memory.swap.max"), "memory.current", "file", "file_mapped", ("inactive_file", "active_file")
)


@dataclass(frozen=True)
class ControlGroup:
    """A group's folder and what the files in it are called."""

    folder: Path
    files: Files

    @property
    def limit(self) -> int | None:
        """Bytes that its processes may use together; None where it says no number."""
        with suppress(OSError, ValueError):
            return int((self.folder / self.files.limits[0]).read_text())
        return None

    @property
    def free(self) -> int | None:
        """Bytes that its processes could still use, files that are only cached given up; None without a limit."""
        with suppress(OSError, ValueError, KeyError):
            limit, counts = self.limit, self.counts()
            used = self.used() - sum(counts[name] for name in self.files.reclaimable)
            return None if limit is None else max(0, limit - used)
        return None

    def used(self) -> int:
        """Bytes in use, cached files among them. Raises OSError, ValueError."""
        return int((self.folder / self.files.usage).read_text())

    def counts(self) -> dict[str, int]:
        """Bytes by the names of memory.stat. Raises OSError, ValueError."""
        lines = (line.split() for line in (self.folder / "memory.stat").read_text().splitlines())
        return {name: int(count) for name, count in lines}


def own_group(groups: Path = OWN_GROUPS, mount: Path = MOUNT) -> ControlGroup | None:
    """This process's group; None where there is none. groups, mount: where Linux says so."""
    with suppress(OSError, ValueError):
        for line in groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory" and (folder := mount / "memory" / path.lstrip("/")).is_dir():
                return ControlGroup(folder, FIRST)
            if controllers == "" and (folder := mount / path.lstrip("/")).joinpath(SECOND.limits[0]).exists():
                return ControlGroup(folder, SECOND)
    return None


def groups_above(group: ControlGroup | None, mount: Path = MOUNT) -> Iterator[ControlGroup]:
    """A group and those that it is part of: the limits of all hold."""
    if group is not None:
        for folder in (group.folder, *group.folder.parents):
            if folder == mount:
                return
            yield ControlGroup(folder, group.files)

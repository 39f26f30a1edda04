"""Contexts on disk: whole or not there, no more than is allowed, and nobody else's."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from itertools import count

import pytest

from engine.inference.kept import BLOCK_TOKENS, DamagedContextError, Head, KeptContexts, Limits, fingerprint
from engine.system.files import write_private
from tests.helpers.context_writer import MODEL, check, write

BLOCK_BYTES = BLOCK_TOKENS * 120
KILLS = 60
PATIENCE_S = 60
DAY_S = 86_400


@pytest.fixture
def files(tmp_path):
    return KeptContexts(tmp_path / "contexts")


def names(files: KeptContexts, suffix: str) -> set[str]:
    return {path.name for path in files.folder.glob(f"*{suffix}")}


def test_what_is_written_is_found_and_nothing_else(files):
    assert files.heads(MODEL) == []
    head = write(files, "a", list(range(3 * BLOCK_TOKENS + 5)))
    assert [found for _, found in files.heads(MODEL)] == [head]
    assert files.heads("another") == []
    assert files.trouble_with("a", MODEL) == ""
    assert files.trouble_with("a", "another") == "other"
    assert files.trouble_with("b", MODEL) == ""
    assert check(files) == 1


def test_beginnings_that_are_alike_are_stored_once(files):
    shared = [7] * (2 * BLOCK_TOKENS)
    first = write(files, "a", [*shared, *[1] * BLOCK_TOKENS])
    second = write(files, "b", [*shared, *[2] * BLOCK_TOKENS])
    assert first.blocks[:2] == second.blocks[:2]
    assert len(names(files, ".block")) == 4
    files.delete("a")
    assert names(files, ".block") == {f"{name}.block" for name in second.blocks}
    assert check(files) == 1


def test_a_context_that_has_grown_is_written_only_where_it_is_new(files):
    tokens = [7] * (3 * BLOCK_TOKENS + 5)
    head = write(files, "a", tokens)
    asked = []
    grown = tokens + [8] * BLOCK_TOKENS
    files.write("a", Head(MODEL, grown, [], None, head.rows, head.blocks, []), b"", lambda i: asked.append(i) or b"x")
    assert asked == [3]
    assert len(names(files, ".context")) == 1


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277, 0o777])
@pytest.mark.parametrize("before", [None, 0o755, 0o777])
def test_files_are_their_users_alone(files, umask, before):
    if before is not None:
        files.folder.mkdir()
        files.folder.chmod(before)
    usual = os.umask(umask)
    try:
        for number in range(2):
            write(files, "a", [7 + number] * BLOCK_TOKENS)
    finally:
        os.umask(usual)
    assert check(files) == 1
    assert stat.S_IMODE(files.folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in files.folder.iterdir()}
    assert modes == {0o600}
    assert not any(path.stem == "a" for path in files.folder.iterdir())


def test_a_process_that_is_killed_while_it_writes_leaves_no_wrong_context(files):
    """At 60 random moments."""
    program = [sys.executable, "-m", "tests.helpers.context_writer", str(files.folder), str(KILLS)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert check(files) == 3
    files.keep_only(["0", "1", "2"])
    assert names(files, ".new") == set()
    named = {f"{name}.block" for _, head in files.heads(MODEL) for name in head.blocks}
    assert names(files, ".block") == named


def rewrite(path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def is_refused(files) -> bool:
    """True if what is there is not used, and said to be damaged."""
    heads = files.heads(MODEL)
    if not heads:
        return files.trouble_with("a", MODEL) == "damaged"
    with pytest.raises(DamagedContextError):
        files.rest_of(*heads[0])
    return True


def test_a_file_that_is_damaged_anywhere_is_not_used(files):
    write(files, "a", list(range(BLOCK_TOKENS + 5)))
    path = files.file_of("a")
    content = path.read_bytes()
    for place in [*range(0, 60), *range(60, len(content), 97), len(content) - 1]:
        rewrite(path, content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        assert is_refused(files), place
    for length in [*range(0, 60), *range(60, len(content), 331), len(content) - 1]:
        rewrite(path, content[:length])
        assert is_refused(files), length
    for more in (content + b"x", content * 2, content[:40] + content[:40] + content[40:], b"\xff" * len(content)):
        rewrite(path, more)
        assert is_refused(files)
    rewrite(path, content)
    assert check(files) == 1


def test_another_conversation_s_blocks_are_no_harm(files):
    """As after somebody has put folders together."""
    write(files, "a", [1] * (2 * BLOCK_TOKENS))
    head = write(files, "b", [2] * (2 * BLOCK_TOKENS))
    first, second = (files.folder / f"{name}.block" for name in head.blocks)
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)
    with pytest.raises(DamagedContextError):
        files.check_block(head.blocks[0], head.block_bytes)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_block_is_not_used(files, damage):
    head = write(files, "a", list(range(BLOCK_TOKENS)))
    block = files.check_block(head.blocks[0], head.block_bytes)
    content = block.read_bytes()
    if damage == "gone":
        block.unlink()
    else:
        block.write_bytes(content[:-1] if damage == "cut" else bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(DamagedContextError):
        files.check_block(head.blocks[0], head.block_bytes)


def test_a_day_has_its_share_and_the_next_day_another(tmp_path):
    now = [1_800_000_000.0]
    files = KeptContexts(tmp_path / "contexts", Limits(day_bytes=5 * BLOCK_BYTES), lambda: now[0])
    lengths = (BLOCK_TOKENS * blocks for blocks in (2, 2, 2))
    written = [write(files, str(number), [number] * length) for number, length in enumerate(lengths)]
    assert [head is not None for head in written] == [True, True, False]
    again = KeptContexts(tmp_path / "contexts", Limits(day_bytes=5 * BLOCK_BYTES), lambda: now[0])
    assert write(again, "3", [3] * 2 * BLOCK_TOKENS) is None, "counted beyond the end of the process"
    now[0] += DAY_S
    assert write(again, "3", [3] * 2 * BLOCK_TOKENS) is not None
    assert check(again) == 3


def test_what_a_day_has_no_share_for_drives_nothing_out(tmp_path):
    limits = Limits(disk_bytes=3 * BLOCK_BYTES + 40_000, day_bytes=4 * BLOCK_BYTES)
    files = KeptContexts(tmp_path / "contexts", limits)
    for number in range(2):
        write(files, str(number), [number] * BLOCK_TOKENS)
    assert write(files, "2", [2] * (2 * BLOCK_TOKENS)) is None
    assert check(files) == 2
    assert write(files, "3", [3] * (9 * BLOCK_TOKENS)) is None, "larger than all of it, which takes nothing of the day"
    assert write(files, "4", [4] * BLOCK_TOKENS) is not None


def test_a_clock_that_is_set_back_and_forth_gives_no_more_than_days_have(tmp_path):
    now = [1_800_000_000.0]
    files = KeptContexts(tmp_path / "contexts", Limits(day_bytes=5 * BLOCK_BYTES), lambda: now[0])
    written = 0
    for number in range(12):
        written += write(files, str(number), [number] * BLOCK_TOKENS) is not None
        now[0] += DAY_S if number % 2 else -DAY_S
    assert 4 <= written <= 10, "two days had their share, at most"
    now[0] += 40 * DAY_S  # it was wrong by far
    assert write(files, "later", [7] * BLOCK_TOKENS) is not None
    now[0] -= 40 * DAY_S  # and is right again
    assert write(files, "right", [8] * BLOCK_TOKENS) is not None


def test_midnight_in_the_middle_of_a_writing_gives_nothing_back_to_the_next_day(tmp_path):
    now = [1_800_000_000.0]
    files = KeptContexts(tmp_path / "contexts", Limits(day_bytes=5 * BLOCK_BYTES), lambda: now[0])

    def late() -> bool:
        now[0] += DAY_S
        return True

    assert write(files, "a", [1] * (4 * BLOCK_TOKENS), interrupted=late) is None
    assert write(files, "b", [2] * (4 * BLOCK_TOKENS)) is not None
    assert write(files, "c", [3] * (2 * BLOCK_TOKENS)) is None


@pytest.mark.parametrize("ledger", [b"", b"nonsense", b'["2027-01-15", "many"]', b'["zzzz", 5]', b'["", -1]', b"[]"])
def test_a_count_that_cannot_be_read_begins_anew(files, ledger):
    write(files, "a", [1] * BLOCK_TOKENS)
    (files.folder / "written.json").write_bytes(ledger)
    assert write(files, "b", [2] * BLOCK_TOKENS) is not None
    assert check(files) == 2


@pytest.mark.parametrize("after", range(6))
def test_a_disk_that_is_full_leaves_what_was_there_and_nothing_beside(files, after, monkeypatch):
    before = write(files, "a", [1] * BLOCK_TOKENS)
    there, written = names(files, ".block"), []

    def full(path, parts):
        if len(written) == after:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write_private(path, parts)

    with monkeypatch.context() as short:
        short.setattr("engine.inference.kept.write_private", full)
        with pytest.raises(OSError, match="No space"):
            write(files, "a", [*[1] * BLOCK_TOKENS, *[2] * (4 * BLOCK_TOKENS)])
    assert [head for _, head in files.heads(MODEL)] == [before]
    assert names(files, ".block") == there
    assert names(files, ".new") == set()
    assert check(files) == 1
    assert write(files, "a", [*[1] * BLOCK_TOKENS, *[2] * (4 * BLOCK_TOKENS)]) is not None
    assert check(files) == 1


def test_two_processes_of_one_folder_never_break_what_the_other_one_writes(files):
    what = "from tests.helpers.context_writer import Path, sys, write_until_killed as write; "
    what += "write(Path(sys.argv[1]), int(sys.argv[2]))"
    processes = [subprocess.Popen([sys.executable, "-c", what, str(files.folder), str(seed)]) for seed in (1, 2)]
    try:
        until = time.monotonic() + PATIENCE_S
        while len(seeds := {head.tokens[-1] for _, head in files.heads(MODEL)}) < 2 and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert len(seeds) == 2, "both have written"
    assert check(files) == len(files.heads(MODEL)) > 0


def test_while_another_process_writes_nothing_is_kept_and_what_is_deleted_is_gone(files):
    write(files, "a", [1] * BLOCK_TOKENS)
    write(files, "b", [2] * BLOCK_TOKENS)
    other = os.open(files.folder, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert write(files, "c", [3] * BLOCK_TOKENS) is None
        files.delete("a")
        assert {head.tokens[0] for _, head in files.heads(MODEL)} == {2}
    finally:
        os.close(other)
    assert write(files, "c", [3] * BLOCK_TOKENS) is not None
    assert check(files) == 2
    assert len(names(files, ".block")) == 2


def test_what_was_used_longest_ago_makes_way_where_the_disk_has_its_share(tmp_path):
    moments = count(1_800_000_000)
    files = KeptContexts(tmp_path / "contexts", Limits(disk_bytes=5 * BLOCK_BYTES + 40_000), lambda: next(moments))
    for number in range(2):
        write(files, str(number), [number] * (2 * BLOCK_TOKENS))
    files.touch(files.file_of("0"))
    write(files, "2", [2] * (2 * BLOCK_TOKENS))
    assert {head.tokens[0] for _, head in files.heads(MODEL)} == {0, 2}
    assert files.disk_bytes <= files.limits.disk_bytes
    assert write(files, "3", [3] * (8 * BLOCK_TOKENS)) is None, "larger than all of it"
    assert check(files) == 2


def test_who_interrupts_leaves_what_was_there_and_spends_nothing(tmp_path):
    files = KeptContexts(tmp_path / "contexts", Limits(day_bytes=9 * BLOCK_BYTES))
    kept = write(files, "a", [1] * BLOCK_TOKENS)
    for _ in range(20):
        assert write(files, "a", [2] * (6 * BLOCK_TOKENS), interrupted=lambda: True) is None
    assert [head for _, head in files.heads(MODEL)] == [kept]
    assert write(files, "a", [2] * (6 * BLOCK_TOKENS)) is not None
    assert check(files) == 1


def test_what_is_deleted_is_not_written_again_until_it_is_restored(files):
    write(files, "a", [1] * BLOCK_TOKENS)
    files.delete("a")
    assert names(files, ".context") | names(files, ".block") == set()
    assert write(files, "a", [1] * BLOCK_TOKENS) is None
    files.restore("a")
    assert write(files, "a", [1] * BLOCK_TOKENS) is not None


def test_all_are_deleted_or_all_but_some(files):
    for name in "abc":
        write(files, name, [ord(name)] * BLOCK_TOKENS)
    (files.folder / ".left.block.new").write_bytes(b"by a crash")
    files.keep_only(["b"])
    assert {head.tokens[0] for _, head in files.heads(MODEL)} == {ord("b")}
    assert len(names(files, "")) == 3  # with the count of what was written
    files.delete_all()
    assert names(files, ".context") | names(files, ".block") | names(files, ".new") == set()


def test_a_folder_that_is_not_there_has_nothing_to_delete(files):
    files.delete("a")
    files.keep_only([])
    files.delete_all()
    assert not files.folder.exists()


def test_a_point_that_there_is_no_way_back_to_is_not_promised():
    head = Head(MODEL, list(range(50)), [10, 20, 50], None, [], [], [])
    assert [head.reach(common, False) for common in (0, 7, 50, 60)] == [0, 7, 50, 50]
    assert [head.reach(common, True) for common in (5, 10, 49, 50)] == [0, 10, 20, 50]
    head = Head(MODEL, list(range(50)), [10, 20, 50], [20, 30], [], [], [])
    assert [head.reach(common, False) for common in (7, 25, 49, 50)] == [0, 20, 30, 50]
    assert [head.reach(common, True) for common in (19, 49, 50)] == [0, 20, 50]


def test_a_fingerprint_is_of_names_times_beginnings_and_ends(tmp_path):
    file = tmp_path / "model"
    file.write_bytes(b"a" * 1000)
    found = fingerprint([file], "exact")
    assert found == fingerprint([file], "exact") != fingerprint([file], "predictor")
    file.write_bytes(b"a" * 999 + b"b")
    assert fingerprint([file], "exact") != found

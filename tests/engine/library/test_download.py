"""The downloader against a server that misbehaves."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic

import pytest

from engine.errors import AccessError, CancelledError, DiskFullError, DownloadError
from engine.library.download import Progress, RemoteFile, Transfer, describe, download
from tests.helpers.hub_server import COMMIT, Hub, Storage, git_sha1, lfs_sha256

QUICK = Transfer(connections=3, piece=20_000, stall=0.5, tries=30, pause=0.01, longest_pause=0.02, record=0.05)
WEIGHTS = bytes(range(256)) * 400  # 102400 bytes: six pieces, the last one short


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def hub():
    with Storage() as storage, Hub(storage) as hub:
        hub.files = {"weights": WEIGHTS, "small": b"a few bytes", "empty": b""}
        yield hub


def remote(hub, name: str) -> RemoteFile:
    content = hub.files[name]
    url = f"{hub.url}/{hub.repo}/resolve/{COMMIT}/{name}"
    if name == "weights":
        return RemoteFile(name, url, len(content), lfs_sha256(content))
    return RemoteFile(name, url, len(content), git_sha1=git_sha1(content))


def fetch(hub, folder, names=("weights",), **options) -> list[Progress]:
    """Download, check that only whole files are left, and return the reports."""
    reports, files = [], [remote(hub, name) for name in names]
    download(files, folder, progress=reports.append, **{"transfer": QUICK} | options)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {name: hub.files[name] for name in names}
    return reports


def test_files_come_in_parallel_ranges(hub, tmp_path):
    reports = fetch(hub, tmp_path / "new" / "folder", ("small", "empty", "weights"))
    ranges = {r for _, r, _ in hub.storage.requests}
    assert {"bytes=0-19999", "bytes=20000-39999", "bytes=100000-102399"} <= ranges
    assert {report.total for report in reports} == {len(WEIGHTS) + 11}
    assert describe(Progress("weights", "fetching", 10**9, 2 * 10**9, 10**6)) == "1 GB of 2 GB, 1 MB/s, weights"
    assert describe(Progress("weights", "checking", 1, 2, 0.0)) == "1 byte of 2 bytes, checking weights"


def test_what_is_there_is_not_fetched_again(hub, tmp_path):
    fetch(hub, tmp_path, ("small", "weights"))
    hub.requests.clear()
    fetch(hub, tmp_path, ("small", "weights"))
    assert hub.requests == []


@pytest.mark.parametrize(
    "fault",
    ["short", "reset", "stall", "slow", "other range", "other size", "long", "plain", "login page", 403, 404, 429, 503],
)
def test_storage_that_misbehaves_is_asked_again(hub, tmp_path, fault):
    hub.storage.faults.extend([fault, fault])
    fetch(hub, tmp_path)


@pytest.mark.parametrize("fault", [408, 429, 500, 503])
def test_a_busy_hub_is_asked_again(hub, tmp_path, fault):
    hub.faults.extend([fault] * 3)
    fetch(hub, tmp_path)


@pytest.mark.parametrize("fault", ["no place", "no size"])
def test_a_mirror_may_leave_out_where_a_part_lies(hub, tmp_path, fault):
    hub.storage.faults.extend([fault] * 30)
    fetch(hub, tmp_path, ("small", "weights"))


@pytest.mark.parametrize("fault", ["no place", "no size"])
def test_without_a_checksum_a_part_has_to_say_where_it_lies(hub, tmp_path, fault):
    hub.storage.faults.extend([fault] * 2)
    file = RemoteFile("weights", remote(hub, "weights").url, len(WEIGHTS))
    download([file], tmp_path, transfer=QUICK)
    assert (tmp_path / "weights").read_bytes() == WEIGHTS
    assert len(hub.storage.requests) == (8 if fault == "no place" else 6)


def test_a_mirror_that_always_sends_the_start_is_found_out_by_the_checksum(hub, tmp_path):
    hub.storage.faults.extend(["always the start"] * 7)
    fetch(hub, tmp_path)
    assert hub.storage.requests[-1][1] == "bytes=0-102399"


@pytest.mark.parametrize(("fault", "names"), [("packed", ("small", "weights")), ("packed part", ("small",))])
def test_what_a_proxy_packed_is_unpacked(hub, tmp_path, fault, names):
    hub.storage.faults.extend([fault] * 30)
    fetch(hub, tmp_path, names)


def test_a_packed_part_is_asked_for_again_as_a_whole(hub, tmp_path):
    hub.storage.faults.extend(["packed part"] * 10)
    fetch(hub, tmp_path)


def test_what_cannot_be_unpacked_is_asked_for_again(hub, tmp_path):
    hub.storage.faults.append("packed oddly")
    fetch(hub, tmp_path, ("small",))
    hub.storage.faults.extend(["packed oddly"] * 9)
    with pytest.raises(DownloadError, match=r"packed the file in a way that cannot be undone \(br\)"):
        fetch(hub, tmp_path / "again", ("small",), transfer=Transfer(tries=3, pause=0.01))


@pytest.mark.parametrize(("value", "least"), [("1", 1.0), ("²", 0.0), ("nonsense", 0.0)])
def test_a_busy_server_is_left_alone_as_long_as_it_asks(hub, tmp_path, value, least):
    hub.retry_after = value
    hub.faults.append(429)
    began = monotonic()
    fetch(hub, tmp_path, ("small",))
    assert monotonic() - began >= least


@pytest.mark.parametrize(
    ("status", "words"),
    [(451, r"451 \(unavailable for legal reasons\)"), (400, r"400 \(bad request\)"), (499, "status 499")],
)
def test_a_status_is_named(hub, tmp_path, status, words):
    hub.faults.append(status)
    with pytest.raises(DownloadError, match=words):
        fetch(hub, tmp_path, ("small",))


@pytest.mark.parametrize("status", [202, 425])
def test_what_is_not_ready_yet_is_asked_for_again(hub, tmp_path, status):
    hub.faults.extend([status, status])
    fetch(hub, tmp_path, ("small",))


def test_a_broken_connection_goes_on_where_it_broke(hub, tmp_path):
    hub.storage.faults.append("short")
    fetch(hub, tmp_path, transfer=Transfer(connections=1, piece=10**6, pause=0.01))
    assert [r for _, r, _ in hub.storage.requests] == ["bytes=0-102399", f"bytes={len(WEIGHTS) // 2}-102399"]


def test_an_expired_link_is_asked_for_again(hub, tmp_path):
    hub.storage.faults.extend([None, 403])
    fetch(hub, tmp_path, transfer=Transfer(connections=1, piece=60_000, pause=0.01))
    assert len(hub.requests) == 2
    assert len(hub.storage.requests) == 3


def test_a_server_without_ranges_sends_the_file_whole(hub, tmp_path):
    hub.storage.faults.extend(["plain"] * 30)
    fetch(hub, tmp_path)
    hub.storage.faults.clear()
    hub.storage.faults.extend(["plain"] * 3)
    fetch(hub, tmp_path / "one piece", transfer=Transfer(piece=10**6, pause=0.01))


def test_a_wrong_checksum_is_fetched_once_more(hub, tmp_path):
    hub.storage.faults.append("corrupt")
    fetch(hub, tmp_path, ("small",))


def test_a_checksum_that_stays_wrong_leaves_nothing(hub, tmp_path):
    hub.storage.faults.extend(["corrupt"] * 2)
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(hub, tmp_path, ("small",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("status", "error"), [(401, AccessError), (403, AccessError), (404, DownloadError)])
def test_a_refusal_is_not_asked_again(hub, tmp_path, status, error):
    hub.faults.append(status)
    with pytest.raises(error, match=f"status {status}"):
        fetch(hub, tmp_path, ("small",))
    assert len(hub.requests) == 1


def test_it_gives_up_after_tries_without_a_byte_and_keeps_the_rest(hub, tmp_path):
    hub.storage.faults.extend([None] + [503] * 4)
    with pytest.raises(DownloadError, match=r"weights does not come: the server is busy \(status 503\)\."):
        fetch(hub, tmp_path, transfer=Transfer(connections=1, piece=20_000, tries=4, pause=0.01))
    assert remote(hub, "weights").bytes_in(tmp_path) == 20_000
    fetch(hub, tmp_path)


def test_a_server_that_is_not_there(tmp_path):
    with Storage() as gone:
        url = f"{gone.url}/weights"
    with pytest.raises(DownloadError, match="weights does not come: it cannot be reached"):
        download([RemoteFile("weights", url, 5)], tmp_path, transfer=Transfer(tries=2, pause=0.01))


def test_the_token_goes_to_the_hub_only(hub, tmp_path):
    fetch(hub, tmp_path, token="hf_secret")
    assert {authorization for _, _, authorization in hub.requests} == {"Bearer hf_secret"}
    assert {authorization for _, _, authorization in hub.storage.requests} == {None}


@pytest.mark.parametrize(
    "target", ["http://[", "http://127.0.0.1:99999999/x", "file:///etc/hostname", "ftp://127.0.0.1/x"]
)
def test_redirects_lead_to_http_only(hub, tmp_path, target):
    hub.faults.append(target)
    with pytest.raises(DownloadError, match=r"not safe|no web address"):
        fetch(hub, tmp_path, ("small",))


def test_redirects_in_circles_end(hub, tmp_path):
    hub.faults.extend([f"{hub.url}/{hub.repo}/resolve/{COMMIT}/small"] * 20)
    with pytest.raises(DownloadError, match="in circles"):
        fetch(hub, tmp_path, ("small",), transfer=Transfer(tries=2, pause=0.01))


def test_pause_and_resume(hub, tmp_path):
    hub.storage.faults.append("stall")
    stop, patient = threading.Event(), Transfer(connections=1, piece=10**6, stall=30)

    def pause(report: Progress) -> None:
        if report.done == hub.storage.sent_before_stall > 0:
            stop.set()

    with pytest.raises(CancelledError):
        download([remote(hub, "weights")], tmp_path, progress=pause, stop=stop, transfer=patient)
    half = hub.storage.sent_before_stall
    assert remote(hub, "weights").bytes_in(tmp_path) == half
    hub.storage.requests.clear()
    fetch(hub, tmp_path)
    assert [r for _, r, _ in hub.storage.requests] == [f"bytes={half}-102399"]


@pytest.mark.parametrize("damage", ["{", "{}", '{"bytes": 102400, "checksum": "%s", "pieces": [[0, 5, 9]]}'])
def test_a_damaged_record_starts_anew(hub, tmp_path, damage):
    (tmp_path / "weights.part").write_bytes(b"x" * len(WEIGHTS))
    (tmp_path / "weights.part.json").write_text(damage.replace("%s", lfs_sha256(WEIGHTS)))
    fetch(hub, tmp_path)


def test_what_came_of_other_content_is_not_used(hub, tmp_path):
    record = {"checksum": "0" * 64, "bytes": len(WEIGHTS), "pieces": [[0, len(WEIGHTS), len(WEIGHTS)]]}
    (tmp_path / "weights.part").write_bytes(b"x" * len(WEIGHTS))
    (tmp_path / "weights.part.json").write_text(json.dumps(record))
    fetch(hub, tmp_path)


def test_a_full_disk_pauses(hub, tmp_path, monkeypatch):
    room, pwrite = [50_000], os.pwrite

    def short_of_room(descriptor, data, offset):
        if len(data) > room[0]:
            raise OSError(28, "No space left on device")
        room[0] -= len(data)
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", short_of_room)
    with pytest.raises(DiskFullError, match="make room"):
        fetch(hub, tmp_path)
    kept = remote(hub, "weights").bytes_in(tmp_path)
    assert 0 < kept <= 50_000
    room[0] = 10**6
    fetch(hub, tmp_path)
    assert room[0] == 10**6 - (len(WEIGHTS) - kept)


FULL_DISK = """
import shutil, sys
from engine.library.download import RemoteFile, Transfer, download
from engine.errors import DiskFullError
from pathlib import Path

folder, ballast = Path(sys.argv[1], "new"), Path(sys.argv[1], "ballast")
ballast.write_bytes(bytes(shutil.disk_usage(sys.argv[1]).free - 60_000))
file = RemoteFile("weights", sys.argv[2], int(sys.argv[3]), sys.argv[4])
try:
    download([file], folder, transfer=Transfer(piece=20_000, connections=2))
except DiskFullError:
    kept = file.bytes_in(folder)
    ballast.unlink()
    download([file], folder)
    print(kept, file.is_in(folder))
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs Linux's unshare")
def test_a_disk_that_is_really_full(hub, tmp_path):
    mount = ["unshare", "-Urm", "sh", "-c", 'mount -t tmpfs -o size=256k none "$0" && exec "$@"', tmp_path]
    if subprocess.run([*mount, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    file = remote(hub, "weights")
    arguments = [tmp_path, file.url, str(file.bytes), file.sha256]
    run = subprocess.run(
        [*mount, sys.executable, "-c", FULL_DISK, *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    kept, whole = run.stdout.split()
    assert 0 < int(kept) < len(WEIGHTS)
    assert whole == "True"


def test_a_folder_that_cannot_be_written(hub, tmp_path):
    (tmp_path / "weights.part").mkdir()
    with pytest.raises(DownloadError, match="cannot be written"):
        fetch(hub, tmp_path)

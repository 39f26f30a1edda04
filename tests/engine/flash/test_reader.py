"""Both readers against plain files: every byte, every failure, and how few reads the native one makes."""

import contextlib
import ctypes
import errno
import gc
import importlib.util
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import CancelledError, ReadError
from engine.flash.batches import NO_THREAD, Ranges
from engine.flash.native_reader import MAX_READ, NativeReader
from engine.flash.python_reader import PythonReader
from engine.flash.reader import open_reader
from engine.system import native_library
from engine.system.native_library import READ_FUNCTION, load_library, memory_pressure, native_footprint, open_library

BLOCK = 4096
SIZE = 64 * BLOCK + 1234  # the last block is cut by the end of the file
CONTENT = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8).tobytes()
SOURCE = Path(__file__).parents[3] / "engine" / "flash" / "native" / "reader.c"


class Part(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def as_native(read):
    """A function with the signature of os.preadv in the place of the native library's preadv."""

    def call(descriptor, parts, count, offset):
        parts = (Part * count).from_address(parts)
        buffers = [(ctypes.c_char * part.length).from_address(part.base) for part in parts]
        try:
            return read(descriptor, buffers, offset)
        except OSError as error:
            ctypes.set_errno(error.errno)
            return -1

    return READ_FUNCTION(call)


def native_reader(threads=4, gap=0, read=None, **options):
    return NativeReader(threads, gap, read=read and as_native(read), **options)


def python_reader(threads=4, gap=0, read=None):
    return PythonReader(threads, gap, read=read or os.preadv)


def from_content(buffers, offset, limit=SIZE):
    """The bytes that os.preadv would read of CONTENT, but at most `limit`."""
    done = 0
    for buffer in buffers:
        data = CONTENT[offset + done : offset + done + min(len(buffer), limit - done)]
        memoryview(buffer).cast("B")[: len(data)] = data
        done += len(data)
    return done


def aligned(rows, stride, shift=0):
    """A zeroed destination that starts `shift` bytes behind a 16 KiB boundary."""
    memory = np.zeros(rows * stride + 2 * 16384, np.uint8)
    start = -memory.ctypes.data % 16384 + shift
    return memory[start : start + rows * stride].reshape(rows, stride)


@pytest.fixture(params=[native_reader, python_reader], ids=["native", "python"])
def make(request):
    """Makes readers of either kind, and closes them."""
    made = []

    def make(*arguments, **options):
        made.append(request.param(*arguments, **options))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


@pytest.fixture
def native():
    made = []

    def make(*arguments, **options):
        made.append(native_reader(*arguments, **options))
        return made[-1]

    yield make
    for reader in made:
        reader.close()


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("flash") / "bundles.bin"
    path.write_bytes(CONTENT)
    return path


def check_rows(destination, offsets, length, rows):
    """Every row holds its bytes; what was not asked for is still zero."""
    expected = np.zeros_like(destination)
    for offset, row in zip(offsets, rows, strict=True):
        expected[row, :length] = np.frombuffer(CONTENT, np.uint8, length, offset)
    np.testing.assert_array_equal(destination, expected)


def read_all(reader, file, offsets, length, destination, rows, **options):
    reader.register(destination)
    ticket = reader.submit(file, np.array(offsets, np.int64), length, destination, np.array(rows, np.int64), **options)
    ticket.wait(20)
    check_rows(destination, offsets, length, rows)
    return ticket


@st.composite
def batches(draw):
    """(offsets, length, stride, rows, capacity, shift): in blocks or in odd bytes, near each other or far apart."""
    unit = draw(st.sampled_from([BLOCK, 512, 1]))
    length = draw(st.integers(1, {BLOCK: 6, 512: 24, 1: 9000}[unit])) * unit
    places = st.integers(0, (SIZE - length) // unit)
    neighbours = st.builds(
        lambda start, count: [start + i * length // unit for i in range(count)], places, st.integers(1, 12)
    )
    chunks = draw(st.lists(st.one_of(neighbours, st.lists(places, max_size=4)), max_size=5))
    offsets = [p * unit for chunk in chunks for p in chunk if p * unit + length <= SIZE]
    capacity = len(offsets) + draw(st.integers(1, 4))
    rows = draw(st.permutations(range(capacity)))[: len(offsets)] if draw(st.booleans()) else list(range(len(offsets)))
    stride = length + draw(st.sampled_from([0, 0, 3, BLOCK]))
    return offsets, length, stride, rows, capacity, draw(st.sampled_from([0, 0, 0, 8, 512]))


def disturbed(seed, descriptor_of):
    """os.preadv with interruptions and short reads. Through a cached descriptor, which does not mind alignment."""
    random, lock = np.random.default_rng(seed), threading.Lock()

    def read(_descriptor, buffers, offset):
        with lock:
            kind, share = random.integers(4), random.random()
        if kind == 0:
            raise InterruptedError(errno.EINTR, "interrupted")
        total = sum(map(len, buffers))
        data = os.pread(descriptor_of(), max(1, int(total * share)) if kind == 1 else total, offset)
        return from_content(buffers, offset, len(data))

    return read


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=batches(),
    threads=st.sampled_from([1, 2, 8]),
    gap=st.sampled_from([-1, 0, 1, 700, BLOCK, 20000]),
    direct=st.booleans(),
    seed=st.none() | st.integers(0, 1000),
    max_read=st.sampled_from([16384, 65536, MAX_READ]),
    scatter_alignment=st.sampled_from([1, BLOCK, 16384]),
)
def test_any_batch_reads_what_pread_reads(path, batch, threads, gap, direct, seed, max_read, scatter_alignment):
    offsets, length, stride, rows, capacity, shift = batch
    with path.open("rb") as plain:
        read = None if seed is None else disturbed(seed, plain.fileno)
        native = native_reader(threads, gap, read, max_read=max_read, scatter_alignment=scatter_alignment)
        for reader in (native, python_reader(threads, gap, read)):
            with reader:
                file = reader.open(path, direct)
                ticket = read_all(reader, file, offsets, length, aligned(capacity, stride, shift), rows)
                assert ticket.bytes == len(offsets) * length
                assert ticket.done
                assert reader.statistics().bytes == ticket.bytes
                assert reader.statistics().in_flight == 0
                file.close()


@st.composite
def range_batches(draw):
    """(offsets, lengths, places, bytes): ranges of a file, aligned or not, in places that do not overlap."""
    unit = st.sampled_from([1, 8, 512, BLOCK])
    offsets, lengths, places, end = [], [], [], 0
    for _ in range(draw(st.integers(0, 8))):
        step, size = draw(unit), draw(unit)
        length = min(draw(st.integers(1, 4 * BLOCK // size)) * size, 9 * BLOCK)
        offsets.append(draw(st.integers(0, (SIZE - length) // step)) * step)
        lengths.append(length)
        step = draw(unit)
        end = -(-end // step) * step + draw(st.sampled_from([0, 0, 1, BLOCK]))
        places.append(end)
        end += length
    return offsets, lengths, places, end + draw(st.sampled_from([1, BLOCK]))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batch=range_batches(),
    threads=st.sampled_from([1, 8]),
    gap=st.sampled_from([-1, 0, 700, 20000]),
    direct=st.booleans(),
    seed=st.none() | st.integers(0, 1000),
    scatter_alignment=st.sampled_from([1, 16384]),
    shift=st.sampled_from([0, 0, 8]),
)
def test_any_ranges_land_in_their_places(path, batch, threads, gap, direct, seed, scatter_alignment, shift):
    offsets, lengths, places, size = batch
    expected = np.zeros((1, size), np.uint8)
    for offset, length, place in zip(offsets, lengths, places, strict=True):
        expected[0, place : place + length] = np.frombuffer(CONTENT, np.uint8, length, offset)
    with path.open("rb") as plain:
        read = None if seed is None else disturbed(seed, plain.fileno)
        native = native_reader(threads, gap, read, scatter_alignment=scatter_alignment)
        for reader in (native, python_reader(threads, gap, read)):
            with reader:
                file, destination = reader.open(path, direct), aligned(1, size, shift)
                reader.register(destination)
                ticket = reader.submit_ranges(file, Ranges.of(offsets, lengths, places), destination)
                ticket.wait(20)
                np.testing.assert_array_equal(destination, expected)
                assert ticket.bytes == sum(lengths)
                file.close()


def test_an_unaligned_range_does_not_keep_others_from_being_read_straight(native, path):
    seen = []

    def read(_descriptor, buffers, offset):
        seen.append(sorted(map(len, buffers)))
        return from_content(buffers, offset)

    reader = native(read=read)
    file = reader.open(path)
    if not file.direct:
        pytest.skip("the temporary folder's filesystem has no direct I/O")
    destination = aligned(1, 60 * BLOCK)
    reader.register(destination)
    reader.submit_ranges(file, Ranges.of([0, 60 * BLOCK + 5], [50 * BLOCK, 100], [0, 50 * BLOCK]), destination).wait(20)
    assert sorted(seen) == [[file.alignment], [50 * BLOCK]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": [-1]}, "offset"),
        ({"places": [-1]}, "place"),
        ({"places": [BLOCK + 1]}, "place"),
        ({"lengths": [0]}, "length"),
        ({"lengths": [2 * BLOCK + 1]}, "length"),
        ({"lengths": [1, 2]}, "equally long"),
        ({"places": [0.5]}, "integers"),
    ],
)
def test_ranges_out_of_range_are_refused(make, path, change, words):
    reader = make()
    destination = aligned(2, BLOCK)
    reader.register(destination)
    arguments = {"offsets": [0], "lengths": [BLOCK], "places": [0]} | change
    with pytest.raises(ValueError, match=words):
        reader.submit_ranges(reader.open(path), Ranges.of(**arguments), destination)
    with pytest.raises(ReadError, match="shorter"):
        reader.submit_ranges(reader.open(path), Ranges.of([SIZE - 1], [2], [0]), destination)
    assert not destination.any()


def test_rows_longer_than_a_read(native, path):
    reader = native(max_read=32768)
    file = reader.open(path)
    ticket = read_all(reader, file, [0, 5 * BLOCK], 40 * BLOCK, aligned(2, 40 * BLOCK), [1, 0])
    assert ticket.reads == 10
    read_all(reader, file, [3, 70001], 150_000, aligned(2, 150_000), [0, 1])


def test_a_file_on_disk_is_read_directly(native, path):
    reader = native()
    file = reader.open(path)
    if not file.direct:
        pytest.skip("the temporary folder's filesystem has no direct I/O")
    assert file.size == SIZE
    assert 512 <= file.alignment <= 16384
    ticket = read_all(reader, file, [BLOCK, 9 * BLOCK], BLOCK, aligned(2, BLOCK), [0, 1])
    assert ticket.device_bytes == 2 * BLOCK
    # Off by a byte: whole blocks are read, and only what was asked for arrives.
    ticket = read_all(reader, file, [BLOCK + 1], BLOCK, aligned(1, BLOCK), [0])
    assert ticket.device_bytes >= BLOCK + file.alignment
    assert not reader.open(path, direct=False).direct


@pytest.mark.parametrize("shift", [0, 8])
def test_the_rest_of_a_short_direct_read_starts_anywhere(native, path, shift):
    """Direct I/O would refuse to go on at byte 100."""
    calls = []

    def read(descriptor, buffers, offset):
        calls.append(offset)
        got = os.preadv(descriptor, buffers, offset)
        return 100 if len(calls) == 1 else got

    reader = native(threads=1, read=read)
    read_all(reader, reader.open(path), [0, 9 * BLOCK], BLOCK, aligned(2, BLOCK, shift), [1, 0])
    assert len(calls) == 3


def test_the_last_bytes_of_a_file(make, path):
    reader = make()
    file = reader.open(path)
    read_all(reader, file, [SIZE - 1, SIZE - 1234, 63 * BLOCK], 1, aligned(3, 8), [0, 1, 2])
    read_all(reader, file, [SIZE - BLOCK], BLOCK, aligned(1, BLOCK), [0])
    read_all(reader, file, [0], SIZE, aligned(1, SIZE), [0])


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="no tmpfs")  # noqa: PTH112
def test_a_file_in_memory_is_read_through_the_cache(native):
    path = Path("/dev/shm", f"flashbulb-{os.getpid()}")
    try:
        path.write_bytes(CONTENT)
        reader = native()
        file = reader.open(path)
        assert not file.direct
        assert file.alignment == 1
        read_all(reader, file, [7, 7 + BLOCK, 60000], BLOCK, aligned(3, BLOCK), [2, 0, 1])
    finally:
        path.unlink()


@pytest.mark.parametrize("stride", [BLOCK, BLOCK + 512, BLOCK + 1])
def test_neighbours_are_one_read(native, path, stride):
    reader = native()
    rows = list(range(16))[::-1]
    ticket = read_all(reader, reader.open(path), [i * BLOCK for i in range(16)], BLOCK, aligned(16, stride), rows)
    assert ticket.reads == 1
    assert ticket.device_bytes == 16 * BLOCK


def test_order_does_not_matter(native, path):
    reader = native()
    offsets = [i * BLOCK for i in (5, 3, 9, 4, 8)]
    assert read_all(reader, reader.open(path), offsets, BLOCK, aligned(5, BLOCK), range(5)).reads == 2


def test_a_gap_of_minus_one_joins_nothing(native, path):
    reader = native()
    file = reader.open(path)
    offsets, destination = [0, BLOCK, 2 * BLOCK], aligned(3, BLOCK)
    assert read_all(reader, file, offsets, BLOCK, destination, range(3)).reads == 1
    assert read_all(reader, file, offsets, BLOCK, aligned(3, BLOCK), range(3), gap=-1).reads == 3


def test_small_gaps_are_read_through(native, path):
    reader = native(gap=BLOCK)
    file = reader.open(path)
    offsets = [0, 2 * BLOCK, 4 * BLOCK, 7 * BLOCK]  # two gaps of a block, one of two
    ticket = read_all(reader, file, offsets, BLOCK, aligned(4, BLOCK), range(4))
    assert (ticket.reads, ticket.device_bytes) == (2, 6 * BLOCK)
    ticket = read_all(reader, file, offsets, BLOCK, aligned(4, BLOCK), range(4), gap=0)
    assert (ticket.reads, ticket.device_bytes) == (4, 4 * BLOCK)
    ticket = read_all(reader, file, offsets, BLOCK, aligned(4, BLOCK), range(4), gap=2 * BLOCK)
    assert (ticket.reads, ticket.device_bytes) == (1, 8 * BLOCK)


def test_long_runs_are_shared_among_threads(native, path):
    reader = native(max_read=65536)
    offsets = [i * BLOCK for i in range(64)]
    assert read_all(reader, reader.open(path), offsets, BLOCK, aligned(64, BLOCK), range(64)).reads == 4


def test_copied_runs_are_short(native, path):
    """No thread needs a buffer of more than 128 KiB."""
    seen = []

    def read(_descriptor, buffers, offset):
        seen.append(sum(map(len, buffers)))
        return from_content(buffers, offset)

    reader = native(read=read)
    file = reader.open(path)
    if not file.direct:
        pytest.skip("the temporary folder's filesystem has no direct I/O")
    offsets, rows = [i * BLOCK for i in range(64)], list(range(64))[::-1]
    assert read_all(reader, file, offsets, BLOCK, aligned(64, BLOCK, 8), rows).reads == 2
    read_all(reader, file, [100], 60 * BLOCK, aligned(1, 60 * BLOCK), [0])
    assert max(seen) == 128 << 10


def test_many_small_neighbours(native, path):
    """More rows than one call to the system takes."""
    rows = list(range(4000))[::-1]
    reader = native(threads=1, gap=64)
    for step in (32, 64):
        ticket = read_all(reader, reader.open(path, direct=False), np.arange(4000) * step, 32, aligned(4000, 32), rows)
        assert 2 <= ticket.reads <= 40


def test_pieces_finer_than_the_system_merges_are_read_at_once_and_copied(native, path):
    seen = []

    def read(_descriptor, buffers, offset):
        seen.append([len(b) for b in buffers])
        return from_content(buffers, offset)

    reader = native(read=read, scatter_alignment=16384)
    file = reader.open(path)
    if not file.direct:
        pytest.skip("the temporary folder's filesystem has no direct I/O")
    read_all(reader, file, [0, BLOCK, 2 * BLOCK], BLOCK, aligned(3, BLOCK), [2, 1, 0])
    read_all(reader, file, [0, 16384], 16384, aligned(2, 16384), [1, 0])
    read_all(reader, file, [0, BLOCK, 2 * BLOCK], BLOCK, aligned(3, BLOCK), [0, 1, 2])
    assert seen == [[3 * BLOCK], [16384, 16384], [3 * BLOCK]]


def test_repeated_and_overlapping_requests(make, path):
    reader = make(gap=BLOCK)
    offsets = [BLOCK, BLOCK, 0, BLOCK // 2, BLOCK, 2 * BLOCK]
    read_all(reader, reader.open(path), offsets, 2 * BLOCK, aligned(6, 2 * BLOCK), range(6))


def test_an_empty_batch_is_complete_at_once(make, path):
    reader = make()
    ticket = read_all(reader, reader.open(path), [], BLOCK, aligned(2, BLOCK), [])
    assert ticket.done
    assert (ticket.bytes, ticket.reads, ticket.device_bytes) == (0, 0, 0)


def test_results_and_statistics(make, path):
    reader = make()
    file = reader.open(path)
    offsets = [i * 2 * BLOCK for i in range(20)]
    tickets = [read_all(reader, file, offsets, BLOCK, aligned(20, BLOCK), range(20)) for _ in range(3)]
    for ticket in tickets:
        assert (ticket.bytes, ticket.device_bytes, ticket.reads) == (20 * BLOCK, 20 * BLOCK, 20)
        assert 0 < ticket.max_latency_s <= ticket.seconds
    total = reader.statistics()
    assert (total.bytes, total.device_bytes, total.reads, total.in_flight) == (60 * BLOCK, 60 * BLOCK, 60, 0)
    assert 0 < total.p50_s <= total.p99_s <= 1.13 * max(t.max_latency_s for t in tickets)
    assert 0 < total.busy_seconds <= 1.5 * sum(t.seconds for t in tickets)
    reader.close()
    assert reader.statistics() == total


def test_latencies_are_measured(make, path):
    def read(_descriptor, buffers, offset):
        time.sleep(0.02)
        return from_content(buffers, offset)

    reader = make(threads=8, read=read)
    ticket = read_all(reader, reader.open(path), [0, 8 * BLOCK], BLOCK, aligned(2, BLOCK), [0, 1])
    total = reader.statistics()
    assert 0.019 < total.p50_s <= 1.13 * ticket.max_latency_s
    assert 0.019 < ticket.max_latency_s <= ticket.seconds
    assert total.busy_seconds > 0.019


# What goes wrong.


class Gate:
    """A read that waits until it is let through, and says when one has come."""

    def __init__(self):
        self.open, self.reached, self.reads = threading.Event(), threading.Event(), 0

    def __call__(self, _descriptor, buffers, offset):
        self.reads += 1
        self.reached.set()
        assert self.open.wait(20)
        return from_content(buffers, offset)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EIO, "is it still connected"),
        (errno.ENXIO, "is it still connected"),
        (errno.ENODEV, "is it still connected"),
        (errno.EACCES, "Permission denied"),
    ],
)
def test_a_failed_read_names_file_offset_and_reason(make, path, code, words):
    def read(_descriptor, buffers, offset):
        if offset == 4 * BLOCK:
            raise OSError(code, "injected")
        return from_content(buffers, offset)

    reader = make(threads=1, read=read)
    file, destination = reader.open(path), aligned(3, BLOCK)
    reader.register(destination)
    ticket = reader.submit(file, np.array([0, 4 * BLOCK, 8 * BLOCK]), BLOCK, destination, np.arange(3))
    for _ in range(2):
        with pytest.raises(ReadError, match=words) as caught:
            ticket.wait(20)
    assert str(path) in str(caught.value)
    assert f"byte {4 * BLOCK}" in str(caught.value)
    assert os.strerror(code) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    assert not destination[2].any(), "the rest of a failed batch is skipped"
    assert reader.statistics().in_flight == 0
    read_all(reader, file, [BLOCK], BLOCK, aligned(1, BLOCK), [0])


@pytest.mark.parametrize("shift", [0, 8])
def test_a_file_truncated_while_open(make, tmp_path, shift):
    path = tmp_path / "cut.bin"
    path.write_bytes(CONTENT)
    reader = make()
    file, destination = reader.open(path), aligned(2, BLOCK, shift)
    reader.register(destination)
    os.truncate(path, 10 * BLOCK + 100)
    for offset in (10 * BLOCK, 20 * BLOCK):
        with pytest.raises(ReadError, match="shorter than its header says: prepare or download it again"):
            reader.submit(file, np.array([offset]), BLOCK, destination, np.array([0])).wait(20)
    read_all(reader, file, [9 * BLOCK], BLOCK, aligned(1, BLOCK, shift), [0])


def test_a_row_behind_the_end_of_the_file(make, path):
    reader = make()
    file, destination = reader.open(path), aligned(1, BLOCK)
    reader.register(destination)
    for offset in (SIZE - BLOCK + 1, SIZE, 2**62):
        with pytest.raises(ReadError, match=f"{offset}.*shorter"):
            reader.submit(file, np.array([offset]), BLOCK, destination, np.array([0]))


def test_files_that_cannot_be_opened(make, tmp_path):
    reader = make()
    with pytest.raises(ReadError, match=r"missing\.bin could not be opened: No such file.*download it again"):
        reader.open(tmp_path / "missing.bin")
    with pytest.raises(ReadError, match="directory"):
        reader.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"offsets": [-1]}, "offset"),
        ({"rows": [2]}, "row"),
        ({"rows": [-1]}, "row"),
        ({"length": 0}, "length"),
        ({"length": BLOCK + 1}, "length"),
        ({"gap": -2}, "gap"),
        ({"gap": 1 << 20}, "gap"),
        ({"offsets": [0, 1]}, "equally long"),
        ({"offsets": [0.5]}, "integers"),
        ({"destination": aligned(2, BLOCK)}, "not registered"),
        ({"destination": np.zeros((2, BLOCK), np.float32)}, "uint8"),
        ({"destination": np.zeros((2, 2 * BLOCK), np.uint8)[:, ::2]}, "C-contiguous"),
    ],
)
def test_arguments_out_of_range_are_refused(make, path, change, words):
    reader = make()
    destination = aligned(2, BLOCK)
    reader.register(destination)
    arguments = {"offsets": [0], "length": BLOCK, "destination": destination, "rows": [0]} | change
    with pytest.raises(ValueError, match=words):
        reader.submit(reader.open(path), **arguments)
    assert reader.statistics().reads == 0
    assert not destination.any()


def test_only_registered_memory_is_written(make, path):
    reader = make()
    file, destination = reader.open(path), aligned(8, BLOCK)
    reader.register(destination[2:6])
    reader.submit(file, [0], BLOCK, destination[3:5], [1]).wait(20)
    with pytest.raises(ValueError, match="not registered"):
        reader.submit(file, [0], BLOCK, destination, [3])
    reader.unregister(destination[2:6])
    with pytest.raises(ValueError, match="not registered"):
        reader.submit(file, [0], BLOCK, destination[3:5], [1])
    with pytest.raises(ValueError, match="not registered"):
        reader.unregister(destination)


def test_an_object_of_another_reader_or_closed(make, path):
    reader, other = make(), make()
    destination = aligned(1, BLOCK)
    reader.register(destination)
    file = reader.open(path)
    with pytest.raises(ValueError, match="another reader"):
        reader.submit(other.open(path), [0], BLOCK, destination, [0])
    file.close()
    file.close()
    with pytest.raises(ValueError, match="is closed"):
        reader.submit(file, [0], BLOCK, destination, [0])
    file = reader.open(path)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="the reader is closed"):
        reader.submit(file, [0], BLOCK, destination, [0])


# Waiting, cancelling, letting go.


def scattered(count):
    """Offsets of blocks that are no neighbours."""
    return np.arange(count, dtype=np.int64) * 2 * BLOCK


def test_cancel_skips_what_has_not_begun(make, path):
    gate = Gate()
    reader = make(threads=2, read=gate)
    file, destination = reader.open(path), aligned(20, BLOCK)
    reader.register(destination)
    ticket = reader.submit(file, scattered(20), BLOCK, destination, np.arange(20))
    assert gate.reached.wait(20)
    assert not ticket.done
    with pytest.raises(TimeoutError):
        ticket.wait(0.01)
    assert not ticket.settle(0.01)
    ticket.cancel()
    gate.open.set()
    with pytest.raises(CancelledError):
        ticket.wait(20)
    assert ticket.done
    assert gate.reads <= 2
    assert ticket.reads == gate.reads
    assert reader.statistics().in_flight == 0
    read_all(reader, file, [0], BLOCK, aligned(1, BLOCK), [0])


def test_cancel_after_the_end_changes_nothing(make, path):
    reader = make()
    ticket = read_all(reader, reader.open(path), [0], BLOCK, aligned(1, BLOCK), [0])
    ticket.cancel()
    ticket.wait()


def test_only_the_cancelled_batch_is_cancelled(make, path):
    gate = Gate()
    reader = make(threads=1, read=gate)
    file, destination = reader.open(path), aligned(15, BLOCK)
    reader.register(destination)
    tickets = [reader.submit(file, scattered(5), BLOCK, destination[i : i + 5], np.arange(5)) for i in (0, 5, 10)]
    assert gate.reached.wait(20)
    tickets[1].cancel()
    gate.open.set()
    tickets[2].wait(20)
    tickets[0].wait(20)
    with pytest.raises(CancelledError):
        tickets[1].wait(20)
    assert not destination[5:10].any()
    check_rows(destination[:5], scattered(5), BLOCK, range(5))
    check_rows(destination[10:], scattered(5), BLOCK, range(5))


def test_close_completes_what_was_submitted(make, path):
    gate = Gate()
    reader = make(threads=2, read=gate)
    file, destination = reader.open(path), aligned(20, BLOCK)
    reader.register(destination)
    ticket = reader.submit(file, scattered(20), BLOCK, destination, np.arange(20))
    file.close()
    assert gate.reached.wait(20)
    threading.Timer(0.05, gate.open.set).start()
    reader.close()
    assert ticket.done
    ticket.wait()
    check_rows(destination, scattered(20), BLOCK, range(20))


@pytest.mark.parametrize("kind", [native_reader, python_reader])
@pytest.mark.parametrize("first", ["file", "reader", "ticket"])
def test_everything_may_be_let_go_in_any_order(path, kind, first):
    gate = Gate()
    reader = kind(threads=2, read=gate)
    file, destination = reader.open(path), aligned(20, BLOCK)
    reader.register(destination)
    kept, ticket = (reader.submit(file, scattered(20), BLOCK, destination, np.arange(20)) for _ in range(2))
    assert gate.reached.wait(20)
    threading.Timer(0.02, gate.open.set).start()
    held = {"file": file, "reader": reader, "ticket": ticket}
    del file, reader, ticket
    del held[first]
    gc.collect()
    held.clear()
    gc.collect()
    kept.wait(20)
    check_rows(destination, scattered(20), BLOCK, range(20))


def test_waiting_lets_other_threads_run(make, path):
    """The reading thread could not pass the gate, which Python opens, if waiting kept Python's lock."""
    gate = Gate()
    reader = make(threads=1, read=gate)
    destination = aligned(1, BLOCK)
    reader.register(destination)
    ticket = reader.submit(reader.open(path), [0], BLOCK, destination, [0])
    threading.Timer(0.02, gate.open.set).start()
    waiting = [threading.Thread(target=ticket.wait, args=(20,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join()
    assert ticket.done


def test_many_callers_at_once(make, path):
    reader = make(threads=8)
    file = reader.open(path)
    problems = []

    def call(seed):
        random = np.random.default_rng(seed)
        destination = aligned(16, BLOCK, 8 * (seed % 2))
        reader.register(destination)
        for _ in range(20):
            offsets, rows = random.integers(0, SIZE - BLOCK, 16), random.permutation(16)
            if seed % 3:
                offsets = offsets // BLOCK * BLOCK
            reader.submit(file, offsets, BLOCK, destination, rows, gap=700).wait(20)
            try:
                check_rows(destination, offsets, BLOCK, rows)
            except AssertionError as error:
                problems.append(error)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not problems
    assert reader.statistics().bytes == 6 * 20 * 16 * BLOCK


@pytest.mark.skipif(sys.platform != "linux", reason="asynchronous reads are Linux's")
def test_without_asynchronous_reads_threads_read(path):
    """Threads read while the system's places for asynchronous reads, all processes' together, are taken or free."""

    def threads():
        return set(os.listdir("/proc/self/task"))  # noqa: PTH208

    def new_threads(direct):
        before = threads()
        with native_reader(threads=8) as reader:
            assert threads() == before  # none is there before there is a file to read
            file = reader.open(path, direct)
            if file.direct != direct:
                pytest.skip("nothing is read directly here")
            read_all(reader, file, scattered(16), BLOCK, aligned(16, BLOCK), range(16))
            return len(threads() - before)

    asynchronous = 2 if os.cpu_count() > 2 else 1
    assert new_threads(True) == asynchronous
    assert new_threads(False) == 8
    with no_asynchronous_reads():
        assert new_threads(True) == 8


def test_a_file_that_no_thread_can_be_started_for(path):
    """The library says so of a process that may have no more of them."""

    class Full:
        def __getattr__(self, name):
            return (lambda *_: NO_THREAD) if name == "fb_file_open" else getattr(load_library(), name)

    with native_reader(threads=1, library=Full()) as reader, pytest.raises(ReadError, match="No thread") as raised:
        reader.open(path)
    assert str(path) in str(raised.value)


@contextlib.contextmanager
def no_asynchronous_reads():
    """Takes as many as the system has."""
    library, contexts, size = ctypes.CDLL(None), [], 1 << 16
    io_setup, io_destroy = {"x86_64": (206, 207)}.get(platform.machine(), (0, 1))  # numbers of system calls
    while size:
        context = ctypes.c_ulong(0)
        if library.syscall(io_setup, size, ctypes.byref(context)) == 0:
            contexts.append(context)
        else:
            size //= 2
    try:
        yield
    finally:
        for context in contexts:
            library.syscall(io_destroy, context)


def test_nothing_is_leaked(path):
    def descriptors():
        return len(os.listdir("/dev/fd"))  # noqa: PTH208

    def use():
        with native_reader(threads=8) as reader:
            file = reader.open(path)
            for _ in range(20):
                read_all(reader, file, scattered(16) + 1, BLOCK, aligned(16, BLOCK), range(16))

    use()
    gc.collect()
    before, threads = descriptors(), len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 0  # noqa: PTH208
    memory, _ = native_footprint()
    for _ in range(10):
        use()
    gc.collect()
    assert descriptors() == before
    assert native_footprint()[0] - memory < 8 << 20
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/task")) == threads  # noqa: PTH208


# The library itself.


def test_open_reader_prefers_the_native_library(monkeypatch, caplog):
    with open_reader(2, gap=512) as reader:
        assert isinstance(reader, NativeReader)
        assert (reader.threads, reader.gap) == (2, 512)
    monkeypatch.setattr(native_library, "load_library", lambda: None)
    with open_reader(2, gap=512) as reader:
        assert isinstance(reader, PythonReader)
    assert "Python threads" in caplog.text
    with pytest.raises(ReadError, match="missing"):
        NativeReader()
    assert native_footprint()[0] > 1 << 20
    assert memory_pressure() == 1


def test_a_library_of_another_version_is_not_used(tmp_path, caplog):
    assert open_library(tmp_path / "none.so") is None
    assert "none.so" in caplog.text


def test_impossible_readers_are_refused():
    for arguments in ({"threads": 0}, {"threads": 10**9}, {"max_read": 1000}, {"max_read": 16384 + 1}):
        with pytest.raises(ValueError, match="at least 1"):
            NativeReader(**arguments)


def test_footprint_and_memory_pressure():
    gc.collect()  # what earlier tests left must not go while we look
    current, peak = native_footprint()
    assert 1 << 20 < current <= peak
    ballast = np.ones(256 << 20, np.uint8)
    assert native_footprint()[0] - current > 192 << 20
    assert native_footprint()[1] >= native_footprint()[0]
    del ballast
    assert memory_pressure() in (1, 2, 4)


def test_the_library_was_built_with_the_package():
    assert load_library() is not None


@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="needs ziglang")
@pytest.mark.parametrize("target", ["aarch64-macos.14.4", "aarch64-linux-gnu"])
def test_compiles_for_other_machines(tmp_path, target):
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-shared", "-fPIC", "-O2"]
    command += ["-std=c11" if "macos" in target else "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-o"]
    command += [str(tmp_path / "_reader"), *map(str, SOURCE.parent.glob("*.c"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

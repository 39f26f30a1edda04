"""A drive whose every figure is known."""

from engine.flash.profile import DrivePoint, DriveProfile, Processor

IOPS, BANDWIDTH = 100_000, 5e9
NAMES = ("float32", "bfloat16", "float16", "bfloat16 as float32", "float16 as float32")
PROCESSOR = Processor(dict.fromkeys(NAMES, 10e9), dict.fromkeys(NAMES, 5e9), 1e9, 1e-4, 3e-4, 2e-5, 1e-9)
# With this one the drive decides.
FAST = Processor(dict.fromkeys(NAMES, 1e12), dict.fromkeys(NAMES, 1e12), 1e12, 1e-5, 3e-5, 2e-6, 1e-10)


def profile(threads=(1, 8, 32, 64), processor=PROCESSOR, iops=IOPS, bandwidth=BANDWIDTH) -> DriveProfile:
    """A read takes 1/iops or its bytes' time, whichever is longer; below 32 threads in proportion to them."""
    points = []
    for i in range(11):
        size = 4096 << i
        for count in threads:
            rate = min(iops, bandwidth / size) * min(1.0, count / 32)
            points.append(DrivePoint(size, count, rate * size, 0.0, 1e-4, 2e-4))
    return DriveProfile("disk", "today", tuple(points), processor)

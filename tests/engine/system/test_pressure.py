"""The pressure that Linux's figures amount to, and macOS's levels."""

import sys

import pytest

from engine.system import native_library
from engine.system.pressure import Pressure, level_of, memory_pressure

STALLS = "some avg10={some} avg60=0.00 avg300=0.00 total=123\nfull avg10={full} avg60=99.00 avg300=99.00 total=99\n"
MEMORY = "MemTotal:       1000000 kB\nMemFree:        10 kB\nMemAvailable:   {available} kB\n"


@pytest.mark.parametrize(
    ("some", "full", "available", "level"),
    [
        (0.0, 0.0, 500_000, Pressure.NORMAL),
        (9.9, 9.9, 500_000, Pressure.NORMAL),
        (12.0, 3.0, 500_000, Pressure.WARNING),
        (60.0, 25.0, 500_000, Pressure.CRITICAL),
        (0.0, 0.0, 60_000, Pressure.WARNING),
        (0.0, 0.0, 10_000, Pressure.CRITICAL),
    ],
)
def test_levels(some, full, available, level):
    assert level_of(STALLS.format(some=some, full=full), MEMORY.format(available=available)) is level


def test_figures_that_a_system_does_not_have_say_nothing():
    assert level_of("", "") is Pressure.NORMAL
    assert level_of("", MEMORY.format(available=10)) is Pressure.CRITICAL


def test_this_system_has_a_level():
    assert memory_pressure() in list(Pressure)


@pytest.mark.parametrize(("native", "level"), [(1, Pressure.NORMAL), (4, Pressure.CRITICAL), (77, Pressure.NORMAL)])
def test_macos_says_it_itself(monkeypatch, native, level):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(native_library, "memory_pressure", lambda: native)
    assert memory_pressure() is level

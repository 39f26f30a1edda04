"""Staying awake. The system's library is replaced by one of our own that writes down what it is asked."""

import ctypes
import shutil
import subprocess
import sys

import pytest

from engine.system import awake as module
from engine.system.awake import awake, begin_activity

RECORDER = r"""
#include <stdint.h>
#include <stdio.h>
#include <string.h>
static char heard[4096];
static void add(const char *text) { strncat(heard, text, sizeof heard - strlen(heard) - 1); }
const char *said(void) { return heard; }
void *objc_getClass(const char *name) { return (void *)name; }
void *sel_registerName(const char *name) { static char names[32][64]; static int used;
    return strcpy(names[used++ % 32], name); }
void *objc_autoreleasePoolPush(void) { add("push;"); return (void *)0x500000005; }
void objc_autoreleasePoolPop(void *pool) { add(pool == (void *)0x500000005 ? "pop;" : "wrong pool;"); }
void *objc_msgSend(void *self, const char *name, uintptr_t first, uintptr_t second) {
    char line[256];
    if (!strcmp(name, "processInfo")) return (void *)0x100000001;
    if (!strcmp(name, "stringWithUTF8String:")) { add((const char *)first); add(";"); return (void *)0x200000002; }
    if (!strcmp(name, "beginActivityWithOptions:reason:")) {
        snprintf(line, sizeof line, "begin %lx %lx %lx;", (long)self, (long)first, (long)second);
        add(line); return (void *)0x300000003; }
    if (!strcmp(name, "endActivity:")) { snprintf(line, sizeof line, "end %lx;", (long)first); add(line); return 0; }
    snprintf(line, sizeof line, "%s %lx;", name, (long)self); add(line); return 0;
}
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library in the place of the system's; returns what it heard."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    source, built = tmp_path / "objc.c", tmp_path / "libobjc.so"
    source.write_text(RECORDER)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source], check=True)
    monkeypatch.setattr(module, "OBJC", str(built))
    monkeypatch.setattr(module, "FOUNDATION", str(built))
    said = ctypes.CDLL(str(built)).said
    said.restype = ctypes.c_char_p
    return lambda: said().decode().split(";")[:-1]


def test_an_activity_is_begun_and_ended_with_its_own_handle(library):
    end = begin_activity("Writing an answer")
    begun = ["push", "Writing an answer", "begin 100000001 ffffff 200000002", "retain 300000003", "pop"]
    assert library() == begun
    end()
    assert library() == [*begun, "end 300000003", "release 300000003"]


def test_it_ends_also_when_the_work_fails(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(module, "begin_activity", lambda reason: seen.append(reason) or (lambda: seen.append("end")))
    with pytest.raises(ZeroDivisionError), awake("Work"):
        assert seen == ["Work"]
        raise ZeroDivisionError
    assert seen == ["Work", "end"]


def test_a_system_that_refuses_does_not_stop_the_work(monkeypatch, caplog):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(module, "OBJC", "/nowhere/libobjc.dylib")
    with awake("Work"):
        done = True
    assert done
    assert "may go to sleep" in caplog.text


@pytest.mark.skipif(sys.platform == "darwin", reason="there it does something")
def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(module, "begin_activity", None)
    with awake("Work"):
        pass

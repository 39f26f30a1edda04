"""Mach-O files of nothing but a header and load commands, written byte by byte: as much as is ever read of them."""

import struct
from collections.abc import Sequence

MAGIC, FAT_MAGIC = 0xFEEDFACF, 0xCAFEBABE
ARM64, X86_64 = 0x0100000C, 0x01000007
EXECUTE, DYLIB = 2, 6
LOAD_DYLIB, ID_DYLIB, CODE_SIGNATURE, RPATH, BUILD_VERSION = 0xC, 0xD, 0x1D, 0x8000001C, 0x32
MACOS = 1
ALIGNMENT = 14  # of slices, as a power of two


def mach_o(
    *,
    cpu: int = ARM64,
    kind: int = DYLIB,
    minimum: tuple[int, int] = (14, 0),
    name: str | None = None,
    linked: Sequence[str] = ("/usr/lib/libSystem.B.dylib",),
    rpaths: Sequence[str] = (),
    signed: bool = True,
) -> bytes:
    """A thin file. name: its install name. linked: the libraries that it loads."""
    version = minimum[0] << 16 | minimum[1] << 8
    commands = [struct.pack("<6I", BUILD_VERSION, 24, MACOS, version, version, 0)]
    commands += [_dylib(ID_DYLIB, name)] if name else []
    commands += [_dylib(LOAD_DYLIB, library) for library in linked]
    commands += [_string(RPATH, struct.pack("<I", 12), path) for path in rpaths]
    commands += [struct.pack("<4I", CODE_SIGNATURE, 16, 0, 0)] if signed else []
    body = b"".join(commands)
    return struct.pack("<8I", MAGIC, cpu, 0, kind, len(commands), len(body), 0, 0) + body


def universal(*slices: tuple[int, bytes]) -> bytes:
    """A file of several slices, each for a processor."""
    header, content, offset = struct.pack(">2I", FAT_MAGIC, len(slices)), b"", 1 << ALIGNMENT
    for cpu, data in slices:
        header += struct.pack(">5I", cpu, 0, offset, len(data), ALIGNMENT)
        padded = data.ljust(-(-len(data) >> ALIGNMENT) << ALIGNMENT or 1 << ALIGNMENT, b"\0")
        content += padded
        offset += len(padded)
    return header.ljust(1 << ALIGNMENT, b"\0") + content


def _dylib(command: int, name: str) -> bytes:
    return _string(command, struct.pack("<4I", 24, 0, 0, 0), name)


def _string(command: int, fixed: bytes, value: str) -> bytes:
    data = value.encode() + b"\0"
    data = data.ljust(-(-len(data) // 8) * 8 + (8 - len(fixed) % 8) % 8, b"\0")
    return struct.pack("<2I", command, 8 + len(fixed) + len(data)) + fixed + data
